"""How many jobs print: one a line, or below their ids where that does not fit."""

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.errors import printable
from cli.job_view import period, progress_text
from cli.render import between, duration, figure, moment, room, since, state_text

Json = Mapping[str, Any]

NAMED = 28
"""How much of a name stands in a line."""


def jobs_table(items: Sequence[Json], width: int) -> RenderableType:
    """Lay out jobs, one a line; where that does not fit, the id stands above the rest."""
    named = ("name",) if any(item["name"] for item in items) else ()
    for optional in (("range", "ranked by"), ("range",), ()):
        table = _jobs_table(items, (*named, *optional))
        if room(table) <= width:
            return table
    lines: list[RenderableType] = []
    for item in items:
        lines += [*_headings(item, width), Text.assemble("  ", _in_short(item))]
    return Group(*lines)


def pause_line(paused: Json) -> Text:
    """Say that no job starts now, since when, and why."""
    why = f": {printable(paused['reason'])}" if paused["reason"] else ""
    return Text(f"no job starts now: paused since {moment(paused['since'])} UTC{why}", "yellow")


def _headings(item: Json, width: int) -> Iterator[RenderableType]:
    """Yield id and name, side by side where there is room."""
    job_id, name = item["job_id"], item["name"] or ""
    beside = f"{job_id}  {name}".rstrip()
    if cell_len(beside) <= width:
        yield Text(beside)
    else:
        yield from (Text(job_id), Padding(Text(name), (0, 0, 0, 2)))


def _jobs_table(items: Sequence[Json], optional: Sequence[str]) -> Table:
    from engine.metric_words import words_with_unit  # commands start without the engine

    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in (
        "job",
        "state",
        "instrument",
        "tf",
        *optional,
        "best",
        "progress",
        "age",
        "took",
    ):
        justify: Literal["left", "right"] = "right" if header == "best" else "left"
        table.add_column(header, no_wrap=True, justify=justify)
    for item in items:
        cells: dict[str, str | Text] = {
            "name": Text(_cut(item["name"] or "")),
            "range": period(item),
            "ranked by": words_with_unit(item["primary_metric"]),
        }
        table.add_row(
            item["job_id"],
            state_text(item["state"]),
            Text(item["symbol"]),
            item["timeframe"],
            *(cells[header] for header in optional),
            _best(item),
            progress_text(item),
            duration(since(item["created_at"])),
            duration(between(item["started_at"], item["finished_at"])),
        )
    return table


def _in_short(item: Json) -> Text:
    progress, best = progress_text(item), _best(item)
    return Text.assemble(
        state_text(item["state"]),
        f" {progress}" if progress else "",
        f"  {item['symbol']} {item['timeframe']}",
        f"  best {best}" if best else "",
        f"  {duration(since(item['created_at']))} ago",
    )


def _cut(text: str) -> str:
    return text if len(text) <= NAMED else text[: NAMED - 1] + "…"


def _best(item: Json) -> str:
    """Return the ranking metric of the best variant so far; nothing where there is none."""
    if item["best_infinite"]:
        return figure(inf, 2)
    return "" if item["best"] is None else figure(item["best"], 2)
