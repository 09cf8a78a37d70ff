"""Reading and writing 1-minute candles, whatever holds them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from storage import statements
from storage.candles.minutes import check_instrument
from storage.candles.presence import Presence, joined
from storage.candles.records import (
    MINUTE_MS,
    Bars,
    CandleSourceUnavailable,
    Instrument,
    utc,
)

# A year of minutes with warm-up is one query, so it is one snapshot; longer ranges are read window
# by window to bound the engine's memory. Whole days, so that no bucket is cut.
DAY_MS = 1440 * MINUTE_MS
WINDOW_MS = 400 * DAY_MS
# What DateTime64(3) can hold.
EARLIEST_MS, LATEST_MS = 0, 10_413_791_999_000

ROLLED_UP = ("bucket", "first_open", "highest", "lowest", "last_close", "volume")


class CandleStore(ABC):
    """1-minute candles of many instruments; a context manager that closes its engine.

    Nothing is opened before the first use or `start`. Reading raises `CandleSourceUnavailable`, and
    `MemoryError` when the embedded engine cannot get memory.
    """

    def bars(
        self, market_id: int, symbol: str, from_ms: int, to_ms: int, timeframe_ms: int
    ) -> Bars:
        """Buckets of the minutes in `[from_ms, to_ms)`; empty when there are none.

        Buckets without a valid minute are absent. The same minutes give the same bytes in every
        run.
        """
        return _bars(
            [
                self._select("roll_up", {**window, "timeframe_ms": timeframe_ms})
                for window in self._windows(market_id, symbol, from_ms, to_ms)
            ]
        )

    def presence(
        self,
        market_id: int,
        symbol: str,
        timeframe_ms: int,
        *,
        from_ms: int,
        start_ms: int,
        end_ms: int,
    ) -> Presence:
        """Which of the bars that `bars` gives for `[from_ms, end_ms)` lie in `[start_ms, end_ms)`.

        `from_ms` is a multiple of the timeframe.
        """
        asked = {"start_ms": start_ms, "end_ms": end_ms, "timeframe_ms": timeframe_ms}
        return joined(
            [
                self._select("presence", {**window, **asked}).to_pylist()[0]
                for window in self._windows(market_id, symbol, from_ms, end_ms)
            ],
            timeframe_ms,
        )

    def extent(self, market_id: int, symbol: str) -> tuple[datetime, datetime] | None:
        """First and last minute of an instrument, None when it has none."""
        if not _possible(market_id, symbol):
            return None
        bounds = self._bounds(market_id, symbol, EARLIEST_MS, LATEST_MS)
        return (utc(bounds["first_ms"]), utc(bounds["last_ms"])) if bounds["found"] else None

    def names(self) -> list[tuple[int, str]]:
        """Market and symbol of everything the store holds, in this order."""
        return [(row["market_id"], row["symbol"]) for row in self._select("names", {}).to_pylist()]

    def _windows(
        self, market_id: int, symbol: str, from_ms: int, to_ms: int
    ) -> Iterator[dict[str, Any]]:
        """Cut a range into windows, each as the parameters that a statement takes."""
        if not _possible(market_id, symbol):
            return
        begin, end = max(from_ms, EARLIEST_MS), min(to_ms, LATEST_MS)
        if end - begin > WINDOW_MS:
            bounds = self._bounds(market_id, symbol, begin, end)
            if not bounds["found"]:
                return
            begin = max(begin, bounds["first_ms"])
            end = min(end, bounds["last_ms"] + 1)
        while begin < end:
            stop = min(end, begin - begin % DAY_MS + WINDOW_MS)
            yield _minutes(market_id, symbol, begin, stop)
            begin = stop

    def _bounds(self, market_id: int, symbol: str, from_ms: int, to_ms: int) -> dict[str, Any]:
        asked = _minutes(market_id, symbol, from_ms, to_ms)
        return dict(self._select("bounds", asked).to_pylist()[0])

    def instruments(self) -> list[Instrument]:
        """Everything the store holds, ordered by market and symbol."""
        return [
            Instrument(
                market_id=row["market_id"],
                symbol=row["symbol"],
                first=utc(row["first_ms"]),
                last=utc(row["last_ms"]),
                minutes=row["minutes"],
            )
            for row in self._select("instruments", {}).to_pylist()
        ]

    @abstractmethod
    def append(self, market_id: int, symbol: str, chunks: Iterable[Bars]) -> int:
        """Publish minutes, which win over those already there; returns how many differed from them.

        Chunks and the minutes within are ascending. Publishing what is already there changes
        nothing. Raises `ValueError` for minutes that are unsorted or no whole minutes.
        """

    def start(self) -> None:
        """Start what answers queries, which the first query does otherwise.

        For a caller who limits its memory afterwards: the embedded engine does not survive a start
        with too little of it.
        """
        self._select("nothing", {})

    @abstractmethod
    def close(self) -> None:
        """Close the engine or connection; harmless when it is not open."""

    @abstractmethod
    def _select(self, statement: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Run a statement of candles.sql."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _minutes(market_id: int, symbol: str, from_ms: int, to_ms: int) -> dict[str, Any]:
    return {"market_id": market_id, "symbol": symbol, "from_ms": from_ms, "to_ms": to_ms}


def _possible(market_id: int, symbol: str) -> bool:
    """Whether anything can have been stored under such a name."""
    try:
        check_instrument(market_id, symbol)
    except ValueError:
        return False
    return True


def statement(name: str) -> str:
    """Look up a statement of candles.sql."""
    return statements.load("candles")[name]


def _bars(tables: list[pa.Table]) -> Bars:
    if not tables:
        return Bars(np.empty(0, np.int64), *(np.empty(0) for _ in range(5)))
    table = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
    if table.column_names != list(ROLLED_UP):
        raise CandleSourceUnavailable(
            f"the candle source answered with columns {table.column_names}"
        )
    ts_open, *columns = (np.ascontiguousarray(table.column(name).to_numpy()) for name in ROLLED_UP)
    return Bars(ts_open, *columns)
