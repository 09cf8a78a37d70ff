"""The embedded candle store: Parquet files in a folder.

Bars are read without an engine, in a few milliseconds, as long as nobody but an import has written
to the folder; everything else is read by chDB.

Each import is one file, `<market_id>/<symbol>/<ingested_at>.parquet`, or `.bars` if its bars are
longer than a minute, that appears under its name complete or not at all. It holds only the bars
that were new or changed; no such file is ever rewritten, so a reader never loses one under its
hands. What imports said of the instrument is beside them in `instrument.json`.
"""

import contextlib
import fcntl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.candles import embedded, side_file
from storage.candles.embedded import Engine
from storage.candles.faults import embedded_faults, writing_faults
from storage.candles.instrument_files import (
    COARSE_SUFFIX,
    SUFFIX,
    ForeignFile,
    InstrumentFiles,
    imports,
)
from storage.candles.known import ImportedFile, Known, Register, check_form, together
from storage.candles.minutes import (
    COARSE_SCHEMA,
    SCHEMA,
    bars_table,
    changed,
    check_bars,
    check_instrument,
)
from storage.candles.records import MINUTE_MS, Bars, CandleSourceUnavailable
from storage.candles.roll_up import roll_up
from storage.candles.store import EARLIEST_MS, LATEST_MS, CandleStore, possible, windows

# Characters that ClickHouse's file() takes for a pattern.
PATTERN_CHARACTERS = frozenset("*?{}")
# Eleven days: who reads a month decodes little else.
ROW_GROUP = 16_384
# Prices hardly repeat: a dictionary of them is larger than the prices and slower to read.
DICTIONARIES = ["market_id", "symbol", "ingested_at"]


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
            found = [_span(path) for path in published]
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
            with _locked(folder):
                register = side_file.read(folder)
                said = known or Known()
                check_form(symbol, _stored(folder, register), said)
                if known is not None and (together(register.known, known) != register.known):
                    register = Register(together(register.known, known), register.files)
                    side_file.write(folder, register)
                published = self._publish(folder, market_id, symbol, chunks, said)
                if files:
                    now = datetime.now(UTC)
                    new = {file.sha256: replace(file, imported_at=now) for file in files}
                    every = {**register.files, **new}
                    side_file.write(folder, Register(together(register.known, said), every))
        return published

    def _publish(
        self, folder: Path, market_id: int, symbol: str, chunks: Iterable[Bars], said: Known
    ) -> int:
        step = said.timeframe_ms
        published = imports(folder, step)
        newest = int(published[-1].stem) if published else 0
        ingested_at = max(time.time_ns() // 1_000_000, newest + 1)
        # Left over by a killed import, or ours: we hold the lock.
        unfinished = folder / "import.tmp"
        schema = SCHEMA if step == MINUTE_MS else COARSE_SCHEMA
        try:
            bars = 0
            with pq.ParquetWriter(
                unfinished, schema, compression="zstd", use_dictionary=DICTIONARIES
            ) as writer:
                for part in _changes(published, symbol, chunks, said):
                    table = bars_table(market_id, symbol, part, ingested_at, step)
                    writer.write_table(table, row_group_size=ROW_GROUP)
                    bars += len(part)
            if bars:
                side_file.flush(unfinished)
                suffix = SUFFIX if step == MINUTE_MS else COARSE_SUFFIX
                unfinished.rename(folder / f"{ingested_at:013d}{suffix}")
                side_file.flush(folder)
        finally:
            unfinished.unlink(missing_ok=True)
        return bars

    def delete(self, market_id: int, symbol: str) -> bool:
        """See `CandleStore.delete`; a reader that has not read all yet finds its source gone."""
        check_instrument(market_id, symbol)
        folder = self._folder(market_id, symbol)
        if not folder.is_dir():
            return False
        with writing_faults(self.path), _locked(folder):
            # Bars go first: what is left after a crash still says what they are.
            gone = [*imports(folder, MINUTE_MS), *imports(folder, 2 * MINUTE_MS)]
            gone += [path for path in (folder / side_file.NAME,) if path.exists()]
            for path in gone:
                path.unlink()
            side_file.flush(folder)
        return bool(gone)

    def _present(
        self, market_id: int, symbol: str, first_ms: int, last_ms: int, known: Known
    ) -> Bars:
        published = imports(self._folder(market_id, symbol), known.timeframe_ms)
        with writing_faults(self.path):
            return _present(published, symbol, first_ms, last_ms)

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


def _changes(
    published: list[Path], symbol: str, chunks: Iterable[Bars], said: Known
) -> Iterator[Bars]:
    after_ms = -1
    for chunk in chunks:
        check_bars(chunk, after_ms, said)
        if len(chunk.ts_open) == 0:
            continue
        after_ms = int(chunk.ts_open[-1])
        part = changed(chunk, _present(published, symbol, int(chunk.ts_open[0]), after_ms))
        if len(part):
            yield part


def _span(path: Path) -> tuple[int, int]:
    """First and last open of a file, which has rows; all there may be where it does not tell."""
    metadata = pq.read_metadata(path)
    column = metadata.schema.names.index("ts_open")
    groups = [metadata.row_group(i).column(column) for i in range(metadata.num_row_groups)]
    if any(not g.is_stats_set or not g.statistics.has_min_max for g in groups):
        return EARLIEST_MS, LATEST_MS
    return (
        min(group.statistics.min_raw for group in groups),
        max(group.statistics.max_raw for group in groups),
    )


def _present(published: list[Path], symbol: str, first_ms: int, last_ms: int) -> Bars:
    """Canonical bars of `[first_ms, last_ms]`; `published` is in the order of ingestion."""
    time_type = SCHEMA.field("ts_open").type
    within = [
        ("symbol", "=", symbol),
        ("ts_open", ">=", pa.scalar(first_ms, time_type)),
        ("ts_open", "<=", pa.scalar(last_ms, time_type)),
    ]
    names = ["ts_open", "open", "high", "low", "close", "volume_base"]
    tables = [pq.read_table(file, columns=names, filters=within) for file in published]
    if not tables:
        return Bars(np.empty(0, np.int64), *(np.empty(0) for _ in range(5)))
    table = pa.concat_tables(tables)
    ts_open = table.column("ts_open").cast(pa.int64()).to_numpy()
    order = np.argsort(ts_open, kind="stable")
    ts_sorted = ts_open[order]
    newest = order[np.append(ts_sorted[1:] != ts_sorted[:-1], True)[: len(order)]]
    return Bars(ts_open[newest], *(table.column(name).to_numpy()[newest] for name in names[1:]))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One import of an instrument at a time; the lock ends with the process."""
    with (folder / "import.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
