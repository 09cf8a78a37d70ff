"""Rows as answers: all JSON of the answers is made here."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from api.charts import Drawn
from api.owners import worker
from api.sharing_words import sharing_text
from engine.outcomes import TOTAL_RETURN
from engine.outcomes import distribution as drawn_distribution
from engine.verdict import verdict
from storage.candles import Instrument, length
from storage.lists import Count, JobLine
from storage.operating import LeaseLine
from storage.plan_records import ShardState
from storage.records import Event, Job, State, SurfaceText, TopText, ValidationText
from storage.sharing import Run, Sharing
from storage.strategies import Strategy
from storage.switches import Pause
from storage.watching import Watched

if TYPE_CHECKING:
    from api.submission import Assessed

Json = dict[str, Any]


def time(at: datetime) -> str:
    """Write a time as `2024-01-01T00:00:00Z`, with microseconds where there are some."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def status(
    job: Job, rows: Sequence[Json], figures: Json | None, watched: Watched | None = None
) -> Json:
    """Return what a user may know of a job: no lease, no wake-ups.

    `rows` is what a verdict needs of its top rows, from `storage.results.outline`, and `figures`
    what was found for its search, None until there are some; `watched` is what moves about a
    running job.
    """
    shown = {
        "job_id": job.job_id,
        "name": job.name,
        "note": job.note,
        "mode": job.mode,
        "state": job.state,
        "stage": job.stage,
        "progress": None if watched is None else progress(watched),
        "sharing": None if watched is None else sharing(watched.sharing),
        "attempt": job.attempt,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "cancel_requested_at": job.cancel_requested_at,
        "progress_updated_at": job.progress_updated_at,
        "request_hash": job.request_hash,
        "engine_params_hash": job.engine_params_hash,
        "backtest_runtime_config_hash": job.backtest_runtime_config_hash,
        "spec_hash": job.spec_hash,
        "spec_payload": job.spec_payload_json,
        "engine_version": job.engine_version,
        "request": job.request_json,
        "coverage": job.coverage_json,
        "outcomes": job.outcomes_json,
        "validation": figures,
        "verdict": verdict(
            coverage=job.coverage_json,
            outcomes=job.outcomes_json,
            top=rows,
            request=job.request_json,
            state=job.state,
            figures=figures,
        ),
    }
    if job.state is State.FAILED:
        shown |= {"last_error": job.last_error, "last_error_json": job.last_error_json}
    return shown


def progress(job: JobLine | Watched) -> Json | None:
    """Return how far a running job is; the rate is that of its stage up to the last news.

    It needs no clock of ours: as long as the job tells nothing new, the answer is the same.
    """
    return None if job.state is not State.RUNNING else rated(job)


def rated(job: JobLine | Watched | LeaseLine) -> Json:
    """Return how far the stage of a running job is, how fast it goes and how long it will take."""
    rate = eta = None
    if job.stage_started_at is not None and job.progress_updated_at is not None:
        seconds = (job.progress_updated_at - job.stage_started_at).total_seconds()
        if seconds > 0 and job.processed_units > 0:
            rate = job.processed_units / seconds
            eta = max(0, job.total_units - job.processed_units) / rate
    return {
        "stage": job.stage or State.QUEUED,
        "done": job.processed_units,
        "total": job.total_units,
        "rate": None if rate is None else float(f"{rate:.4g}"),
        "eta": None if eta is None else round(eta, 1),
    }


def sharing(found: Sharing | None) -> Json | None:
    """Return how a stage is shared, and by whom; in the strip neighbours that are alike are one."""
    if found is None:
        return None
    shares: dict[str, Json] = {}
    for share in sorted(found.shares):
        name = worker(share.owner)
        counted = shares.setdefault(name, {"worker": name, "running": 0, "done": 0})
        counted["running"] += share.running
        counted["done"] += share.done
    strip = [
        [state, name, sum(run.length for run in runs)]
        for (state, name), runs in groupby(found.strip, key=_state_and_worker)
    ]
    states = {str(state): number for state, number in found.states.items()}
    running = sum(share["running"] > 0 for share in shares.values())
    return {
        "stage": found.stage,
        "shards": sum(states.values()),
        "states": states,
        "units": {"done": found.processed_units, "total": found.total_units},
        "workers": list(shares.values()),
        "strip": strip,
        "said": sharing_text(found.stage, states, running),
    }


def _state_and_worker(run: Run) -> tuple[ShardState, str | None]:
    return run.state, None if run.owner is None else worker(run.owner)


def item(line: JobLine) -> Json:
    """Return a job as lists show it."""
    return {
        "job_id": line.job_id,
        "name": line.name,
        "mode": line.mode,
        "state": line.state,
        "stage": line.stage,
        "progress": progress(line),
        "attempt": line.attempt,
        "created_at": line.created_at,
        "started_at": line.started_at,
        "finished_at": line.finished_at,
        "cancel_requested_at": line.cancel_requested_at,
        "market_id": line.market_id,
        "symbol": line.symbol,
        "timeframe": line.timeframe,
        "start": line.start,
        "end": line.end,
        "primary_metric": line.primary_metric,
        "best": line.best,
        "best_infinite": line.best_infinite,
        "last_error": line.last_error,
    }


