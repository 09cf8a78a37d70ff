"""Larger bars of a block: rolled up from the bars of a job, and which of them each bar sees.

A bar sees the last larger bar that closes when it does, or before. So one that is unfinished is
never seen, and what a block says is what it would say in a job on its own timeframe.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from engine.candles import Candles, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Larger:
    """Larger bars, and from which traded bar on each of them is seen.

    `candles` are the larger bars; the one at `candles.first` is the first that a traded bar sees,
    the K from there on count as traded. Of those, number k is seen from traded bar `begins[k]` on
    (int64[K + 1]) and before `begins[k + 1]`; the last entry is the number of traded bars. Before
    `begins[0]` none is seen.
    """

    candles: Candles
    begins: Int64

    @classmethod
    def of(cls, candles: Candles, timeframe_ms: int) -> Self:
        """Roll up candles to a multiple of their timeframe."""
        bars = rolled_up(candles, timeframe_ms)
        first = max(0, _seen(bars, int(candles.close_time()[candles.first])))
        known_at = candles.close_time()[candles.first :]
        begins = np.searchsorted(known_at, bars.close_time()[first:], side="left")
        traded = Candles(
            *(bars.ts_open, bars.open, bars.high, bars.low, bars.close, bars.volume),
            timeframe_ms=timeframe_ms,
            first=first,
            filled=bars.filled,
        )
        return cls(traded, np.append(begins, len(known_at)).astype(np.int64))


def rolled_up(candles: Candles, timeframe_ms: int) -> Candles:
    """Return the whole larger bars of candles from the first boundary on, as a job would have them.

    Boundaries lie as far after multiples of the larger timeframe as bars open after multiples of
    theirs. Bars before the first one are left out, and so is the last larger bar while it is
    unfinished. A filled bar counts in no larger bar that has another one: it repeats a close, and
    would lend it to the open, high or low. A larger bar of filled ones alone is filled itself.
    Of a market that closes there are the larger bars that have a bar.
    """
    phase_ms = int(candles.ts_open[0]) % candles.timeframe_ms
    number = (candles.ts_open - phase_ms) // timeframe_ms
    first_boundary = -(-(int(candles.ts_open[0]) - phase_ms) // timeframe_ms)
    closed = (int(candles.close_time()[-1]) - phase_ms) // timeframe_ms
    whole = slice(*np.searchsorted(number, (first_boundary, closed)).tolist())

    real = np.ones(len(number), np.bool_)
    real[candles.filled] = False
    _, bar = np.unique(number[whole], return_inverse=True)
    has_real = np.bincount(bar, real[whole]) > 0
    counted = np.flatnonzero(real[whole] | ~has_real[bar]) + whole.start
    bar = bar[counted - whole.start]
    begin = np.flatnonzero(np.append(True, bar[1:] != bar[:-1])[: len(bar)])
    end = np.append(begin[1:], len(bar))[: len(begin)] - 1
    none = np.empty(0)
    return Candles(
        ts_open=number[counted[begin]] * timeframe_ms + phase_ms,
        open=candles.open[counted[begin]],
        high=np.maximum.reduceat(candles.high[counted], begin) if len(begin) else none,
        low=np.minimum.reduceat(candles.low[counted], begin) if len(begin) else none,
        close=candles.close[counted[end]],
        volume=np.bincount(bar, candles.volume[counted]).astype(np.float64),
        timeframe_ms=timeframe_ms,
        first=0,
        filled=np.flatnonzero(~has_real),
    )


def bars_before(
    first_ms: int, earliest_ms: int, timeframe_ms: int, larger_ms: int, phase_ms: int = 0
) -> int:
    """Return how many whole larger bars precede the one seen on the bar that opens at `first_ms`.

    The first bar of all opens at `earliest_ms`, and none is missing. -1: no larger bar is seen.
    """
    first_boundary = -(-(earliest_ms - phase_ms) // larger_ms)
    seen = (first_ms + timeframe_ms - phase_ms) // larger_ms - 1
    return max(-1, seen - first_boundary)


def _seen(bars: Candles, time_ms: int) -> int:
    """Return the position of the last bar that is closed at a time; -1 where none is."""
    return int(np.searchsorted(bars.close_time(), time_ms, side="right")) - 1
