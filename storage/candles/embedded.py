"""The embedded engine: chDB, once in this process, whatever stores are open in it.

It keeps its files in a temporary folder of this process' own. The process must not fork while the
engine runs.
"""

import contextlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.candles.instrument_files import COARSE_SUFFIX, SUFFIX
from storage.candles.store import statement
from storage.temporary import OwnedFolder

DATABASE = "market_data"
# The engine computes beside others on the machine; more threads gain nothing on a year of minutes.
SETTINGS = {"max_threads": 2}

# DDL of the views: the one statement that a server does not share.
VIEW = """
CREATE OR REPLACE VIEW {database}.{table} AS
SELECT * FROM file('{files}', Parquet, '
    market_id UInt16, symbol String, ts_open DateTime64(3, \\'UTC\\'),
    open Float64, high Float64, low Float64, close Float64, volume_base Float64,
    ingested_at DateTime64(3, \\'UTC\\'){more}')
"""
# Minutes may lie anywhere in the folder; longer bars are where an import puts them.
VIEWS = (
    ("canonical_candles_1m", Path("**", f"*{SUFFIX}"), ""),
    ("canonical_candles_coarse", Path("*", "*", f"*{COARSE_SUFFIX}"), ", timeframe_ms UInt32"),
)


class Engine:
    """chDB and the folder of Parquet files that its view shows now. Use `join` to get it."""

    def __init__(self) -> None:
        import clickhouse_connect

        self._pid = os.getpid()
        self._shown: Path | None = None
        self.users = 0
        self._own = OwnedFolder("candles")
        try:
            self._client = clickhouse_connect.get_client(
                interface="chdb", path=str(self._own.path), settings=SETTINGS
            )
        except BaseException:
            self._own.give_up()
            raise

    def select(self, files: Path, name: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Run a statement of candles.sql on the Parquet files below the folder `files`."""
        self._check_process()
        with _one_at_a_time:
            if self._shown != files:
                self._show(files)
            return self._client.query_arrow(statement(name), {"database": DATABASE, **parameters})

    def leave(self) -> None:
        """Use it no more; the last user's leaving ends it and gives its free memory back."""
        global _running
        if self._pid != os.getpid():
            return
        with _one_at_a_time:
            self.users -= 1
            if self.users:
                return
            _running = None
            # chDB keeps what it allocated otherwise: about 100 MB after a year of minutes.
            with contextlib.suppress(Exception):
                self._client.command("SYSTEM JEMALLOC PURGE")
            self._client.close()
            self._own.give_up()

    def _show(self, files: Path) -> None:
        self._client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        for table, below, more in VIEWS:
            pattern = str(files / below).replace("\\", "\\\\").replace("'", "\\'")
            view = VIEW.format(database=DATABASE, table=table, files=pattern, more=more)
            self._client.command(view)
        self._shown = files

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            raise RuntimeError("the candle engine was opened before this process was forked")


_running: Engine | None = None
_one_at_a_time = threading.Lock()


def join() -> Engine:
    """Start the engine, or use the one that another store started; `leave` it afterwards."""
    global _running
    with _one_at_a_time:
        if _running is None:
            _running = Engine()
        _running._check_process()
        _running.users += 1
        return _running
