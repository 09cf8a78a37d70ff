"""The embedded candle store: Parquet files in a folder.

Bars are read without an engine, in a few milliseconds, as long as nobody but an import has written
to the folder; everything else is read by chDB.

Each import is one file, `<market_id>/<symbol>/<ingested_at>.parquet`, that appears under its name
complete or not at all. It holds only the minutes that were new or changed; nothing is ever
rewritten, so a reader never loses a file under its hands.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.candles import embedded
from storage.candles.embedded import Engine
from storage.candles.faults import embedded_faults, writing_faults
from storage.candles.instrument_files import ForeignFile, InstrumentFiles
from storage.candles.minutes import SCHEMA, changed, check_instrument, check_minutes, minutes_table
from storage.candles.records import Bars, CandleSourceUnavailable
from storage.candles.roll_up import roll_up
from storage.candles.store import CandleStore, possible, windows

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
        if self._found is None or self._found[:2] != (market_id, symbol):
            self.start(market_id, symbol)
        found, self._found = self._found, None
        if found is None:
            bars = super().bars(market_id, symbol, from_ms, to_ms, timeframe_ms)
        else:
            files = found[2]
            bars = Bars.joined(
                [
                    roll_up(files.rows(begin, end), timeframe_ms)
                    for begin, end in windows(from_ms, to_ms, files.extent)
                ]
            )
        if not len(bars):
            self._check_there()
        return bars

    def append(self, market_id: int, symbol: str, chunks: Iterable[Bars]) -> int:
        """Publish the new and the changed minutes of `chunks` as one file; returns their number."""
        check_instrument(market_id, symbol)
        with writing_faults(self.path):
            return self._publish(market_id, symbol, chunks)

    def _publish(self, market_id: int, symbol: str, chunks: Iterable[Bars]) -> int:
        folder = self._folder(market_id, symbol)
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            published = sorted(folder.glob("*.parquet"))
            newest = int(published[-1].stem) if published else 0
            ingested_at = max(time.time_ns() // 1_000_000, newest + 1)
            unfinished = (
                folder / "import.tmp"
            )  # left over by a killed import, or ours: we hold the lock
            try:
                minutes = 0
                with pq.ParquetWriter(
                    unfinished, SCHEMA, compression="zstd", use_dictionary=DICTIONARIES
                ) as writer:
                    for part in _changes(published, symbol, chunks):
                        table = minutes_table(market_id, symbol, part, ingested_at)
                        writer.write_table(table, row_group_size=ROW_GROUP)
                        minutes += len(part)
                if minutes:
                    _flush(unfinished)
                    unfinished.rename(folder / f"{ingested_at:013d}.parquet")
                    _flush(folder)
            finally:
                unfinished.unlink(missing_ok=True)
        return minutes

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


def _changes(published: list[Path], symbol: str, chunks: Iterable[Bars]) -> Iterator[Bars]:
    after_ms = -1
    for chunk in chunks:
        check_minutes(chunk, after_ms)
        if len(chunk.ts_open) == 0:
            continue
        after_ms = int(chunk.ts_open[-1])
        part = changed(chunk, _present(published, symbol, int(chunk.ts_open[0]), after_ms))
        if len(part):
            yield part


def _present(published: list[Path], symbol: str, first_ms: int, last_ms: int) -> Bars:
    """Canonical minutes of `[first_ms, last_ms]`; `published` is in the order of ingestion."""
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


def _flush(path: Path) -> None:
    """Make a file's content, or a folder's list of names, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
