"""How user commands print: the terminal, one report, figures, times – and JSON."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from math import inf, isinf
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 160
ENDLESS = 100_000
HUGE = 1e7
STATE_STYLES = {
    "queued": "yellow",
    "running": "cyan",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "magenta",
}

Json = Mapping[str, Any]
Advance = Callable[[int, int], None]


def terminal() -> Console:
    """Return the console of standard output; a pipe gets lines wide enough for the tables."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def as_json(value: Any) -> None:
    """Print a document for machines."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def room(part: RenderableType) -> int:
    """Return how many characters wide something is that nothing makes narrower."""
    endless = Console(width=ENDLESS)
    return endless.measure(part).maximum


def unbroken(table: Table, width: int) -> Table:
    """Return the table so that no cell is cut where `width` is too small; print it uncropped."""
    natural = room(table)
    if natural > width:
        table.width = natural
    return table


def verdict(status: Json) -> list[Text]:
    """Return what the product makes of a job, sentence by sentence; empty while it says nothing."""
    return [Text(sentence, style="bold") for sentence in status.get("verdict") or ()]


def metric(row: Json, name: str, *, test: bool = False) -> float | None:
    """Return a figure of a variant: infinity included, None when undefined or not computed yet.

    `test`: that of the bars which the variant was not chosen on, None where there are none.
    """
    figures = (row.get("test_metrics_json") or {}) if test else row["metrics_json"]
    if name in figures.get("infinite", ()):
        return inf
    value = figures.get(name) if test else row.get(name, figures.get(name))
    return None if value is None else float(value)


def report(row: Json, title: str) -> Iterable[Any]:
    """Yield the printed report of one variant."""
    from rich.markdown import Markdown  # with a parser, which nothing else needs

    yield Text(title, style="bold")
    if row["report_table_md"] is None:
        yield Text("The table comes when the job has succeeded.", style="yellow")
    else:
        yield Markdown(row["report_table_md"])
    if text := neighbours(row.get("beside_json")):
        yield Text(text)


def neighbours(beside: Json | None) -> str | None:
    """Say how the variants did that are one step from this one; None where nobody asked."""
    if beside is None:
        return None
    if not beside["number"]:
        return "no neighbours: no parameter has a next value"
    one = beside["number"] == 1
    median, worst = (
        "-" if value is None else f"{figure(value, 2)} %"
        for value in (beside["median_return"], beside["worst_return"])
    )
    text = f"{beside['number']:,} neighbour{'' if one else 's'}: median {median}, worst {worst}"
    counts = ((beside["twins"], "with exactly its trades"), (beside["ruined"], "ruined"))
    return "; ".join([text, *(f"{count:,} {words}" for count, words in counts if count)])


def state_text(state: str) -> Text:
    """Colour a state."""
    return Text(state, style=STATE_STYLES.get(state, ""))


def figure(value: float | None, digits: int) -> str:
    """Print a number with thousands separators, a dash when undefined."""
    if value is None:
        return "-"
    if isinf(value):
        return "∞" if value > 0 else "-∞"
    if abs(value) >= HUGE:
        return f"{value:.3e}"
    text = f"{value:,.{digits}f}"
    return text if any(digit in "123456789" for digit in text) else text.lstrip("-")


def value_text(value: Any) -> str:
    """Print a parameter as a user would write it."""
    if value is None:
        return "off"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def moment(text: str) -> str:
    """Print a time to the second, midnight as the day alone: `2024-01-31`."""
    found = datetime.fromisoformat(text).astimezone(UTC)
    midnight = (found.hour, found.minute, found.second) == (0, 0, 0)
    return f"{found:%Y-%m-%d}" if midnight else f"{found:%Y-%m-%d %H:%M:%S}"


def duration(seconds: float | None) -> str:
    """Print a duration in its two largest units."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s"))
    named = [f"{count}{unit}" for count, unit in parts if count]
    return " ".join(named[:2]) or f"{max(seconds, 0):.1f}s"


def amount(estimate: Json) -> str:
    """Say how much there is to compute: `601 328 x 30 variants, about 4s of one worker`."""
    total, risks = estimate["stage_a_variants"], estimate["risk_combinations"]
    size = f"{total:,} x {risks:,} variants".replace(",", " ")
    seconds = estimate["seconds"]
    if seconds is None:
        return size
    time = "less than a second" if seconds < 1 else f"about {duration(seconds)}"
    return f"{size}, {time} of one worker"


def since(start: str | None) -> float | None:
    """Return the seconds from a time until now."""
    return between(start, datetime.now(UTC).isoformat())


def between(start: str | None, end: str | None) -> float | None:
    """Return the seconds between two times; None when one of them is not known."""
    if start is None or end is None:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
