"""Reading and writing 1-minute candles, whatever holds them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from storage import statements
from storage.candles.minutes import check_instrument
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
        try:
            check_instrument(market_id, symbol)
        except ValueError:
            return _bars([])  # nothing can have been stored under such a name
        begin, end = max(from_ms, EARLIEST_MS), min(to_ms, LATEST_MS)
        key = {"market_id": market_id, "symbol": symbol}
        if end - begin > WINDOW_MS:
            bounds = self._select("bounds", {**key, "from_ms": begin, "to_ms": end}).to_pylist()[0]
            if not bounds["found"]:
                return _bars([])
            begin = max(begin, bounds["first_ms"])
            end = min(end, bounds["last_ms"] + 1)
        tables = []
        while begin < end:
            stop = min(end, begin - begin % DAY_MS + WINDOW_MS)
            tables.append(
                self._select(
                    "roll_up",
                    {**key, "from_ms": begin, "to_ms": stop, "timeframe_ms": timeframe_ms},
                )
            )
            begin = stop
        return _bars(tables)

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