def counts(found: Mapping[State, Count]) -> Json:
    """Return how many jobs are in each state: a number, or the text `1000+`."""
    return {
        str(state): f"{count.number}+" if count.more else count.number
        for state, count in found.items()
    }


def listed(
    items: Sequence[Json | orjson.Fragment],
    next_cursor: str | None,
    found: Mapping[State, Count],
    paused: Pause | None,
) -> Json:
    """Return a page of the list of jobs. Who paused the queue is for operators."""
    return {
        "items": items,
        "next_cursor": next_cursor,
        "counts": counts(found),
        "paused": None if paused is None else {"since": paused.since, "reason": paused.reason},
    }


def pause_warnings(paused: Pause | None) -> list[Json]:
    """Return what to tell who submits while the queue is paused; nothing while it is not."""
    if paused is None:
        return []
    why = "" if paused.reason is None else f" ({paused.reason})"
    since = time(paused.since.replace(microsecond=0))
    message = f"the queue is paused since {since}{why}: the job starts when it is resumed"
    return [{"code": "paused", "message": message, "path": None}]


def event(row: Event) -> Json:
    """Return what happened to a job."""
    return {
        "event_id": row.event_id,
        "at": row.at,
        "event": row.event,
        "attempt": row.attempt,
        "actor": row.actor,
        "details": row.details,
    }


def moving(job: Watched) -> Json:
    """Return what moves about a job while somebody looks at it."""
    return {
        "state": job.state,
        "stage": job.stage,
        "progress": progress(job),
        "sharing": sharing(job.sharing),
        "attempt": job.attempt,
        "cancel_requested_at": job.cancel_requested_at,
        "snapshot_at": job.snapshot_at,
    }


def estimate(found: "Assessed", same_as: UUID | None) -> Json:
    """Return what a request would be as a job."""
    return {
        "request": found.effective,
        **found.size,
        "accepted": not found.errors,
        "errors": [asdict(error) for error in found.errors],
        "warnings": found.warnings,
        "coverage": found.coverage,
        "same_as": same_as,
    }


def variant(row: TopText, shown: Collection[str]) -> Json:
    """Return a stored variant with what is shown of report, trades and equity.

    JSON of the database is passed on as it is.
    """
    found: Json = {
        "rank": row.rank,
        "variant_key": row.variant_key,
        "indicator_variant_key": row.indicator_variant_key,
        "variant_index": row.variant_index,
        "total_return_pct": row.total_return_pct,
        "twins": row.twins,
        "metrics_json": orjson.Fragment(row.metrics_json),
        "payload_json": orjson.Fragment(row.payload_json),
        "trades_omitted": row.trades_omitted,
        "test_metrics_json": _passed_on(row.test_metrics_json),
        "beside_json": _passed_on(row.beside_json),
    }
    if "report" in shown:
        found["report_table_md"] = row.report_table_md
    if "trades" in shown:
        found["trades"] = _passed_on(row.trades_json)
        found["test_trades"] = _passed_on(row.test_trades_json)
    if "equity" in shown:
        found["equity"] = _passed_on(row.equity_json)
        found["test_equity"] = _passed_on(row.test_equity_json)
    return found


def validation(job_id: UUID, found: ValidationText) -> Json:
    """Return what was asked of a search; JSON of the database is passed on as it is."""
    return {
        "job_id": job_id,
        "figures": orjson.Fragment(found.figures),
        "pictures": orjson.Fragment(found.pictures),
        "surfaces": orjson.Fragment(found.surfaces),
    }


def surface(job_id: UUID, number: int, found: SurfaceText) -> Json:
    """Return one surface of a search, passed on as it is, and what it lies over."""
    return {
        "job_id": job_id,
        "number": number,
        "axis_x": found.axis_x,
        "axis_y": found.axis_y,
        "surface": orjson.Fragment(found.surface),
    }


def _passed_on(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)


def strategy(row: Strategy) -> Json:
    """Return a saved strategy."""
    return {
        "strategy_id": row.strategy_id,
        "name": row.name,
        "note": row.note,
        "template": row.template_json,
        "source_job_id": row.source_job_id,
        "source_variant_key": row.source_variant_key,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def distribution(outcomes: Json | None, rows: Sequence[Json]) -> Json | None:
    """Return the histograms of a search, ready to draw, with the total return of its winner."""
    if outcomes is None:
        return None
    primary = outcomes["primary"]
    own_primary = primary["metric"] != TOTAL_RETURN
    return {
        TOTAL_RETURN: drawn_distribution(outcomes[TOTAL_RETURN]),
        "primary": (
            {"metric": primary["metric"], **drawn_distribution(primary)} if own_primary else None
        ),
        "winner": rows[0]["total_return_pct"] if rows else None,
        "benchmark_return_pct": outcomes["benchmark_return_pct"],
    }


def bars(found: Drawn) -> Json:
    """Return bars as arrays of one length."""
    names = ("times", "open", "high", "low", "close", "volume")
    return {**{name: getattr(found, name).tolist() for name in names}, "every": found.every}


def instrument(found: Instrument) -> Json:
    """Return what there is of an instrument, and how long its bars are at least."""
    return {
        "market_id": found.market_id,
        "symbol": found.symbol,
        "first": found.first,
        "last": found.last,
        "minutes": found.minutes,
        "timeframe": length(found.timeframe_ms),
    }
