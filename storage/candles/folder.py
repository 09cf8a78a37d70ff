"""The embedded candle store: Parquet files in a folder.

Bars are read without an engine, in a few milliseconds, as long as nobody but an import has written
to the folder; everything else is read by chDB.

Each import is one file, `<market_id>/<symbol>/<ingested_at>.parquet`, or `.bars` if its bars are
longer than a minute, that appears under its name complete or not at all. It holds only the bars
that were new or changed; no such file is ever rewritten, and only a deletion removes one, so an
import takes nothing out of a reader's hands. What imports said of the instrument is beside them in
`instrument.json`.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from storage.candles import embedded, funding_file, publishing, side_file
from storage.candles.embedded import Engine
from storage.candles.faults import embedded_faults, writing_faults
from storage.candles.file_check import check_files
from storage.candles.funding import FundingRates, FundingSeries, check_funding
from storage.candles.instrument_files import (
    ForeignFile,
    InstrumentFiles,
    imported_names,
    imports,
)
from storage.candles.known import ImportedFile, Known, Register, check_form, together
from storage.candles.minutes import check_instrument, possible
from storage.candles.records import MINUTE_MS, Bars, CandleSourceUnavailable, Int64
from storage.candles.roll_up import roll_up
from storage.candles.store import CandleStore
from storage.candles.verifying import Share, Verified, Verifying
from storage.candles.windows import EARLIEST_MS, LATEST_MS, windows

# Characters that ClickHouse's file() takes for a pattern.
PATTERN_CHARACTERS = frozenset("*?{}")


class FolderStore(CandleStore):
    """Candles in Parquet files.

    Writing needs no engine, and `bars` needs none where only imports have written: other questions
    open chDB in this process, which must not fork afterwards.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._engine: Engine | None = None
        self._found: tuple[int, str, InstrumentFiles] | None = None

    def start(self, market_id: int, symbol: str) -> None:
        """Find the files of an instrument, or start the engine; the next `bars` reads these."""
        self._found = None
        self._check_there()
        if not possible(market_id, symbol):
            return
        try:
            self._found = market_id, symbol, self._files(market_id, symbol)
        except ForeignFile:
            self._started_engine()

    def bars(
        self, market_id: int, symbol: str, from_ms: int, to_ms: int, timeframe_ms: int
    ) -> Bars:
        """See `CandleStore.bars`; a folder that is not there is no folder without candles."""
        bars = super().bars(market_id, symbol, from_ms, to_ms, timeframe_ms)
        if not len(bars):
            self._check_there()
        return bars

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
        files = self._files_of(market_id, symbol, base_ms)
        if files is None:
            asked = market_id, symbol, from_ms, to_ms
            return super()._rolled_up(*asked, timeframe_ms, base_ms, phase_ms)
        return Bars.joined(
            [
                roll_up(files.rows(begin, end), timeframe_ms, phase_ms)
                for begin, end in windows(from_ms, to_ms, files.extent)
            ]
        )

    def _files_of(self, market_id: int, symbol: str, base_ms: int) -> InstrumentFiles | None:
        """Return the files of bars of one length; None: an engine has to read."""
        if base_ms != MINUTE_MS:
            folder = self._folder(market_id, symbol)
            try:
                return InstrumentFiles.coarse(self.path, folder, market_id, symbol, base_ms)
            except ForeignFile:
                return None
        if self._found is None or self._found[:2] != (market_id, symbol):
            self.start(market_id, symbol)
        found, self._found = self._found, None
        return found and found[2]

    def known(self, market_id: int, symbol: str) -> Known:
        """See `CandleStore.known`."""
        return self._register(market_id, symbol).known or Known()

    def files(self, market_id: int, symbol: str) -> Mapping[str, ImportedFile]:
        """See `CandleStore.files`."""
        return self._register(market_id, symbol).files

    def span(self, market_id: int, symbol: str, timeframe_ms: int) -> tuple[int, int] | None:
        """See `CandleStore.span`; the footers of the files say it."""
        published = imports(self._folder(market_id, symbol), timeframe_ms)
        with writing_faults(self.path):
            found = [publishing.span(path) for path in published]
        return (min(first for first, _ in found), max(last for _, last in found)) if found else None

    def form(self, market_id: int, symbol: str) -> Known | None:
        """See `CandleStore.form`."""
        return _stored(self._folder(market_id, symbol), self._register(market_id, symbol))

    def _register(self, market_id: int, symbol: str) -> Register:
        if not possible(market_id, symbol):
            return Register.empty()
        return side_file.read(self._folder(market_id, symbol))

    def append(
        self,
        market_id: int,
        symbol: str,
        chunks: Iterable[Bars],
        *,
        known: Known | None = None,
        files: Sequence[ImportedFile] = (),
    ) -> int:
        """Publish the new and the changed bars of `chunks` as one file; returns their number."""
        check_instrument(market_id, symbol)
        folder = self._folder(market_id, symbol)
        with writing_faults(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            with publishing.locked(folder):
                register = side_file.read(folder)
                said = known or Known()
                check_form(symbol, _stored(folder, register), said)
                if known is not None and (together(register.known, known) != register.known):
                    register = Register(together(register.known, known), register.files)
                    side_file.write(folder, register)
                step = said.timeframe_ms
                parts = publishing.changes(imports(folder, step), symbol, chunks, said)
                published = publishing.write(folder, market_id, symbol, parts, step)
                if files:
                    now = datetime.now(UTC)
                    new = {file.sha256: replace(file, imported_at=now) for file in files}
                    every = {**register.files, **new}
                    side_file.write(folder, Register(together(register.known, said), every))
        return published

    def delete(self, market_id: int, symbol: str) -> bool:
        """See `CandleStore.delete`; a reader that has not read all yet finds its source gone."""
        check_instrument(market_id, symbol)
        folder = self._folder(market_id, symbol)
        if not folder.is_dir():
            return False
        with writing_faults(self.path), publishing.locked(folder):
            # Bars go first: what is left after a crash still says what they are.
            gone = [*imports(folder, MINUTE_MS), *imports(folder, 2 * MINUTE_MS)]
            beside = (folder / funding_file.NAME, folder / side_file.NAME)
            gone += [path for path in beside if path.exists()]
            for path in gone:
                path.unlink()
            side_file.flush(folder)
        return bool(gone)

    def delete_between(self, market_id: int, symbol: str, from_ms: int, to_ms: int) -> None:
        """See `CandleStore.delete_between`; what stays is written anew, as one file."""
        check_instrument(market_id, symbol)
        folder = self._folder(market_id, symbol)
        with writing_faults(self.path), publishing.locked(folder):
            register = side_file.read(folder)
            step = self.known(market_id, symbol).timeframe_ms
            gone = imports(folder, step)
            kept = (
                bars.take((bars.ts_open < from_ms) | (bars.ts_open >= to_ms))
                for bars in self.pieces(market_id, symbol)
            )
            # Files go first: one that counts as imported though its bars are gone is never read
            # again. After a crash the old files still hold everything.
            if register.known is not None:
                side_file.write(folder, Register(register.known, {}))
            publishing.write(folder, market_id, symbol, kept, step)
            for path in gone:
                path.unlink()
            side_file.flush(folder)

    def funding(self, market_id: int, symbol: str, from_ms: int, to_ms: int) -> FundingRates:
        """See `FundingStore.funding`."""
        if not possible(market_id, symbol):
            return FundingRates.none()
        found = funding_file.read(self._folder(market_id, symbol))
        part = slice(*np.searchsorted(found.times, (from_ms, to_ms)).tolist())
        return FundingRates(found.times[part], found.rates[part])

    def append_funding(self, market_id: int, symbol: str, rates: FundingRates) -> int:
        """See `FundingStore.append_funding`."""
        check_instrument(market_id, symbol)
        check_funding(rates)
        folder = self._folder(market_id, symbol)
        with writing_faults(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            with publishing.locked(folder):
                return funding_file.write(folder, rates)

    def funding_series(self) -> list[FundingSeries]:
        """See `FundingStore.funding_series`."""
        return sorted(funding_file.series(self.path), key=lambda one: (one.market_id, one.symbol))

    def pieces(self, market_id: int, symbol: str) -> Iterator[Bars]:
        """See `CandleStore.pieces`."""
        known = self.known(market_id, symbol)
        files = self._files_of(market_id, symbol, known.timeframe_ms)
        if files is None:
            yield from super().pieces(market_id, symbol)
            return
        for begin, end in windows(EARLIEST_MS, LATEST_MS, files.extent):
            yield roll_up(files.rows(begin, end), known.timeframe_ms, known.phase_ms)

    def opens(self, market_id: int, symbol: str) -> Int64:
        """See `CandleStore.opens`."""
        parts = [bars.ts_open for bars in self.pieces(market_id, symbol)]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def verify(
        self, market_id: int, symbol: str, progress: Share = lambda _share: None
    ) -> Verified:
        """See `CandleStore.verify`; rows are numbered as they lie in the files."""
        check_instrument(market_id, symbol)
        known = self.known(market_id, symbol)
        # A damaged file is found below, and by no engine.
        with contextlib.suppress(CandleSourceUnavailable):
            if self._files_of(market_id, symbol, known.timeframe_ms) is None:
                return super().verify(market_id, symbol, progress)
        found = Verifying()
        paths = imports(self._folder(market_id, symbol), known.timeframe_ms)
        check_files(found, self.path, paths, known, progress)
        if not found.unreadable:
            for bars in self.pieces(market_id, symbol):
                found.read(bars)
        return found.verified()

    def names(self) -> list[tuple[int, str]]:
        """See `CandleStore.names`; nothing but names is read where only imports have written."""
        try:
            return sorted(imported_names(self.path))
        except ForeignFile:
            return super().names()

    @property
    def place(self) -> str:
        """See `CandleStore.place`."""
        return str(self.path)

    def _present(
        self, market_id: int, symbol: str, first_ms: int, last_ms: int, known: Known
    ) -> Bars:
        published = imports(self._folder(market_id, symbol), known.timeframe_ms)
        with writing_faults(self.path):
            return publishing.present(published, symbol, first_ms, last_ms)

    def close(self) -> None:
        """Leave the engine, which ends with its last store."""
        if self._engine is not None:
            self._engine.leave()
        self._engine = None

    def _folder(self, market_id: int, symbol: str) -> Path:
        return self.path / str(market_id) / quote(symbol, safe="").replace(".", "%2E")

    def _files(self, market_id: int, symbol: str) -> InstrumentFiles:
        self._check_path()
        folder = self._folder(market_id, symbol)
        return InstrumentFiles.found(self.path, folder, market_id, symbol)

    def _check_there(self) -> None:
        # A disk that is not mounted, say: whoever waits for it must not be told "no candles".
        if not self.path.is_dir():
            raise CandleSourceUnavailable(
                f"the candle folder {self.path} is not there: "
                "mount or create it, or set ROEHUB_CANDLES_DIR to another folder"
            )

    def _select(self, name: str, parameters: Mapping[str, Any]) -> pa.Table:
        engine = self._started_engine()
        with embedded_faults(self.path):
            return engine.select(self.path, name, parameters)

    def _started_engine(self) -> Engine:
        self._check_path()
        if self._engine is None:
            with embedded_faults(self.path):
                self._engine = embedded.join()
        return self._engine

    def _check_path(self) -> None:
        """Refuse a folder that the engine could not read: all questions are about the same."""
        if PATTERN_CHARACTERS & set(str(self.path)):
            raise CandleSourceUnavailable(
                f"the candle folder {self.path} has one of * ? {{ }} in its path: "
                "move it or set ROEHUB_CANDLES_DIR to another folder",
                permanent=True,
            )


def _stored(folder: Path, register: Register) -> Known | None:
    """Return of what form the bars are that there are, None where there are none yet."""
    return Known() if imports(folder, MINUTE_MS) else register.known
