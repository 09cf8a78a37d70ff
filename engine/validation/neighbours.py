"""The neighbours of a variant: one step up or down on one ordered axis, all else equal.

A result that means something does not depend on the third digit of a parameter: next to it lie
results like it. A lone peak is luck.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.metric_names import ASCENDING
from engine.report.figures import as_stored
from engine.validation.axes import NONE, OrderedAxis
from engine.validation.scoring import Scores

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

STEPS = {"lower": -1, "higher": 1}


def neighbours(axes: tuple[OrderedAxis, ...], indexes: Int64) -> Int64:
    """Return int64[R, A, 2]: the lower and the higher neighbour of variants on each axis.

    `indexes` int64[R] are variants of the stage that the axes are of. `NONE` where there is none.
    """
    indexes = np.asarray(indexes, np.int64)
    found = np.empty((len(indexes), len(axes), len(STEPS)), np.int64)
    for number, axis in enumerate(axes):
        for side, step in enumerate(STEPS.values()):
            found[:, number, side] = axis.beside(indexes, step)
    return found


def listed(axes: tuple[OrderedAxis, ...], beside: Int64) -> list[dict[str, Any]]:
    """Return the neighbours int64[A, 2] of one variant in JSON types, as a page lists them."""
    return [
        {
            "axis": axis.name,
            "step": step,
            "value": axis.values[int(axis.places(pair[side : side + 1])[0])],
            "variant_index": int(pair[side]),
        }
        for axis, pair in zip(axes, beside, strict=True)
        for side, step in enumerate(STEPS)
        if pair[side] != NONE
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """How the neighbours of R variants did, in their order; a number that is undefined is NaN.

    Total return is over all neighbours whose account stayed finite, ruined ones included. The
    primary metric is over the `defined` ones: it has a value and they are not ruined, as no ruined
    variant is ranked by it. Of an even number the median is the mean of the two in the middle.
    `twins` trade exactly as the variant itself: a step that changes nothing proves nothing.
    """

    number: Int64
    ruined: Int64
    twins: Int64
    median_return: Float64  # percent
    worst_return: Float64  # percent
    defined: Int64
    median_primary: Float64
    worst_primary: Float64

    @classmethod
    def of(cls, primary: str, own: Scores, of: Int64, beside: Scores) -> "Summary":
        """Sum up neighbours int64[n], of which `of` int64[n] says whose they are, in 0..R-1.

        `own` are the scores of the R variants, `beside` those of the n neighbours. `primary` names
        the metric; the worst is the largest where smaller is better.
        """
        rows = len(own.ruined)
        twin = (beside.signature == own.signature[of]).all(axis=1)
        ranked = np.where(beside.ruined, np.nan, beside.primary)
        better = -1.0 if primary in ASCENDING else 1.0
        return cls(
            np.bincount(of, minlength=rows),
            np.bincount(of[beside.ruined], minlength=rows),
            np.bincount(of[twin], minlength=rows),
            *_median_and_worst(of, beside.total_return, rows, 1.0),
            np.bincount(of[~np.isnan(ranked)], minlength=rows),
            *_median_and_worst(of, ranked, rows, better),
        )

    def document(self) -> list[dict[str, Any]]:
        """Return one object a variant in JSON types; what is infinite is None and listed so."""
        columns = {field.name: getattr(self, field.name).tolist() for field in fields(self)}
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        return [
            as_stored({name: None if value != value else value for name, value in row.items()})
            for row in rows
        ]


def _median_and_worst(
    of: Int64, values: Float64, rows: int, better: float
) -> tuple[Float64, Float64]:
    """Return float64[rows] each, of the values that are not NaN; `better` is -1 if less is."""
    defined = ~np.isnan(values)
    of, values = of[defined], values[defined]
    values = values[np.lexsort((better * values, of))]
    count = np.bincount(of, minlength=rows)
    some = count > 0
    first, count = (np.cumsum(count) - count)[some], count[some]
    low, high = values[first + (count - 1) // 2], values[first + count // 2]
    median, worst = np.full(rows, np.nan), np.full(rows, np.nan)
    median[some] = 0.5 * low + 0.5 * high
    worst[some] = values[first]
    return median, worst
