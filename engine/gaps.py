"""Gaps between the bars of an instrument, and the hours in which its market is closed."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.sessions import missing

Int64 = NDArray[np.int64]


class Gaps(NamedTuple):
    """Stretches without a bar: int64[G] when the first missing bar opens, how many are missing.

    `end_ms` is when the last missing bar ends.
    """

    start_ms: Int64
    bars: Int64
    end_ms: Int64


def gaps(ts_open: Int64, timeframe_ms: int, *, sessions: bool = False) -> Gaps:
    """Find the gaps between bars int64[N], ascending by multiples of the timeframe.

    With `sessions`, hours in which the market is closed are no gaps, and do not count in one.
    """
    every = _stretches(ts_open, timeframe_ms)
    if not sessions or not len(every.bars):
        return every
    lacking = _lacking(ts_open, timeframe_ms)
    first = np.searchsorted(lacking, every.start_ms)
    bars = np.searchsorted(lacking, every.end_ms) - first
    outage = bars > 0
    first, bars = first[outage], bars[outage]
    return Gaps(lacking[first], bars, lacking[first + bars - 1] + timeframe_ms)


def closures(ts_open: Int64, timeframe_ms: int) -> Gaps:
    """Find the stretches between bars in which a market with sessions is closed.

    `bars` are those that would fit in; an outage beside closed hours does not count.
    """
    every = _stretches(ts_open, timeframe_ms)
    if not len(every.bars):
        return every
    lacking = _lacking(ts_open, timeframe_ms)
    outage = np.searchsorted(lacking, every.end_ms) - np.searchsorted(lacking, every.start_ms)
    closed = every.bars - outage
    return Gaps(*(column[closed > 0] for column in (every.start_ms, closed, every.end_ms)))


def _stretches(ts_open: Int64, timeframe_ms: int) -> Gaps:
    bars = np.diff(ts_open) // timeframe_ms - 1
    empty = bars > 0
    return Gaps(ts_open[:-1][empty] + timeframe_ms, bars[empty], ts_open[1:][empty])


def _lacking(ts_open: Int64, timeframe_ms: int) -> Int64:
    return missing(ts_open, timeframe_ms, int(ts_open[0]), int(ts_open[-1]) + timeframe_ms)
