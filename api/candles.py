"""What the API asks the candle store, through a few stores that stay open."""

import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

from api.known import Known
from configs.environment import CandlesFolder, ClickHouseServer
from engine.candles import NoMarketData, load_range
from engine.coverage import Coverage, Presence
from engine.funding import Funding
from engine.loading import Known as Facts
from engine.loading import load_bars, load_funding, refuse
from engine.request import Request, RequestError
from engine.timeframes import MINUTE_MS
from storage.candles import CandleSourceUnavailable, CandleStore, Instrument, open_store

Result = TypeVar("Result")

STORES = 4
"""How many calls may wait for the candle source at once: others go on meanwhile."""

ANSWER_SECONDS = 10
TURN_SECONDS = 1.0
"""Whoever waits for a turn holds a thread of the server: where the source is silent, the calls that
need none of it would soon wait as well."""

REMEMBERED = 1_000

NOTHING = Presence(0, None, None, 0, None, None, None, None, None)


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
        """Return which bars of a request have candles.

        Raises RequestError for what the instrument cannot give.
        """
        start_ms, end_ms, step = request.start_ms, request.end_ms, request.timeframe_ms
        from_ms, _ = load_range(start_ms, end_ms, step, request.warmup_bars)
        key = (request.market_id, request.symbol, step, from_ms, start_ms, end_ms)
        found: tuple[Facts, Presence] | None = self._known.get(key)
        if found is None:
            found = self.ask(lambda store: _presence(request, store, from_ms))
            if found[1].bars:
                self._known.put(key, found)
        facts, presence = found
        refuse(request, facts)
        return presence

    def funding(self, request: Request, coverage: Coverage) -> Funding:
        """Return the stored funding of what is traded; raises RequestError where there is none."""
        traded = coverage.traded_start_ms, coverage.traded_end_ms
        return self.ask(lambda store: load_funding(request, store.funding, *traded))

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


def _presence(request: Request, store: CandleStore, from_ms: int) -> tuple[Facts, Presence]:
    """Return what is known of the instrument of a request, and which of its bars there are."""
    facts = store.known(request.market_id, request.symbol)
    start_ms, end_ms, step = request.start_ms, request.end_ms, request.timeframe_ms
    if not facts.sessions and facts.timeframe_ms == MINUTE_MS:
        answer = store.presence(
            *(request.market_id, request.symbol, step),
            from_ms=from_ms,
            start_ms=start_ms,
            end_ms=end_ms,
        )
        return facts, Presence(**asdict(answer))
    # Of few bars, or such as only loaded candles tell from the hours in which the market is closed.
    try:
        return facts, Presence.of(load_bars(request, store.bars, lambda *_: facts))
    except (NoMarketData, RequestError):
        return facts, NOTHING
