"""The embedded candle store: Parquet files in a folder, read by chDB.

Each import is one file, `<market_id>/<symbol>/<ingested_at>.parquet`, that appears under its name
complete or not at all. It holds only the minutes that were new or changed; nothing is ever
rewritten, so a reader never loses a file under its hands.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.candles.faults import embedded_faults, writing_faults
from storage.candles.minutes import SCHEMA, changed, check_instrument, check_minutes, minutes_table
from storage.candles.records import Bars, CandleSourceUnavailable, Columns
from storage.candles.store import CandleStore, statement

DATABASE = "market_data"
# Characters that ClickHouse's file() takes for a pattern.
PATTERN_CHARACTERS = frozenset("*?{}")
ROW_GROUP = 131_072
# The engine computes beside others on the machine; more threads gain nothing on a year of minutes.
ENGINE_SETTINGS = {"max_threads": 2}

# DDL of the view: the one statement that a server does not share.
VIEW = """
CREATE OR REPLACE VIEW {database}.canonical_candles_1m AS
SELECT * FROM file('{files}', Parquet, '
    market_id UInt16, symbol String, ts_open DateTime64(3, \\'UTC\\'),
    open Float64, high Float64, low Float64, close Float64, volume_base Float64,
    ingested_at DateTime64(3, \\'UTC\\')')
"""

# The folder that the engine's view shows now, and the lock that keeps it so during a query.
_shown: Path | None = None
_engine_use = threading.Lock()


class FolderStore(CandleStore):
    """Candles in Parquet files.

    Writing needs no engine. Reading opens chDB in this process, which must not fork afterwards.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._client: Any = None
        self._opened_by = 0

    def append(self, market_id: int, symbol: str, chunks: Iterable[Columns]) -> int:
        """Publish the new and the changed minutes of `chunks` as one file; returns their number."""
        check_instrument(market_id, symbol)
        with writing_faults(self.path):
            return self._publish(market_id, symbol, chunks)

    def _publish(self, market_id: int, symbol: str, chunks: Iterable[Columns]) -> int:
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
        """Close the engine and give its free memory back to the system."""
        if self._client is not None and self._opened_by == os.getpid():
            # chDB keeps what it allocated otherwise: about 100 MB after a year of minutes.
            with contextlib.suppress(Exception):
                self._client.command("SYSTEM JEMALLOC PURGE")
            self._client.close()
        self._client = None

    def _folder(self, market_id: int, symbol: str) -> Path:
        return self.path / str(market_id) / quote(symbol, safe="").replace(".", "%2E")

    def _select(self, name: str, parameters: Mapping[str, Any]) -> pa.Table:
        with _engine_use, embedded_faults(self.path):
            client = self._engine()
            return client.query_arrow(statement(name), {"database": DATABASE, **parameters})

    def _engine(self) -> Any:
        if self._client is None:
            import clickhouse_connect

            if PATTERN_CHARACTERS & set(str(self.path)):
                raise CandleSourceUnavailable(
                    f"the candle folder {self.path} has one of * ? {{ }} in its path: "
                    "move it or set ROEHUB_CANDLES_DIR to another folder",
                    permanent=True,
                )
            client = clickhouse_connect.get_client(interface="chdb", settings=ENGINE_SETTINGS)
            try:
                client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
                self._show(client)
            except BaseException:
                client.close()
                raise
            self._client, self._opened_by = client, os.getpid()
        elif self._opened_by != os.getpid():
            raise RuntimeError("the candle engine was opened before this process was forked")
        elif _shown != self.path:
            self._show(self._client)
        return self._client

    def _show(self, client: Any) -> None:
        """Let the view show this folder: a process has one engine, whatever stores are open."""
        global _shown
        files = str(self.path / "**" / "*.parquet").replace("\\", "\\\\").replace("'", "\\'")
        client.command(VIEW.format(database=DATABASE, files=files))
        _shown = self.path


def _changes(published: list[Path], symbol: str, chunks: Iterable[Columns]) -> Iterator[Bars]:
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
