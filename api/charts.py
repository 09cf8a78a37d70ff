"""The bars of a job as a picture needs them: few enough to draw, with their extremes."""

import math
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from api.candles import Candles as Source
from api.known import Known
from engine.candles import Candles
from engine.loading import load
from engine.request import Request
from storage.candles import CandleSourceUnavailable

KEPT = 2
"""How many jobs' candles are kept: a year of minutes is 25 MB."""

TURN_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """Bars put together, `every` of them into one, the last one perhaps of fewer.

    `times` int64[N] are the close times of the last bars in ms, all others float64[N].
    """

    times: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    every: int


def drawn(candles: Candles, from_ms: int | None, to_ms: int | None, points: int) -> Drawn:
    """Put the traded bars that open in `[from_ms, to_ms)` together to at most `points`."""
    opens = candles.ts_open
    first, last = candles.first, len(opens)
    if from_ms is not None:
        first = max(first, int(np.searchsorted(opens, from_ms)))
    if to_ms is not None:
        last = min(last, int(np.searchsorted(opens, to_ms)))
    count = max(0, last - first)
    every = max(1, math.ceil(count / points))
    begins = np.arange(first, first + count, every)
    ends = np.minimum(begins + every, first + count) - 1

    def merged(function: np.ufunc, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if not count:
            return np.empty(0)
        found: NDArray[np.float64] = function.reduceat(values[: first + count], begins)
        return found

    return Drawn(
        times=candles.close_time()[ends],
        open=candles.open[begins],
        high=merged(np.maximum, candles.high),
        low=merged(np.minimum, candles.low),
        close=candles.close[ends],
        volume=merged(np.add, candles.volume),
        every=every,
    )


class Loaded:
    """Candles of jobs that are looked at, with their hashes; one is loaded at a time."""

    def __init__(self, source: Source, *, cache_seconds: float) -> None:
        self._source = source
        self._kept = Known(cache_seconds, KEPT)
        self._turn = threading.Lock()

    def of(self, request: Request, expected: str | None) -> tuple[Candles, str]:
        """Return the candles of a request and their hash.

        What is kept with another hash than the expected one may be older than the job that has it,
        and is loaded again. Raises NoMarketData, and what asking the candle source raises.
        """
        key = (
            *(request.market_id, request.symbol, request.timeframe_ms),
            *(request.start_ms, request.end_ms, request.warmup_bars, request.wants_stored_funding),
        )
        if not self._turn.acquire(timeout=TURN_SECONDS):
            raise CandleSourceUnavailable("the candle source is busy: too many questions at once")
        try:
            kept: tuple[Candles, str] | None = self._kept.get(key)
            if kept is None or (expected is not None and kept[1] != expected):
                candles = self._source.ask(
                    lambda store: load(request, store.bars, store.known, store.funding)
                )
                kept = candles, candles.content_hash()
                self._kept.put(key, kept)
            return kept
        finally:
            self._turn.release()
