"""What the API asks the candle store, through a few stores that stay open."""

import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

from api.known import Known
from configs.environment import CandlesFolder, ClickHouseServer
from engine.candles import load_range
from engine.coverage import Presence
from engine.request import Request
from storage.candles import CandleSourceUnavailable, CandleStore, Instrument, open_store

Result = TypeVar("Result")

STORES = 4
"""How many calls may wait for the candle source at once: others go on meanwhile."""

ANSWER_SECONDS = 10
TURN_SECONDS = 1.0
"""Whoever waits for a turn holds a thread of the server: where the source is silent, the calls that
need none of it would soon wait as well."""

REMEMBERED = 1_000


class Candles:
    """The candle store for many threads; each store in it is used by one at a time.

    Nothing is opened before the first question. Asking raises `CandleSourceUnavailable` and
    `MemoryError`. What was found is believed for `cache_seconds`; that nothing was found is asked
    again each time, so that an import is seen at once.
    """

    def __init__(self, source: ClickHouseServer | CandlesFolder, *, cache_seconds: float) -> None:
        self._source = source
        self._turns = threading.BoundedSemaphore(STORES)
        self._idle: list[CandleStore] = []
        self._lock = threading.Lock()
        self._known = Known(cache_seconds, REMEMBERED)

    def ask(self, work: Callable[[CandleStore], Result]) -> Result:
        """Return what `work(store)` returns."""
        if not self._turns.acquire(timeout=TURN_SECONDS):
            raise CandleSourceUnavailable("the candle source is busy: too many questions at once")
        try:
            store = self._take()
            try:
                result = work(store)
            except BaseException:
                store.close()  # the next question begins with a new connection
                raise
            with self._lock:
                self._idle.append(store)
            return result
        finally:
            self._turns.release()

    def presence(self, request: Request) -> Presence:
        """Return which bars of a request have candles."""
        start_ms, end_ms, step = request.start_ms, request.end_ms, request.timeframe_ms
        from_ms, _ = load_range(start_ms, end_ms, step, request.warmup_bars)
        key = (request.market_id, request.symbol, step, from_ms, start_ms, end_ms)
        found: Presence | None = self._known.get(key)
        if found is None:
            answer = self.ask(
                lambda store: store.presence(
                    request.market_id,
                    request.symbol,
                    step,
                    from_ms=from_ms,
                    start_ms=start_ms,
                    end_ms=end_ms,
                )
            )
            found = Presence(**asdict(answer))
            if found.bars:
                self._known.put(key, found)
        return found

    def instruments(self) -> list[Instrument]:
        """Return everything there is."""
        found: list[Instrument] | None = self._known.get("instruments")
        if found is None:
            found = self.ask(lambda store: store.instruments())
            if found:
                self._known.put("instruments", found)
        return found

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            idle, self._idle = self._idle, []
        for store in idle:
            store.close()

    def _take(self) -> CandleStore:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return open_store(self._source, answer_seconds=ANSWER_SECONDS)
