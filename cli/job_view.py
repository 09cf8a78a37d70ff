"""How a job prints: everything it was asked and what became of it, and what is said of it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli import axes
from cli.render import (
    between,
    duration,
    figure,
    moment,
    room,
    state_text,
    value_text,
    verdict,
)
from cli.sharing_view import sharing_rows

Json = Mapping[str, Any]

STAGES = {
    "stage_a": "A  score variants",
    "stage_b": "B  expand risk",
    "validation": "validation",
    "finalizing": "reports",
}
SHORT_ID = 8
TIMES = "\N{MULTIPLICATION SIGN}"
NARROWEST = 52  # an id and its label


def job_page(item: Json, events: Sequence[Json], width: int) -> Iterator[RenderableType]:
    """Yield one job: verdict, request, costs, ranking, data, what happened, what to type next."""
    sentences = verdict(item)
    yield from sentences
    if sentences:
        yield ""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in (*_state(item), *_asked(item["request"]), *_data(item)):
        table.add_row(label, Text(text) if isinstance(text, str) else text)
    for number, text in enumerate(_history(events)):
        table.add_row("" if number else "history (UTC)", Text(text))
    for number, command in enumerate(next_commands(item)):
        table.add_row("" if number else "next", Text(command, style="dim"))
    table.width = min(room(table), max(width, NARROWEST))
    yield table


def _state(item: Json) -> Iterator[tuple[str, str | Text]]:
    yield "job", item["job_id"]
    for label in ("name", "note"):
        if item[label]:
            yield label, item[label]
    yield "state", state_text(item["state"])
    if item.get("last_error"):
        yield "error", f"{item['last_error']} ({item['last_error_json']['code']})"
    if progress := progress_text(item):
        yield "progress", progress
    yield from sharing_rows(item)
    if item["cancel_requested_at"] and item["state"] == "running":
        yield "cancel", f"asked for at {moment(item['cancel_requested_at'])} UTC"


def _asked(request: Json) -> Iterator[tuple[str, str]]:
    # commands start without the engine
    from engine.request.words import (
        carry_text,
        fills_text,
        leverage_text,
        position_text,
        sizing_text,
    )

    template = request["template"]
    instrument, execution = template["instrument_id"], template["execution"]
    yield (
        "instrument",
        f"{instrument['symbol']} (market {instrument['market_id']}), {template['timeframe']}",
    )
    length = between(request["time_range"]["start"], request["time_range"]["end"])
    yield "range", f"{period(request['time_range'])} UTC ({duration(length)})"
    yield "warm-up", f"{request['warmup_bars']:,} bars before it"
    label = "blocks"
    for block, members in groupby(axes.of_blocks(request), key=lambda axis: axis.block):
        shown = [axis for axis in members if axis.group != "source" or axis.size > 1]
        yield label, f"{block}: {_times(shown)}"
        label = ""
    yield "risk %", _times(list(axes.of_risk(request)))
    trading = template["direction_mode"], sizing_text(template), leverage_text(execution)
    yield "trading", ", ".join(filter(None, trading))
    if position := position_text(template):
        yield "position", position
    if fills := fills_text(execution):
        yield "fills", fills
    sides = (
        f"fee {value_text(execution['fee_pct'])} %, slippage "
        f"{value_text(execution['slippage_pct'])} % of each side"
    )
    yield "costs", ", ".join(filter(None, (sides, carry_text(execution))))
    yield "cash", _cash(template["sizing_mode"], execution)
    yield "ranking", _ranking(request["ranking"])
    yield (
        "kept",
        f"{request['preselect']:,} of stage A, the best {request['top_k']:,} of stage B, "
        f"trades of {request['top_trades_n']:,}",
    )


def _times(members: Sequence[axes.Axis]) -> str:
    return f" {TIMES} ".join(f"{axis.label} {axis.values()}" for axis in members)


def _cash(sizing: str, execution: Json) -> str:
    text = f"{figure(execution['init_cash_quote'], 2)} at the start"
    if sizing == "fixed_quote":
        text += f", {figure(execution['fixed_quote'], 2)} a trade"
    if sizing.endswith("profit_lock"):
        text += f", {value_text(execution['safe_profit_percent'])} % of profits put aside"
    return text


def _ranking(ranking: Json) -> str:
    from engine.metric_words import words  # commands start without the engine

    text = f"by {words(ranking['primary_metric'])}"
    if ranking["secondary_metric"]:
        text += f", then {words(ranking['secondary_metric'])}"
    text += f"; variants with fewer than {ranking['min_trades']} trades come last"
    return text + ("; equal outcomes stand as one" if ranking.get("distinct") else "")


def _data(item: Json) -> Iterator[tuple[str, str]]:
    coverage, outcomes = item.get("coverage"), item.get("outcomes")
    if coverage:
        yield "candles", _coverage(coverage)
        for label in ("undefined", "unsettled"):
            if coverage[label]:
                yield (
                    label,
                    f"some variants of {', '.join(coverage[label])} at the first traded bar",
                )
    if outcomes:
        yield "outcomes", _outcomes(outcomes)
    for name in ("created_at", "started_at", "finished_at"):
        if item[name]:
            yield name.removesuffix("_at"), f"{moment(item[name])} UTC"
    took = between(item["started_at"], item["finished_at"])
    if took is not None:
        yield "took", duration(took) + (f", attempt {item['attempt']}" * (item["attempt"] > 1))
    if item["engine_version"]:
        yield "engine", item["engine_version"]


def _coverage(coverage: Json) -> str:
    text = f"{coverage['bars_present']:,} of {coverage['bars_expected']:,} bars"
    if coverage["first"]:
        text += f", {moment(coverage['first'])} to {moment(coverage['last'])} UTC"
    if coverage["longest_gap_bars"]:
        text += (
            f"; longest gap {coverage['longest_gap_bars']:,} bars from "
            f"{moment(coverage['longest_gap_start'])}"
        )
    text += f"; warm-up {coverage['warmup_present']:,} of {coverage['warmup_bars']:,} bars"
    funding = coverage.get("funding")
    return text + (f"; {funding['rates']:,} funding rates" if funding else "")


def _outcomes(outcomes: Json) -> str:
    counts = (
        f"{outcomes[name]:,} {name.replace('_', ' ')}"
        for name in ("tried", "eligible", "profitable", "ruined")
    )
    text = ", ".join(counts)
    if outcomes["benchmark_return_pct"] is not None:
        held = figure(outcomes["benchmark_return_pct"], 2)
        text += f", {outcomes['beat_benchmark']:,} better than buy and hold ({held} %)"
    return text


def _history(events: Sequence[Json]) -> Iterator[str]:
    for event in events:
        details = dict(event["details"])
        client = details.pop("client", None)
        actor = f"{event['actor']} ({client})" if client else event["actor"]
        stage = details.pop("stage", None) if event["event"] == "stage_started" else None
        what = f"{stage} started" if stage else event["event"].replace("_", " ")
        text = f"{moment(event['at'])}  {what} by {actor}"
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in details.items())
        yield f"{text}: {told}" if told else text


def short(job_id: str) -> str:
    """Return as much of an id as a person types."""
    return job_id[:SHORT_ID]


def next_commands(item: Json) -> Iterator[str]:
    """Yield what to type next about a job."""
    named = short(item["job_id"])
    if item["state"] in ("queued", "running"):
        yield from (f"backtest watch {named}", f"backtest cancel {named}")
    elif item["state"] == "succeeded":
        yield from (f"backtest top {named}", f"backtest report {named} --html best.html")
    else:
        yield f"backtest show {named} --json | jq .request | backtest submit - --watch"


def progress_text(item: Json) -> str:
    """Say how far a running job is, in one phrase."""
    progress = item["progress"]
    if progress is None or item["stage"] is None:
        return ""
    stage = STAGES.get(item["stage"], str(item["stage"])).replace("  ", " ")
    if not progress["total"]:
        return stage
    return f"{stage} {100 * progress['done'] / progress['total']:.0f} %"


def no_variants(item: Json) -> str:
    """Say why a job has no variants to show."""
    match item["state"]:
        case "queued":
            return "no variants yet: the job is queued, no worker has taken it so far"
        case "running":
            stage = progress_text(item) or "it has just been taken"
            return f"no variants yet ({stage}): the first ones come with stage B"
        case "failed":
            code = item["last_error_json"]["code"]
            return f"no variants: the job failed: {item['last_error']} ({code})"
        case "cancelled":
            return "no variants: the job was cancelled"
    return "the job has succeeded without a variant"


def unfinished(item: Json) -> str | None:
    """Say what the variants of a job are that has not succeeded; None for one that has."""
    match item["state"]:
        case "running":
            return f"so far ({progress_text(item)}):"
        case "failed":
            return f"the best before the job failed: {item['last_error']}"
        case "cancelled":
            return "the best before the job was cancelled:"
        case "queued":  # released by a worker that was stopped
            return "the job waits for a worker again; the best so far:"
    return None


def period(edges: Json) -> str:
    """Say from when to when."""
    return " to ".join(moment(edges[edge]) for edge in ("start", "end"))
