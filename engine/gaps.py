"""Gaps between the bars of an instrument."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.sessions import missing

Int64 = NDArray[np.int64]


class Gaps(NamedTuple):
    """Stretches without a bar: int64[G] when the first missing bar opens, how many are missing."""

    start_ms: Int64
    bars: Int64


def gaps(ts_open: Int64, timeframe_ms: int, *, sessions: bool = False) -> Gaps:
    """Find the gaps between bars int64[N], ascending by multiples of the timeframe.

    With `sessions`, hours in which the market is closed are no gaps, and do not count in one.
    """
    if len(ts_open) < 2:
        return Gaps(np.empty(0, np.int64), np.empty(0, np.int64))
    if sessions:
        first, end = int(ts_open[0]), int(ts_open[-1]) + timeframe_ms
        lacking = missing(ts_open, timeframe_ms, first, end)
        before = np.searchsorted(lacking, ts_open)
        counts = np.diff(before)
        starts = lacking[before[:-1][counts > 0]]
    else:
        counts = np.diff(ts_open) // timeframe_ms - 1
        starts = ts_open[:-1][counts > 0] + timeframe_ms
    return Gaps(starts, counts[counts > 0].astype(np.int64))
