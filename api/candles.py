"""What the API asks the candle store, through a few stores that stay open."""

import threading
from collections.abc import Callable
from typing import TypeVar

from configs.environment import CandlesFolder, ClickHouseServer
from storage.candles import CandleSourceUnavailable, CandleStore, open_store

Result = TypeVar("Result")

STORES = 4
"""How many calls may wait for the candle source at once: others go on meanwhile."""

ANSWER_SECONDS = 10
TURN_SECONDS = 5.0


class Candles:
    """The candle store for many threads; each store in it is used by one at a time.

    Nothing is opened before the first question. Asking raises `CandleSourceUnavailable` and
    `MemoryError`.
    """

    def __init__(self, source: ClickHouseServer | CandlesFolder, *, cache_seconds: float) -> None:
        self._cache_seconds = cache_seconds
        self._source = source
        self._turns = threading.BoundedSemaphore(STORES)
        self._idle: list[CandleStore] = []
        self._lock = threading.Lock()

    def ask(self, work: Callable[[CandleStore], Result]) -> Result:
        """Return what `work(store)` returns."""
        if not self._turns.acquire(timeout=TURN_SECONDS):
            raise CandleSourceUnavailable("the candle source is busy: too many questions at once")
        try:
            store = self._take()
            try:
                result = work(store)
            except CandleSourceUnavailable:
                store.close()  # the next question begins with a new connection
                raise
            except BaseException:
                self._give_back(store)
                raise
            self._give_back(store)
            return result
        finally:
            self._turns.release()

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

    def _give_back(self, store: CandleStore) -> None:
        with self._lock:
            self._idle.append(store)
