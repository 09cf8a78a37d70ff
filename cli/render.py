"""What user commands print: tables, one job, a report – and the same as JSON."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 160
NARROW_WIDTH = 110
STATE_STYLES = {
    "queued": "yellow",
    "running": "cyan",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "magenta",
}
METRIC_COLUMNS = (
    ("return\n%", "total_return_pct", 2),
    ("max dd\n%", "max_drawdown_pct", 2),
    ("trades", "num_trades", 0),
    ("win\n%", "win_rate_pct", 1),
    ("profit\nfactor", "profit_factor", 2),
    ("sharpe", "sharpe", 2),
)
SUMMARY_METRICS = ("total_return_pct", "num_trades")

Json = Mapping[str, Any]
Advance = Callable[[int, int], None]


def terminal() -> Console:
    """Return the console of standard output; a pipe gets lines wide enough for the tables."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def as_json(value: Any) -> None:
    """Print a document for machines."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def jobs_table(items: Sequence[Json]) -> Table:
    """Lay out jobs, one a line."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in ("job", "state", "instrument", "tf", "progress", "age", "took"):
        table.add_column(header, no_wrap=True)
    for item in items:
        template = item["request"]["template"]
        table.add_row(
            item["job_id"],
            state_text(item["state"]),
            template["instrument_id"]["symbol"],
            template["timeframe"],
            progress_text(item),
            duration(_since(item["created_at"])),
            duration(_between(item["started_at"], item["finished_at"])),
        )
    return table


def job_table(item: Json, events: Sequence[Json]) -> Table:
    """Lay out one job with its history."""
    template = item["request"]["template"]
    time_range = item["request"]["time_range"]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("job", item["job_id"])
    table.add_row("state", state_text(item["state"]))
    if item.get("last_error"):
        table.add_row("error", f"{item['last_error']} ({item['last_error_json']['code']})")
    instrument = template["instrument_id"]
    table.add_row(
        "sweep",
        f"{instrument['symbol']} (market {instrument['market_id']}), {template['timeframe']}, "
        f"{time_range['start']} to {time_range['end']}",
    )
    table.add_row("blocks", ", ".join(block["name"] for block in template["indicator_grids"]))
    table.add_row("progress", progress_text(item))
    for name in ("created_at", "started_at", "finished_at", "attempt", "engine_version"):
        if item[name] is not None:
            table.add_row(name.removesuffix("_at"), str(item[name]))
    table.add_row("request hash", item["request_hash"])
    for event in events:
        details = ", ".join(f"{name} {value}" for name, value in event["details"].items())
        table.add_row(
            Text("history" if event is events[0] else ""),
            f"{event['at']}  {event['event']}  by {event['actor']}  {details}".rstrip(),
        )
    return table


def top_table(rows: Sequence[Json], width: int) -> Table:
    """Lay out variants by rank, their parameters as columns."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("#", justify="right")
    shown = [
        column
        for column in METRIC_COLUMNS
        if (width >= NARROW_WIDTH or column[1] in SUMMARY_METRICS)
        and any(metric(row, column[1]) is not None for row in rows)
    ]
    for header, name, _digits in shown:
        style = "bold green" if name == "total_return_pct" else None
        table.add_column(header, justify="right", no_wrap=True, style=style)
    parameters = parameter_columns([row["payload_json"] for row in rows])
    for header, _values in parameters:
        table.add_column(header, justify="right", style="cyan")
    for number, row in enumerate(rows):
        table.add_row(
            str(row["rank"]),
            *(figure(metric(row, name), digits) for _header, name, digits in shown),
            *(values[number] for _header, values in parameters),
        )
    return table


def parameter_columns(payloads: Sequence[Json]) -> list[tuple[str, list[str]]]:
    """Turn the parameters of variants into columns: a header and one text per variant.

    Sources, outputs and risk levels appear only where they tell variants apart or are in use.
    """
    flat = [dict(_parameters(payload)) for payload in payloads]
    columns = []
    for name in dict.fromkeys(name for values in flat for name in values):
        values = [row.get(name) for row in flat]
        block, _, parameter = name.rpartition("\n")
        if parameter in ("source", "output") and len(set(values)) == 1:
            continue
        if not block and all(value is None for value in values):
            continue
        columns.append((name, [value_text(value) for value in values]))
    return columns


def _parameters(payload: Json) -> Iterable[tuple[str, Any]]:
    for block in payload["blocks"]:
        prefix = block["name"].rpartition(".")[2]
        for name in ("source", "output"):
            yield f"{prefix}\n{name}", block[name]
        for group in ("params", "signals"):
            for name, value in block[group].items():
                yield f"{prefix}\n{name.replace('_threshold', '')}", value
    for name, value in payload["risk"].items():
        yield f"{name} %", value


def metric(row: Json, name: str) -> float | None:
    """Return a figure of a variant, None when undefined or not computed yet."""
    value = row.get(name, row["metrics_json"].get(name))
    return None if value is None else float(value)


def report(row: Json, title: str) -> Iterable[Any]:
    """Yield the printed report of one variant."""
    yield Text(title, style="bold")
    if row["report_table_md"] is None:
        yield Text("The table comes when the job has succeeded.", style="yellow")
    else:
        yield Markdown(row["report_table_md"])


def progress_text(item: Json) -> str:
    """Say how far a job is, in one phrase."""
    if item["state"] != "running" or item["stage"] is None:
        return "" if item["state"] == "queued" else "-"
    if not item["total_units"]:
        return str(item["stage"])
    share = 100 * item["processed_units"] / item["total_units"]
    return f"{item['stage']} {share:.0f} %"


def state_text(state: str) -> Text:
    """Colour a state."""
    return Text(state, style=STATE_STYLES.get(state, ""))


def figure(value: float | None, digits: int) -> str:
    """Print a number with thousands separators, a dash when undefined."""
    return "-" if value is None else f"{value:,.{digits}f}"


def value_text(value: Any) -> str:
    """Print a parameter as a user would write it, a dash for `off`."""
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


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


def _since(start: str | None) -> float | None:
    return _between(start, datetime.now(UTC).isoformat())


def _between(start: str | None, end: str | None) -> float | None:
    if start is None or end is None:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
