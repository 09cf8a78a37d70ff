"""Reading and writing 1-minute candles, whatever holds them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from storage import statements
from storage.candles.arrow import as_numpy
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
        return Bars.joined(
            [
                _bars(self._select("roll_up", {**window, "timeframe_ms": timeframe_ms}))
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
        if not possible(market_id, symbol):
            return None
        bounds = self._bounds(market_id, symbol, EARLIEST_MS, LATEST_MS)
        return (utc(bounds["first_ms"]), utc(bounds["last_ms"])) if bounds["found"] else None

    def names(self) -> list[tuple[int, str]]:
        """Market and symbol of everything the store holds, in this order."""
        return [(row["market_id"], row["symbol"]) for row in self._listed("names")]

    def _windows(
        self, market_id: int, symbol: str, from_ms: int, to_ms: int
    ) -> Iterator[dict[str, Any]]:
        """Cut a range into windows, each as the parameters that a statement takes."""
        if not possible(market_id, symbol):
            return

        def extent(begin: int, end: int) -> tuple[int, int] | None:
            bounds = self._bounds(market_id, symbol, begin, end)
            return (bounds["first_ms"], bounds["last_ms"]) if bounds["found"] else None

        for begin, end in windows(from_ms, to_ms, extent):
            yield _minutes(market_id, symbol, begin, end)

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
            for row in self._listed("instruments")
        ]

    def version(self) -> str:
        """Which version of the engine answers."""
        return str(self._select("version", {}).column("version").cast(pa.string())[0])

    def _listed(self, name: str) -> list[dict[str, Any]]:
        rows = self._select(name, {})
        # Older servers send texts as bytes.
        symbols = rows.column("symbol").cast(pa.string())
        rows = rows.set_column(rows.schema.get_field_index("symbol"), "symbol", symbols)
        return list(rows.to_pylist())

    @abstractmethod
    def append(self, market_id: int, symbol: str, chunks: Iterable[Bars]) -> int:
        """Publish minutes, which win over those already there; returns how many differed from them.

        Chunks and the minutes within are ascending. Publishing what is already there changes
        nothing. Raises `ValueError` for minutes that are unsorted or no whole minutes.
        """

    @abstractmethod
    def start(self, market_id: int, symbol: str) -> None:
        """Start what the next `bars` of an instrument needs, which it does itself otherwise.

        For a caller who limits its memory afterwards: the embedded engine does not survive a start
        with too little of it, and allocators reserve room at their first use.
        """

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


def possible(market_id: int, symbol: str) -> bool:
    """Whether anything can have been stored under such a name."""
    try:
        check_instrument(market_id, symbol)
    except ValueError:
        return False
    return True


def windows(
    from_ms: int, to_ms: int, extent: Callable[[int, int], tuple[int, int] | None]
) -> Iterator[tuple[int, int]]:
    """Cut a range into windows; of one that is longer, only the `extent` (ms) of what is there."""
    begin, end = max(from_ms, EARLIEST_MS), min(to_ms, LATEST_MS)
    if end - begin > WINDOW_MS:
        bounds = extent(begin, end)
        if bounds is None:
            return
        begin, end = max(begin, bounds[0]), min(end, bounds[1] + 1)
    while begin < end:
        stop = min(end, begin - begin % DAY_MS + WINDOW_MS)
        yield begin, stop
        begin = stop


def statement(name: str) -> str:
    """Look up a statement of candles.sql."""
    return statements.load("candles")[name]


def _bars(table: pa.Table) -> Bars:
    types = [pa.int64(), *[pa.float64()] * 5]
    if table.column_names != list(ROLLED_UP) or table.schema.types != types:
        raise CandleSourceUnavailable(f"the candle source answered with columns {table.schema}")
    return Bars(*(as_numpy(table.column(name)) for name in ROLLED_UP))
