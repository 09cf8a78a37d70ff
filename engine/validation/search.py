"""All that is asked of a search once its winners are known: how far they can be believed."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.metric_names import ASCENDING
from engine.request.hashes import request_hash
from engine.request.model import Validation
from engine.validation.axes import NONE, ordered_axes
from engine.validation.deflated_sharpe import DailyMoments, deflated_sharpe, trials_of
from engine.validation.drawn import Drawn
from engine.validation.draws import Draws
from engine.validation.neighbours import Summary, listed, neighbours
from engine.validation.null import Null, compared, searched
from engine.validation.overfitting import overfitting
from engine.validation.recording import Recorded, record
from engine.validation.replays import preload_kernels as preload_replays
from engine.validation.rerun import daily_returns, moments, replayed
from engine.validation.scoring import evaluate
from engine.validation.surfaces import surfaces
from engine.validation.walking import Walk, walked
from engine.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from engine.ranking import TopList
    from engine.request import Request
    from engine.sweep import Sweep

Int64 = NDArray[np.int64]

Report = Callable[[int, int], None]
"""(units done, of so many): called between pieces of work; what it raises ends the work."""

SearchDraws = Callable[[Draws, int], Drawn]
"""Has all draws searched by whoever has time; so many units of what is asked were done before."""

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

    figures: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Any] = field(default_factory=dict)
    surfaces: list[dict[str, Any]] = field(default_factory=list)
    beside: list[dict[str, Any]] = field(default_factory=list)


class _Progress:
    """Units of one piece of work after the other, as units of all of it."""

    def __init__(self, report: Report, total: int) -> None:
        self._report = report
        self._total = total
        self.before = 0
        """Units of the pieces that have ended."""

    def at(self, done: int) -> None:
        """Tell how many units of the present piece are done."""
        self._report(self.before + done, self._total)

    def finish(self, size: int) -> None:
        """End the present piece, which had so many units."""
        self.before += size
        self.at(0)


def ask(
    sweep: "Sweep",
    top: "TopList",
    report: Report,
    *,
    threads: int = 1,
    search_draws: SearchDraws | None = None,
) -> Answers:
    """Ask of a search what its request wants to know; `top` are its best variants.

    Deterministic, whatever the threads, and whoever searches the draws, which come last; without
    `search_draws` that is done here. Raises what `report` and `search_draws` raise, and ValueError
    for a request without `validation`.
    """
    wanted = sweep.request.validation
    if wanted is None:
        raise ValueError("the request has no validation: there is nothing to ask of its search")
    seed = seed_of(sweep.request)
    kept, replays = top.indexes(), min(len(top), sweep.request.top_trades_n)
    recording = sweep.grid.base_total if wanted.splits or wanted.walk_forward else 0
    draws = draws_of(sweep)
    drawing = draws.count * draws.units
    progress = _Progress(report, len(kept) + replays + recording + drawing)

    answers = Answers()
    _ask_rows(sweep, kept, replays, seed, threads, answers, progress)
    if recording:
        recorded = record(sweep, wanted.blocks, progress.at)
        progress.finish(recording)
        _ask_records(sweep, recorded, wanted, seed, threads, answers)
        del recorded  # it is large, and the draws need room
    if drawing:
        if search_draws is None:
            drawn = searched(draws, progress.at)
        else:
            drawn = search_draws(draws, progress.before)
        found = compared(top.best(), draws, drawn)
        answers.figures["search"] = found.document()
        if isinstance(found, Null):
            answers.pictures["search"] = found.picture()
        progress.finish(drawing)
    return answers


def draws_of(sweep: "Sweep") -> Draws:
    """Return the draws that a request with `validation` wants: the same wherever it is computed."""
    wanted = sweep.request.validation
    assert wanted is not None
    return Draws(sweep, wanted.draws, seed_of(sweep.request))


def seed_of(request: "Request") -> int:
    """Return what all that is random about the answers follows from."""
    return int(request_hash(request.document)[:16], 16)


def _ask_rows(
    sweep: "Sweep",
    kept: Int64,
    replays: int,
    seed: int,
    threads: int,
    answers: Answers,
    progress: _Progress,
) -> None:
    """Ask what belongs to single variants."""
    for start in range(0, len(kept), ROWS_AT_ONCE):
        progress.at(start)
        answers.beside.extend(_beside(sweep, kept[start : start + ROWS_AT_ONCE], threads))
    progress.finish(len(kept))
    for number, variant_index in enumerate(kept[:replays].tolist()):
        answers.beside[number]["replays"] = replayed(sweep, variant_index, seed)
        progress.at(number + 1)
    progress.finish(replays)
    if answers.beside:
        answers.figures["neighbours"] = _without(OF_ONE_VARIANT, answers.beside[0])


def _ask_records(
    sweep: "Sweep",
    recorded: Recorded,
    wanted: Validation,
    seed: int,
    threads: int,
    answers: Answers,
) -> None:
    """Ask what takes figures of every base variant."""
    answers.figures["stride"] = recorded.records.stride
    if wanted.splits:
        found = overfitting(
            recorded.records.growth[recorded.outcomes],
            seed=seed,
            threads=WorkerThreads(threads),
            splits=wanted.splits,
        ).document()
        answers.figures["overfitting"] = _without(PICTURED, found)
        answers.pictures["overfitting"] = {name: found[name] for name in PICTURED if name in found}
        answers.figures["deflated_sharpe"] = _deflated(sweep, recorded)
        answers.surfaces.extend(_surfaces(sweep, recorded))
    if wanted.walk_forward:
        walk = walked(sweep, recorded, wanted.walk_forward)
        answers.figures["walk_forward"] = walk.document()
        if isinstance(walk, Walk):
            answers.pictures["walk_forward"] = walk.picture()


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
