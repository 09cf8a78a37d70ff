"""Pivots: bars that stand out among their neighbours, known some bars later."""

import numpy as np
from numpy.typing import NDArray

from engine.compiled import Floats, kernel, part

Reach = NDArray[np.int32]

LEAST = 2  # the smallest `left` and `right` that are declared


@kernel
def pivots(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: left, right. How far each bar stands out is found once for all rows."""
    high, depth = inputs[0], -inputs[1]
    reach = np.zeros((4, high.shape[0]), np.int32)
    _reach(high, reach[0], reach[1])
    _reach(depth, reach[2], reach[3])
    for p in range(out.shape[0]):
        _last_pivot(reach, np.int32(params[p, 0]), np.int32(params[p, 1]), out[p])


@part
def _reach(x: Floats, before: Reach, after: Reach) -> None:
    """Write how many bars before and after bar i are below x[i] in a row.

    Left at 0 unless there are `LEAST` on both sides. How many come after takes later bars to know:
    a reader at bar t may ask only whether they are at least t - i.
    """
    bars = x.shape[0]
    stands_out = np.zeros(bars, np.bool_)
    stands_out[LEAST : bars - LEAST] = True
    for lag in range(1, LEAST + 1):
        for i in range(LEAST, bars - LEAST):
            stands_out[i] &= (x[i - lag] < x[i]) & (x[i + lag] < x[i])
    chosen = np.flatnonzero(stands_out)
    for bar in chosen:  # what a lower bar exceeds is lower as well: leap over it
        j = bar - 1
        while j >= 0 and x[j] < x[bar]:
            j -= 1 + before[j]
        before[bar] = bar - 1 - j
    for bar in chosen[::-1]:
        j = bar + 1
        while j < bars and x[j] < x[bar]:
            j += 1 + after[j]
        after[bar] = j - bar - 1


@part
def _last_pivot(reach: Reach, left: np.int32, right: np.int32, out: Floats) -> None:
    """Write 1 after a pivot low, -1 after a pivot high; both on one bar change nothing."""
    bars = out.shape[0]
    out[: min(left + right, bars)] = np.nan
    confirmed = max(bars - right, 0)
    turns = np.empty(confirmed, np.int8)  # a loop of its own: it does without branches
    for i in range(confirmed):
        top = (reach[0, i] >= left) & (reach[1, i] >= right)
        bottom = (reach[2, i] >= left) & (reach[3, i] >= right)
        turns[i] = np.int8(bottom) - np.int8(top)
    state = 0.0
    for i in range(left, confirmed):
        if turns[i] != 0:
            state = float(turns[i])
        out[i + right] = state
