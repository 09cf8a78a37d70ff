"""Reading and writing candles, whatever holds them."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from storage import statements
from storage.candles.arrow import as_numpy
from storage.candles.funding import FundingStore
from storage.candles.known import ImportedFile, Known, check_form
from storage.candles.minutes import Compared, check_bars, check_instrument, compared, possible
from storage.candles.presence import Presence, joined
from storage.candles.records import (
    MINUTE_MS,
    Bars,
    CandleSourceUnavailable,
    Instrument,
    Int64,
    utc,
)
from storage.candles.verifying import Share, Verified, Verifying
from storage.candles.windows import EARLIEST_MS, LATEST_MS, windows

ROLLED_UP = ("bucket", "first_open", "highest", "lowest", "last_close", "volume")


class CandleStore(FundingStore):
    """Candles of many instruments; a context manager that closes its engine.

    An instrument has minutes, or longer bars where there are no minutes of it.

    Nothing is opened before the first use or `start`. Reading raises `CandleSourceUnavailable`, and
    `MemoryError` when the embedded engine cannot get memory.
    """

    def bars(
        self, market_id: int, symbol: str, from_ms: int, to_ms: int, timeframe_ms: int
    ) -> Bars:
        """Buckets of the stored bars in `[from_ms, to_ms)`; empty when there are none.

        Minutes come first. Where there are none, longer bars of an instrument that has them are
        rolled up, if the timeframe is a multiple of theirs; buckets then have their phase. Buckets
        without a valid bar are absent.
        The same bars give the same bytes in every run.
        """
        asked = market_id, symbol, from_ms, to_ms, timeframe_ms
        bars = self._rolled_up(*asked, MINUTE_MS)
        if len(bars) or not possible(market_id, symbol):
            return bars
        known = self.known(market_id, symbol)
        if known.timeframe_ms == MINUTE_MS or timeframe_ms % known.timeframe_ms:
            return bars
        return self._rolled_up(*asked, known.timeframe_ms, known.phase_ms)

    def _rolled_up(
        self,
        market_id: int,
        symbol: str,
        from_ms: int,
        to_ms: int,
        timeframe_ms: int,
        base_ms: int,
        phase_ms: int = 0,
    ) -> Bars:
        """Buckets of the bars of one length."""
        name = "roll_up" if base_ms == MINUTE_MS else "roll_up_coarse"
        asked = {"timeframe_ms": timeframe_ms, "base_ms": base_ms, "phase_ms": phase_ms}
        return Bars.joined(
            [
                _bars(self._select(name, {**window, **asked}))
                for window in self._windows(market_id, symbol, from_ms, to_ms, base_ms)
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
        """Which bars that minutes of `[from_ms, end_ms)` make lie in `[start_ms, end_ms)`.

        `from_ms` is a multiple of the timeframe. Longer bars are not looked at: they are few, and
        `bars` reads them.
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
        """Find when the first and the last bar of an instrument open; None when it has none."""
        if not possible(market_id, symbol):
            return None
        found = self._bounds(market_id, symbol, EARLIEST_MS, LATEST_MS, MINUTE_MS)
        base_ms = MINUTE_MS if found else self.known(market_id, symbol).timeframe_ms
        if base_ms != MINUTE_MS:
            found = self._bounds(market_id, symbol, EARLIEST_MS, LATEST_MS, base_ms)
        return found and (utc(found[0]), utc(found[1]))

    def names(self) -> list[tuple[int, str]]:
        """Market and symbol of everything the store holds, in this order."""
        listed = [*self._listed("names"), *self._listed("coarse_names")]
        return sorted({(row["market_id"], row["symbol"]) for row in listed})

    def _windows(
        self, market_id: int, symbol: str, from_ms: int, to_ms: int, base_ms: int = MINUTE_MS
    ) -> Iterator[dict[str, Any]]:
        """Cut a range into windows, each as the parameters that a statement takes."""
        if not possible(market_id, symbol):
            return

        def extent(begin: int, end: int) -> tuple[int, int] | None:
            return self._bounds(market_id, symbol, begin, end, base_ms)

        for begin, end in windows(from_ms, to_ms, extent):
            yield _asked(market_id, symbol, begin, end)

    def _bounds(
        self, market_id: int, symbol: str, from_ms: int, to_ms: int, base_ms: int
    ) -> tuple[int, int] | None:
        asked = _asked(market_id, symbol, from_ms, to_ms)
        name = "bounds" if base_ms == MINUTE_MS else "bounds_coarse"
        found = self._select(name, {**asked, "base_ms": base_ms}).to_pylist()[0]
        return (found["first_ms"], found["last_ms"]) if found["found"] else None

    def instruments(self) -> list[Instrument]:
        """Everything the store holds, ordered by market and symbol."""
        listed = [
            *({**row, "timeframe_ms": MINUTE_MS} for row in self._listed("instruments")),
            *self._listed("coarse_instruments"),
        ]
        found = [
            Instrument(
                market_id=row["market_id"],
                symbol=row["symbol"],
                first=utc(row["first_ms"]),
                last=utc(row["last_ms"]),
                minutes=row["minutes"],
                timeframe_ms=row["timeframe_ms"],
            )
            for row in listed
        ]
        return sorted(found, key=lambda one: (one.market_id, one.symbol, one.timeframe_ms))

    def version(self) -> str:
        """Which version of the engine answers."""
        return str(self._select("version", {}).column("version").cast(pa.string())[0])

    def _listed(
        self, name: str, parameters: Mapping[str, Any] = MappingProxyType({})
    ) -> list[dict[str, Any]]:
        rows = self._select_if_there(name, parameters)
        if rows is None:
            return []
        # Older servers send texts as bytes.
        for number, field in enumerate(rows.schema):
            if pa.types.is_binary(field.type):
                texts = rows.column(number).cast(pa.string())
                rows = rows.set_column(number, field.name, texts)
        return list(rows.to_pylist())

    def compare(
        self, market_id: int, symbol: str, chunks: Iterable[Bars], known: Known | None = None
    ) -> Compared:
        """Count what `append` of the same chunks would add and change; raises what it raises."""
        check_instrument(market_id, symbol)
        said = known or Known()
        check_form(symbol, self.form(market_id, symbol), said)
        counted, after_ms = Compared(0, 0, 0), -1
        for chunk in chunks:
            check_bars(chunk, after_ms, said)
            if len(chunk) == 0:
                continue
            begin, after_ms = int(chunk.ts_open[0]), int(chunk.ts_open[-1])
            present = self._present(market_id, symbol, begin, after_ms, said)
            counted = counted.then(compared(chunk, present))
        return counted

    def verify(
        self, market_id: int, symbol: str, progress: Share = lambda _share: None
    ) -> Verified:
        """Read every bar of an instrument and judge it; `progress` is told the share read so far.

        Raises `ValueError` for what cannot name an instrument.
        """
        check_instrument(market_id, symbol)
        known, found = self.known(market_id, symbol), Verifying()
        all_windows = list(self._all(market_id, symbol, known))
        for number, window in enumerate(all_windows, 1):
            rows = self._of_form("wrong", known, window)
            found.judge(self.place, Bars(*map(as_numpy, rows.columns)), known)
            bars = self._stored(window, known)
            found.judge(self.place, bars, known)
            found.read(bars)
            progress(number / len(all_windows))
        return found.verified()

    def pieces(self, market_id: int, symbol: str) -> Iterator[Bars]:
        """Read all bars of an instrument as they are stored, a bounded number at a time."""
        known = self.known(market_id, symbol)
        for window in self._all(market_id, symbol, known):
            yield self._stored(window, known)

    def opens(self, market_id: int, symbol: str) -> Int64:
        """Read when the bars of an instrument open: int64[N] ms since the epoch, ascending."""
        known = self.known(market_id, symbol)
        parts = [
            as_numpy(self._of_form("opens", known, window).column(0))
            for window in self._all(market_id, symbol, known)
        ]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def _all(self, market_id: int, symbol: str, known: Known) -> Iterator[dict[str, Any]]:
        return self._windows(market_id, symbol, EARLIEST_MS, LATEST_MS, known.timeframe_ms)

    def _stored(self, window: Mapping[str, Any], known: Known) -> Bars:
        step = known.timeframe_ms
        return self._rolled_up(**window, timeframe_ms=step, base_ms=step, phase_ms=known.phase_ms)

    def _of_form(self, statement: str, known: Known, window: Mapping[str, Any]) -> pa.Table:
        asked = {**window, "base_ms": known.timeframe_ms, "phase_ms": known.phase_ms}
        coarse = "" if known.timeframe_ms == MINUTE_MS else "_coarse"
        return self._select(statement + coarse, asked)

    @abstractmethod
    def known(self, market_id: int, symbol: str) -> Known:
        """Tell what imports have said of an instrument; the defaults where they said nothing."""

    @abstractmethod
    def files(self, market_id: int, symbol: str) -> Mapping[str, ImportedFile]:
        """Return the files that were imported whole into an instrument, by their sha256."""

    @abstractmethod
    def span(self, market_id: int, symbol: str, timeframe_ms: int) -> tuple[int, int] | None:
        """Return between which times (ms) stored bars of one length open; None without any.

        Needs no engine, unlike `extent`.
        """

    @abstractmethod
    def form(self, market_id: int, symbol: str) -> Known | None:
        """Tell how long the stored bars are and when they open; None where nothing is stored."""

    @abstractmethod
    def _present(
        self, market_id: int, symbol: str, first_ms: int, last_ms: int, known: Known
    ) -> Bars:
        """Read the stored bars of the form that is known in `[first_ms, last_ms]`."""

    @abstractmethod
    def delete(self, market_id: int, symbol: str) -> bool:
        """Remove all of an instrument, with its funding and what is known of it; whether it was."""

    @abstractmethod
    def delete_between(self, market_id: int, symbol: str, from_ms: int, to_ms: int) -> None:
        """Remove the bars of an instrument that open in `[from_ms, to_ms)`.

        What is known of it stays, but no file counts as imported any more: importing one again
        brings its bars back.
        """

    @property
    @abstractmethod
    def place(self) -> str:
        """Name where the bars are, for somebody who has to find them."""

    @abstractmethod
    def append(
        self,
        market_id: int,
        symbol: str,
        chunks: Iterable[Bars],
        *,
        known: Known | None = None,
        files: Sequence[ImportedFile] = (),
    ) -> int:
        """Publish bars, which win over those already there; returns how many differed from them.

        The bars are minutes, or as `known` says. Chunks and the bars within are ascending; one
        chunk is held at a time. Publishing what is already there changes nothing. `known` is stored
        before the bars, `files` after all of them: a file that is registered was imported whole.
        Raises `ValueError` for bars that are unsorted or do not open where bars of their length and
        phase do, and `OtherTimeframe` for an instrument whose bars are others.
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

    def _select_if_there(self, statement: str, parameters: Mapping[str, Any]) -> pa.Table | None:
        """Run a statement; None where its table has never been made."""
        return self._select(statement, parameters)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _asked(market_id: int, symbol: str, from_ms: int, to_ms: int) -> dict[str, Any]:
    return {"market_id": market_id, "symbol": symbol, "from_ms": from_ms, "to_ms": to_ms}


def statement(name: str) -> str:
    """Look up a statement of candles.sql."""
    return statements.load("candles")[name]


def _bars(table: pa.Table) -> Bars:
    types = [pa.int64(), *[pa.float64()] * 5]
    if table.column_names != list(ROLLED_UP) or table.schema.types != types:
        raise CandleSourceUnavailable(f"the candle source answered with columns {table.schema}")
    return Bars(*(as_numpy(table.column(name)) for name in ROLLED_UP))
