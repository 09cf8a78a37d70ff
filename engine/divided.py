"""The stages of a job that workers may share: what one takes, its parts, and what is found there.

Here are both stages of a search; the draws of a validation are in `engine.validation.draws`.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.partial import Partial
from engine.parts import Piece, check_partition, document, not_too_short, ranges_of
from engine.ranking import NO_CUT, Cut, TopList
from engine.rate import Rate
from engine.shards import shards_of_range, shards_of_stage_a
from engine.sweep import Batch, Sweep
from engine.work import Part

Int64 = NDArray[np.int64]


class Step(Protocol):
    """How far a stage, or a part of it, is: `processed` of `total` units."""

    @property
    def processed(self) -> int:
        """How many units are done."""

    @property
    def total(self) -> int:
        """Of how many."""


class Found(Protocol):
    """What parts of a stage have found."""

    def merge(self, other: Self) -> None:
        """Take in what another part has found; in any order the result is the same."""

    def to_bytes(self) -> bytes:
        """Return all of it, for `Divided.read`."""


StepT = TypeVar("StepT", bound=Step)
FoundT = TypeVar("FoundT", bound=Found, covariant=True)


class Divided(Protocol[StepT, FoundT]):
    """A stage that can be computed part by part."""

    def seconds(self, rate: Rate) -> float:
        """Guess how long one worker computes it."""

    def pieces(self, seconds: float, shard_seconds: float, workers: int) -> list[Piece]:
        """Cut it, which takes one worker `seconds`; the parts are all of it, and none twice."""

    def run(self, part: Mapping[str, Any] | None) -> Iterator[StepT]:
        """Compute a part, or all; raises `ValueError` for what is none of its parts."""

    def found(self, step: StepT) -> FoundT:
        """Return what a part, or all, has found when this was its last step."""

    def read(self, data: bytes) -> FoundT:
        """Read what a part has found; raises `ValueError` for anything else."""


class Known:
    """What one process knows of a stage after some of its parts: what has no place in the end.

    Without it each part would collect a list of its own from nothing, send it, and have it merged,
    most of it in vain.
    """

    def __init__(self) -> None:
        self._top: TopList | None = None
        self._parts: list[Mapping[str, Any]] = []

    @property
    def cut(self) -> Cut:
        """The cut of all parts so far."""
        return NO_CUT if self._top is None else self._top.cut()

    def of(self, part: Mapping[str, Any], batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass on the batches of a part, and remember what it has found."""
        for batch in batches:
            yield batch
        if part in self._parts:  # computed before: no variant may be counted twice
            return
        self._parts.append(part)
        if self._top is None:
            self._top = deepcopy(batch.top)
        else:
            self._top.merge(batch.top)


class StageA:
    """Stage A; a part is `{"streamed": [start, stop], "second": [start, stop]}`."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._division = sweep.division
        self._known = Known()

    def seconds(self, rate: Rate) -> float:
        """Guess how long one worker computes it."""
        nanoseconds = rate.stage_a(self._sweep.request, self._division.words)
        return nanoseconds / self._sweep.threads / 1e9

    def pieces(self, seconds: float, shard_seconds: float, workers: int) -> list[Piece]:
        """Cut it, which takes one worker `seconds`; the parts are all of it, and none twice."""
        parts = shards_of_stage_a(
            self._division, seconds, not_too_short(seconds, shard_seconds), workers
        )
        check_partition(parts, self._division.whole)
        return [Piece(document(part._asdict()), self._division.variants(part)) for part in parts]

    def run(self, part: Mapping[str, Any] | None) -> Iterator[Batch]:
        """Compute a part, or all; raises `ValueError` for what is none of its parts."""
        if part is None:
            return self._sweep.stage_a()
        box = Part(*ranges_of(part, self._division.whole._asdict()))
        return self._known.of(part, self._sweep.stage_a(box, cut=self._known.cut))

    def found(self, step: Batch) -> Partial:
        """Return what a part, or all, has found when this was its last batch.

        Of a part, what of it may have a place beside the parts that were computed here before.
        """
        return Partial(step.top, self._sweep.outcomes)

    def read(self, data: bytes) -> Partial:
        """Read what a part has found; raises `ValueError` for anything else."""
        return Partial.from_bytes(data)


class StageB:
    """Stage B of a shortlist; a part is `{"positions": [start, stop]}` in it."""

    def __init__(self, sweep: Sweep, shortlist: Int64, twins: Int64) -> None:
        self._sweep = sweep
        self._shortlist = shortlist
        self._twins = twins
        self._known = Known()

    def seconds(self, rate: Rate) -> float:
        """Guess how long one worker computes it."""
        sweep = self._sweep
        kept = len(self._shortlist)
        return rate.stage_b(sweep.request, sweep.division.words, kept) / sweep.threads / 1e9

    def pieces(self, seconds: float, shard_seconds: float, workers: int) -> list[Piece]:
        """Cut it, which takes one worker `seconds`; the parts are all of it, and none twice."""
        parts = shards_of_range(
            len(self._shortlist), seconds, not_too_short(seconds, shard_seconds), workers
        )
        check_partition([(part,) for part in parts], (range(len(self._shortlist)),))
        combinations = self._sweep.grid.risk_total
        return [Piece(document({"positions": at}), len(at) * combinations) for at in parts]

    def run(self, part: Mapping[str, Any] | None) -> Iterator[Batch]:
        """Compute a part, or all; raises `ValueError` for what is none of its parts."""
        if part is None:
            return self._sweep.stage_b(self._shortlist, twins=self._twins)
        (positions,) = ranges_of(part, {"positions": range(len(self._shortlist))})
        batches = self._sweep.stage_b(
            self._shortlist, positions, twins=self._twins, cut=self._known.cut
        )
        return self._known.of(part, batches)

    def found(self, step: Batch) -> Partial:
        """Return what a part, or all, has found when this was its last batch; as in stage A."""
        return Partial(step.top)

    def read(self, data: bytes) -> Partial:
        """Read what a part has found; raises `ValueError` for anything else."""
        return Partial.from_bytes(data)
