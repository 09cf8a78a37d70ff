"""Surfaces: what the search found over two parameters, over all the values of all the others.

A good region is broad, and its median follows its best; a lone spike is luck. Scores are those of
stage A, so the axes are those of base variants: every pair of ordered ones. A single one gives a
profile.

All is counted from one order of the scores. Within it a stable radix sort by cell leaves the
scores of each cell in order, best first: so best and median are read off, and N variants and P
pairs take time in the order of N log N + P N, and memory of about 30 bytes a variant.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.grid import Variants
from engine.metric_names import ASCENDING
from engine.request import Request
from engine.validation.axes import OrderedAxis, base_axes

Bools = NDArray[np.bool_]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Places = NDArray[np.uint8]

MOST_BINS = 200
"""Runs of values per axis at most: a place is a uint8, and a cell a uint16, which sort by radix."""

_AT_ONCE = 2**15


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One side of a surface: the values of an axis, or as many runs of them as are shown.

    Run b of n has the values v with `v * n // number of values == b`: of like lengths, none empty.
    """

    axis: OrderedAxis
    length: int

    @classmethod
    def of(cls, axis: OrderedAxis) -> "Side":
        """Bin the values of an axis if they are more than `MOST_BINS`."""
        return cls(axis, min(len(axis.values), MOST_BINS))

    def places(self, count: int, stride: int) -> Places:
        """Return uint8[count]: in which run base variants 0, stride, 2 * stride, ... are."""
        run = np.arange(len(self.axis.values)) * self.length // len(self.axis.values)
        places = np.empty(count, np.uint8)
        for start in range(0, count, _AT_ONCE):
            part = np.arange(start, min(start + _AT_ONCE, count)) * stride
            places[start : start + _AT_ONCE] = run[self.axis.places(part)]
        return places

    def document(self) -> dict[str, Any]:
        """Return the axis in JSON types: `values` are the first ones of the runs.

        Of an axis that is binned, `last` are the last ones and `binned` is how many values it has.
        """
        axis = self.axis
        first = [-(-run * len(axis.values) // self.length) for run in range(self.length + 1)]
        named = {"block": axis.block, "part": axis.part, "parameter": axis.parameter}
        shown = {"axis": axis.name, **named, "values": [axis.values[at] for at in first[:-1]]}
        if self.length == len(axis.values):
            return shown
        last = [axis.values[at - 1] for at in first[1:]]
        return {**shown, "last": last, "binned": len(axis.values)}


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """The cells of two axes, row after row: cell (i, j) is number `i * y.length + j`.

    Without `y` it is a profile. `variants` are those counted, `eligible` those of them with a
    score, `profitable` the eligible ones with a total return above 0. `best` is by the direction of
    the metric; of equals `best_index` is the lowest base index. Of an even number the median is the
    mean of the two in the middle. Without an eligible variant they are NaN and -1.
    """

    x: Side
    y: Side | None
    metric: str
    stride: int
    variants: Int64
    eligible: Int64
    profitable: Int64
    best: Float32
    median: Float64
    best_index: Int64

    def document(self) -> dict[str, Any]:
        """Return the surface in JSON types, a list per column.

        A cell without variants, as no pair is valid there or none was counted, is None in all of
        them. A figure that is infinite is None, and `infinite` lists its cells by column.
        """
        none = self.variants == 0
        without = self.eligible == 0
        share = 100.0 * self.profitable / np.maximum(self.eligible, 1)
        infinite = {
            name: np.flatnonzero(np.isinf(column)).tolist()
            for name, column in (("best", self.best), ("median", self.median))
            if np.isinf(column).any()
        }
        return {
            "metric": self.metric,
            "x": self.x.document(),
            **({} if self.y is None else {"y": self.y.document()}),
            "stride": self.stride,
            "variants": _column(self.variants, none),
            "eligible": _column(self.eligible, none),
            "profitable_pct": _column(share, without),
            "best": _column(self.best, ~np.isfinite(self.best)),
            "median": _column(self.median, ~np.isfinite(self.median)),
            "best_index": _column(self.best_index, without),
            **({"infinite": infinite} if infinite else {}),
        }


def coprime_stride(base_total: int, most: int) -> int:
    """Return the least stride by which at most `most` of the base variants are counted.

    It has no divisor with `base_total` in common: ten values of the fastest axis and a stride of
    ten would leave one of them.
    """
    stride = max(1, -(-base_total // most))
    while gcd(stride, base_total) > 1:
        stride += 1
    return stride


def surfaces(
    request: Request, scores: Float32, *, returns: Float32 | None = None, stride: int = 1
) -> Iterator[Surface]:
    """Make a surface for every pair of ordered axes of stage A, in the order of the grid.

    `scores` float32[n] is the primary metric of base variants 0, stride, 2 * stride, ...; NaN is
    not eligible: undefined, ruined or of too few trades. `returns` float32[n] are their total
    returns in percent; without them the scores are. Without an ordered axis there are none.
    Raises ValueError if there are other than `n` such variants, or if returns are missing.
    """
    metric = request.ranking.primary_metric
    total = Variants.of(request).base_total
    expected = -(-total // stride)
    if returns is None and metric != "total_return_pct":
        raise ValueError(f"scores by {metric} tell no profit: give the total returns too")
    returns = scores if returns is None else returns
    for what, column in (("scores", scores), ("returns", returns)):
        if len(column) != expected:
            raise ValueError(
                f"{len(column)} {what}, but {total} base variants with a stride of {stride} "
                f"have {expected}: give one for each"
            )
    sides = [Side.of(axis) for axis in base_axes(request)]
    return _Counted.of(metric, stride, sides, scores, returns).all()


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """What all surfaces are made of: n variants, and the m eligible ones of them, best first."""

    metric: str
    stride: int
    sides: list[Side]
    places: list[Places]  # uint8[n] per side
    order: Int64  # int64[m]: which of the n
    scores: Float32  # float32[m]
    profitable: Bools  # bool[m]

    @classmethod
    def of(
        cls, metric: str, stride: int, sides: list[Side], scores: Float32, returns: Float32
    ) -> "_Counted":
        keys = scores if metric in ASCENDING else -scores
        eligible = len(scores) - int(np.isnan(scores).sum())
        order = np.argsort(keys, kind="stable")[:eligible]  # NaN comes last
        return cls(
            metric=metric,
            stride=stride,
            sides=sides,
            places=[side.places(len(scores), stride) for side in sides],
            order=order,
            scores=scores[order],
            profitable=returns[order] > 0.0,
        )

    def all(self) -> Iterator[Surface]:
        """Yield the profile of a single side, or the surfaces of all pairs."""
        if len(self.sides) == 1:
            yield self._surface(0, None)
        for x, y in combinations(range(len(self.sides)), 2):
            yield self._surface(x, y)

    def _surface(self, x: int, y: int | None) -> Surface:
        """Return the surface of two sides, or the profile of one."""
        size = self.sides[x].length
        cells = self.places[x].astype(np.uint16)
        if y is not None:
            size *= self.sides[y].length
            cells = cells * np.uint16(self.sides[y].length) + self.places[y]
        variants = np.bincount(cells, minlength=size)
        cells = cells[self.order]
        eligible = np.bincount(cells, minlength=size)
        some = eligible > 0
        by_cell = np.argsort(cells, kind="stable")
        first, count = (np.cumsum(eligible) - eligible)[some], eligible[some]
        best = by_cell[first]
        low, high = (
            self.scores[by_cell[at]].astype(np.float64)
            for at in (first + (count - 1) // 2, first + count // 2)
        )
        return Surface(
            x=self.sides[x],
            y=None if y is None else self.sides[y],
            metric=self.metric,
            stride=self.stride,
            variants=variants,
            eligible=eligible,
            profitable=np.bincount(cells[self.profitable], minlength=size),
            best=_spread(self.scores[best], some, np.float32(np.nan)),
            median=_spread(0.5 * low + 0.5 * high, some, np.nan),
            best_index=_spread(self.order[best] * self.stride, some, -1),
        )


def _spread(values: NDArray[Any], where: Bools, otherwise: Any) -> Any:
    """Return `values` in the cells `where`, and something else in the others."""
    column = np.full(len(where), otherwise, values.dtype)
    column[where] = values
    return column


def _column(values: NDArray[Any], without: Bools) -> list[Any]:
    """Return a list with None where there is no value."""
    column = values.astype(object)
    column[without] = None
    listed: list[Any] = column.tolist()
    return listed
