"""All that is asked of a search once its winners are known: how far they can be believed."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.metric_names import ASCENDING
from engine.request.hashes import request_hash
from engine.validation.axes import NONE, ordered_axes
from engine.validation.deflated_sharpe import DailyMoments, deflated_sharpe, trials_of
from engine.validation.neighbours import Summary, listed, neighbours
from engine.validation.overfitting import overfitting
from engine.validation.recording import Recorded, record
from engine.validation.replays import preload_kernels as preload_replays
from engine.validation.rerun import daily_returns, moments, replayed
from engine.validation.scoring import evaluate
from engine.validation.surfaces import surfaces
from engine.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from engine.sweep import Sweep

Int64 = NDArray[np.int64]

Report = Callable[[int, int], None]
"""(units done, of so many): called between pieces of work; what it raises ends the work."""

ROWS_AT_ONCE = 50
"""Kept variants whose neighbours are scored between two reports."""

PICTURED = ("logits", "pairs_pct")
"""What of overfitting is drawn, and read by nobody else."""

OF_ONE_VARIANT = ("variants", "replays")
"""What of the neighbours and the trades of a variant is for whoever looks at that one."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What was found, in JSON types.

    `figures` are few and small, for whoever lists or judges jobs; `pictures` are what a page draws,
    by name; `surfaces` is one object a pair of axes. `beside` is one object a kept variant: how its
    neighbours did, and which they are; of the best `top_trades_n` also what replays of their trades
    made.
    """

    figures: dict[str, Any]
    pictures: dict[str, Any]
    surfaces: list[dict[str, Any]]
    beside: list[dict[str, Any]]


def ask(sweep: "Sweep", kept: Int64, report: Report, *, threads: int = 1) -> Answers:
    """Ask everything of a search: `kept` int64[R] are its variants, best first.

    Deterministic, whatever the threads. Raises what `report` raises.
    """
    total = sweep.grid.base_total + len(kept)
    recorded = record(sweep, lambda done, _: report(done, total))
    beside = []
    for start in range(0, len(kept), ROWS_AT_ONCE):
        report(sweep.grid.base_total + start, total)
        beside += list(_beside(sweep, kept[start : start + ROWS_AT_ONCE], threads))
    report(total, total)
    seed = int(request_hash(sweep.request.document)[:16], 16)
    for each, variant_index in zip(beside, kept[: sweep.request.top_trades_n], strict=False):
        each["replays"] = replayed(sweep, int(variant_index), seed)
    found = overfitting(
        recorded.records.growth[recorded.outcomes], seed=seed, threads=WorkerThreads(threads)
    ).document()
    figures = {
        "stride": recorded.records.stride,
        "overfitting": _without(PICTURED, found),
        "deflated_sharpe": _deflated(sweep, recorded),
    }
    if beside:
        figures["neighbours"] = _without(OF_ONE_VARIANT, beside[0])
    pictures = {"overfitting": {name: found[name] for name in PICTURED if name in found}}
    return Answers(figures, pictures, list(_surfaces(sweep, recorded)), beside)


def _beside(sweep: "Sweep", kept: Int64, threads: int) -> Iterator[dict[str, Any]]:
    """Yield how the neighbours of some kept variants did."""
    axes = ordered_axes(sweep.request)
    found = neighbours(axes, kept)
    there = found != NONE
    scores = evaluate(sweep, np.concatenate((kept, found[there])), threads=threads)
    of = np.nonzero(there)[0]
    own, others = np.arange(len(kept)), len(kept) + np.arange(len(of))
    primary = sweep.request.ranking.primary_metric
    summary = Summary.of(primary, scores.at(own), of, scores.at(others)).document()
    for each, pairs in zip(summary, found, strict=True):
        yield {**each, "variants": listed(axes, pairs)}


def _surfaces(sweep: "Sweep", recorded: Recorded) -> Iterator[dict[str, Any]]:
    records = recorded.records
    scores = np.where(recorded.eligible, records.primary, np.nan).astype(np.float32)
    returns = records.total_return.astype(np.float32)
    for surface in surfaces(sweep.request, scores, returns=returns, stride=records.stride):
        yield surface.document()


def _deflated(sweep: "Sweep", recorded: Recorded) -> dict[str, Any]:
    """Return the deflated Sharpe ratio of the best base variant among the outcomes."""
    records, outcomes = recorded.records, recorded.outcomes
    trials = trials_of(records.sharpe[outcomes])
    best = DailyMoments(np.nan, np.nan, np.nan, 0)
    keys = records.primary[outcomes]
    keys = keys if sweep.request.ranking.primary_metric in ASCENDING else -keys
    if not np.isnan(keys).all():
        place = int(outcomes[np.nanargmin(keys)])
        best = moments(daily_returns(sweep, place * records.stride))
    return deflated_sharpe(best, trials).document()


def _without(names: Collection[str], document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def preload_kernels() -> None:
    """Compile, or load from the disk cache, what answers are computed with."""
    growths = np.arange(16, dtype=np.int32).reshape(2, 8)
    overfitting(growths, seed=0, threads=WorkerThreads(1), splits=1)
    preload_replays()
