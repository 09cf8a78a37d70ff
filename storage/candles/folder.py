"""The embedded candle store: Parquet files in a folder, read by chDB.

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
from storage.candles.minutes import SCHEMA, changed, check_instrument, check_minutes, minutes_table
from storage.candles.records import Bars, CandleSourceUnavailable
from storage.candles.store import CandleStore

# Characters that ClickHouse's file() takes for a pattern.
PATTERN_CHARACTERS = frozenset("*?{}")
ROW_GROUP = 131_072


class FolderStore(CandleStore):
    """Candles in Parquet files.

    Writing needs no engine. Reading opens chDB in this process, which must not fork afterwards.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._engine: Engine | None = None

    def bars(
        self, market_id: int, symbol: str, from_ms: int, to_ms: int, timeframe_ms: int
    ) -> Bars:
        """See `CandleStore.bars`; a folder that is not there is no folder without candles."""
        self._check_there()
        found = super().bars(market_id, symbol, from_ms, to_ms, timeframe_ms)
        if not len(found):
            self._check_there()
        return found

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
                with pq.ParquetWriter(unfinished, SCHEMA, compression="zstd") as writer:
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

    def _check_there(self) -> None:
        # A disk that is not mounted, say: whoever waits for it must not be told "no candles".
        if not self.path.is_dir():
            raise CandleSourceUnavailable(
                f"the candle folder {self.path} is not there: "
                "mount or create it, or set ROEHUB_CANDLES_DIR to another folder"
            )

    def _select(self, name: str, parameters: Mapping[str, Any]) -> pa.Table:
        with embedded_faults(self.path):
            if PATTERN_CHARACTERS & set(str(self.path)):
                raise CandleSourceUnavailable(
                    f"the candle folder {self.path} has one of * ? {{ }} in its path: "
                    "move it or set ROEHUB_CANDLES_DIR to another folder",
                    permanent=True,
                )
            if self._engine is None:
                self._engine = embedded.join()
            return self._engine.select(self.path, name, parameters)


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
