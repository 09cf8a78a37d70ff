"""Statistics of a whole search: how many variants stage A tried, and what became of them.

Counts and histograms are integers that merge by addition, so they do not depend on how the work was
divided. Needs no compiled kernel: whoever reads a stored document reads it with this module.
"""

import math
import struct
import sys
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]

BIN_BITS = 18
"""Sign, exponent and 6 bits of the fraction of a float: a bin is 1/64 of its value wide at most."""

KEY_SHIFT = 64 - BIN_BITS
BINS = 1 << BIN_BITS
UNDEFINED, INFINITE = BINS, BINS + 1  # places behind the bins
PLACES = BINS + 2

TOTAL_RETURN = "total_return_pct"

TAIL = 0.005
"""Share of the variants on either side that has no part in the range of a drawing."""

_NARROWEST = 1e-6  # of a bin that is drawn

# Positions in `Outcomes.counts`.
TRIED, ELIGIBLE, PROFITABLE, BEAT_BENCHMARK, RUINED = range(5)
COUNTS = 5

_SIGN = 1 << 63
_ALL_BITS = (1 << 64) - 1


class Outcomes:
    """What became of the base variants of a search, or of a part of it.

    `counts` int64[COUNTS]; `returns` and `primaries` int64[PLACES] are the numbers of variants by
    bin of their total return [%] and of the primary metric, then the undefined and the infinite.
    Where the total return is the primary metric, it is counted once.
    """

    def __init__(self, primary: str, benchmark_return_pct: float | None) -> None:
        self.primary = primary
        self.benchmark_return_pct = benchmark_return_pct
        self.counts = np.zeros(COUNTS, np.int64)
        self.returns = np.zeros(PLACES, np.int64)
        self.primaries = np.zeros(PLACES, np.int64)

    def merge(self, other: "Outcomes") -> None:
        """Add another part of the same search. Raises `ValueError` when it is of another one."""
        mine, theirs = ((part.primary, part.benchmark_return_pct) for part in (self, other))
        if mine != theirs:
            raise ValueError(f"outcomes of different searches: {mine} and {theirs}")
        self.counts += other.counts
        self.returns += other.returns
        self.primaries += other.primaries

    def document(self) -> dict[str, Any]:
        """Return all of it as plain data for JSON."""
        tried, eligible, profitable, beat_benchmark, ruined = self.counts.tolist()
        primaries = self.returns if self.primary == TOTAL_RETURN else self.primaries
        return {
            "tried": tried,
            "eligible": eligible,
            "profitable": profitable,
            "beat_benchmark": beat_benchmark,
            "ruined": ruined,
            "benchmark_return_pct": self.benchmark_return_pct,
            "total_return_pct": _histogram(self.returns),
            "primary": {"metric": self.primary, **_histogram(primaries)},
        }


def _histogram(places: Int64) -> dict[str, Any]:
    bins = np.flatnonzero(places[:BINS])
    return {
        "bins": [list(pair) for pair in zip(bins.tolist(), places[bins].tolist(), strict=True)],
        "undefined": int(places[UNDEFINED]),
        "infinite": int(places[INFINITE]),
    }


def edge(bin: int) -> float:  # noqa: A002 – as it is called in the document
    """Return the lower edge of a bin: the smallest number that is counted there."""
    key = bin << KEY_SHIFT
    bits = key ^ _SIGN if key & _SIGN else key ^ _ALL_BITS
    value: float = struct.unpack("<d", struct.pack("<Q", bits))[0]
    return value


def quantile(distribution: dict[str, Any], share: float) -> float | None:
    """Return the value that this share of the variants does not exceed, as the edge of its bin.

    `distribution` is one of a document; share 0.5 is the lower median. Infinite values are the
    largest; undefined ones do not count, and of nothing else there is no quantile: None.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share is {share}; it must lie between 0 and 1")
    total = sum(count for _, count in distribution["bins"]) + distribution["infinite"]
    if total == 0:
        return None
    # Less a little, so that 0.1 of 30, which is not quite 3 in floating point, is the third.
    wanted = max(1, math.ceil(share * total * (1.0 - 1e-12)))
    bin_ = _bin_of(distribution["bins"], wanted)
    return math.inf if bin_ is None else edge(bin_)


def distribution(histogram: Mapping[str, Any], *, bins: int = 120) -> dict[str, Any]:
    """Return a histogram of a document as at most `bins` bins of equal width, ready to draw.

    `edges` has one number more than `counts`; both are empty when no value is finite. Where 0 is in
    range it is an edge, so gains and losses are never in one bin. The range is that of all variants
    but the outer 0.5 % on each side. Those are counted in the outer bins, and again as `below` and
    `above`. `undefined` and `infinite` values are in no bin. As the stored bins are wide, a value
    near an edge may be counted on the other side of it: up to 1/64 of itself away.
    """
    if bins < 2:
        raise ValueError(f"bins is {bins}; there must be 2 at least")
    stored: Sequence[Sequence[int]] = histogram["bins"]
    edges = _equal_edges(stored, bins)
    counts = [0] * max(0, len(edges) - 1)
    below = above = 0
    for bin_, count in stored:
        low, high = _sides(bin_)
        at = bisect_right(edges, low + 0.5 * (high - low)) - 1
        below += count if at < 0 else 0
        above += count if at >= len(counts) else 0
        counts[min(max(at, 0), len(counts) - 1)] += count
    return {
        "edges": edges,
        "counts": counts,
        "below": below,
        "above": above,
        "undefined": histogram["undefined"],
        "infinite": histogram["infinite"],
    }


def _equal_edges(stored: Sequence[Sequence[int]], bins: int) -> list[float]:
    """Return the edges of a drawing: multiples of one width, which no stored bin exceeds."""
    total = sum(count for _, count in stored)
    first = _bin_of(stored, max(1, math.ceil(TAIL * total)))
    last = _bin_of(stored, math.ceil((1.0 - TAIL) * total))
    if not total or first is None or last is None:
        return []
    low, high = _sides(first)[0], _sides(last)[1]
    width = _finite((high / (bins - 1) - low / (bins - 1)) * (1.0 + 1e-9))
    sides = [_sides(bin_) for bin_, _ in stored if first <= bin_ <= last]
    width = max(width, _NARROWEST, *(right - left for left, right in sides))
    begin = math.floor(low / width)
    end = max(begin + 1, math.ceil(high / width))
    return [_finite(number * width) for number in range(begin, end + 1)]


def _bin_of(stored: Sequence[Sequence[int]], wanted: int) -> int | None:
    """Return the bin of value number `wanted`, from 1; None beyond the last one."""
    for bin_, count in stored:
        wanted -= count
        if wanted <= 0:
            return bin_
    return None


def _sides(bin_: int) -> tuple[float, float]:
    return _finite(edge(bin_)), _finite(edge(bin_ + 1))


def _finite(value: float) -> float:
    return min(max(value, -sys.float_info.max), sys.float_info.max)
