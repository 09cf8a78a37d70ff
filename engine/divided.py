"""The stages of a sweep that workers may share: what one takes, its parts, and what is found there.

A part is a JSON object, which whoever plans a stage stores and whoever computes it reads. It means
the same to all that have the same request, candles and engine.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.partial import Partial
from engine.rate import Rate
from engine.shards import shards_of_shortlist, shards_of_stage_a
from engine.sweep import Batch, Sweep
from engine.work import Part

Int64 = NDArray[np.int64]

MOST_SHARDS = 10_000
"""A stage is cut into no more, however long it takes: each is a row that is counted each second."""


class Piece(NamedTuple):
    """A part as JSON, and how many variants it has."""

    part: dict[str, Any]
    units: int


class Divided(Protocol):
    """A stage that can be computed part by part."""

    def seconds(self, rate: Rate) -> float:
        """Guess how long one worker computes it."""

    def pieces(self, seconds: float, shard_seconds: float, workers: int) -> list[Piece]:
        """Cut it, which takes one worker `seconds`; the parts are all of it, and none twice."""

    def run(self, part: Mapping[str, Any] | None) -> Iterator[Batch]:
        """Compute a part, or all; raises `ValueError` for what is none of its parts."""

    def found(self, batch: Batch) -> Partial:
        """Return what the last batch of a part, or of all, has found."""


class StageA:
    """Stage A; a part is `{"streamed": [start, stop], "second": [start, stop]}`."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._division = sweep.division

    def seconds(self, rate: Rate) -> float:
        """Guess how long one worker computes it."""
        nanoseconds = rate.stage_a(self._sweep.request, self._division.words)
        return nanoseconds / self._sweep.threads / 1e9

    def pieces(self, seconds: float, shard_seconds: float, workers: int) -> list[Piece]:
        """Cut it, which takes one worker `seconds`; the parts are all of it, and none twice."""
        parts = shards_of_stage_a(
            self._division, seconds, _not_too_short(seconds, shard_seconds), workers
        )
        check_partition(parts, self._division.whole)
        return [Piece(_document(part._asdict()), self._division.variants(part)) for part in parts]

    def run(self, part: Mapping[str, Any] | None) -> Iterator[Batch]:
        """Compute a part, or all; raises `ValueError` for what is none of its parts."""
        if part is None:
            return self._sweep.stage_a()
        whole = self._division.whole
        return self._sweep.stage_a(Part(*_ranges(part, whole._asdict())))

    def found(self, batch: Batch) -> Partial:
        """Return what the last batch of a part, or of all, has found."""
        return Partial(batch.top, self._sweep.outcomes)


class StageB:
    """Stage B of a shortlist; a part is `{"positions": [start, stop]}` in it."""

    def __init__(self, sweep: Sweep, shortlist: Int64, twins: Int64) -> None:
        self._sweep = sweep
        self._shortlist = shortlist
        self._twins = twins

    def seconds(self, rate: Rate) -> float:
        """Guess how long one worker computes it."""
        sweep = self._sweep
        kept = len(self._shortlist)
        return rate.stage_b(sweep.request, sweep.division.words, kept) / sweep.threads / 1e9

    def pieces(self, seconds: float, shard_seconds: float, workers: int) -> list[Piece]:
        """Cut it, which takes one worker `seconds`; the parts are all of it, and none twice."""
        parts = shards_of_shortlist(
            len(self._shortlist), seconds, _not_too_short(seconds, shard_seconds), workers
        )
        check_partition([(part,) for part in parts], (range(len(self._shortlist)),))
        combinations = self._sweep.grid.risk_total
        return [Piece(_document({"positions": at}), len(at) * combinations) for at in parts]

    def run(self, part: Mapping[str, Any] | None) -> Iterator[Batch]:
        """Compute a part, or all; raises `ValueError` for what is none of its parts."""
        positions = None
        if part is not None:
            (positions,) = _ranges(part, {"positions": range(len(self._shortlist))})
        return self._sweep.stage_b(self._shortlist, positions, twins=self._twins)

    def found(self, batch: Batch) -> Partial:
        """Return what the last batch of a part, or of all, has found."""
        return Partial(batch.top)


def check_partition(boxes: Sequence[tuple[range, ...]], whole: tuple[range, ...]) -> None:
    """Raise `ValueError` unless boxes lie within the whole, share nothing, and fill it."""
    edges = np.array([[(side.start, side.stop) for side in box] for box in boxes], np.int64)
    starts, stops = edges[:, :, 0], edges[:, :, 1]
    begin, end = np.array([(side.start, side.stop) for side in whole], np.int64).T
    if (starts < begin).any() or (stops > end).any():
        raise ValueError(f"a part reaches beyond {whole}")
    for at in range(len(boxes)):
        later = slice(at + 1, None)
        shared = np.minimum(stops[at], stops[later]) > np.maximum(starts[at], starts[later])
        if shared.all(axis=1).any():
            raise ValueError(f"{boxes[at]} shares variants with another part")
    filled = int((stops - starts).prod(axis=1).sum())
    if filled != int((end - begin).prod()):
        raise ValueError(f"the parts have {filled} places of {whole}")


def _not_too_short(seconds: float, shard_seconds: float) -> float:
    return max(shard_seconds, seconds / MOST_SHARDS)


def _document(ranges: Mapping[str, range]) -> dict[str, Any]:
    return {name: [side.start, side.stop] for name, side in ranges.items()}


def _ranges(part: Mapping[str, Any], whole: Mapping[str, range]) -> list[range]:
    """Read the ranges of a part in the order of the whole, within which they are not empty."""
    if set(part) != set(whole):
        raise ValueError(f"a part has {', '.join(whole)}; this one is {dict(part)}")
    ranges = []
    for name, all_ in whole.items():
        match part[name]:
            case [int(start), int(stop)] if all_.start <= start < stop <= all_.stop:
                ranges.append(range(start, stop))
            case other:
                raise ValueError(
                    f"{name} of a part is {other}; it must be two numbers [start, stop] "
                    f"with {all_.start} <= start < stop <= {all_.stop}"
                )
    return ranges
