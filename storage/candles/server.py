"""Candles on a ClickHouse server, spoken to over HTTP."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from configs.environment import ClickHouseServer
from storage.candles.faults import server_faults
from storage.candles.minutes import changed, check_instrument, check_minutes, minutes_table
from storage.candles.records import MINUTE_MS, Bars
from storage.candles.server_reader import CONNECT_SECONDS, ServerReader
from storage.candles.store import CandleStore, statement

ANSWER_SECONDS = 120
TABLE = "canonical_candles_1m"


class ServerStore(CandleStore):
    """Candles in the table `canonical_candles_1m` of the server's database.

    Writing and creating the table is left to clickhouse-connect's client.

    `answer_seconds`: how long the server may take to answer one query.
    """

    def __init__(self, server: ClickHouseServer, *, answer_seconds: int = ANSWER_SECONDS) -> None:
        self._server = server
        self._answer_seconds = answer_seconds
        self._reader: ServerReader | None = None
        self._client: Any = None

    def ensure_table(self) -> None:
        """Create the database and the table if they are missing."""
        if not self._command("has_table"):
            self._command("create_database")
            self._command("create_table")

    def append(self, market_id: int, symbol: str, chunks: Iterable[Bars]) -> int:
        """Insert the new and the changed minutes; returns their number.

        Each chunk is one insert. After a failure the chunks before it are there; appending again
        is safe.
        """
        check_instrument(market_id, symbol)
        self.ensure_table()
        ingested_at = int(self._command("clock"))
        published, after_ms = 0, -1
        for chunk in chunks:
            check_minutes(chunk, after_ms)
            if len(chunk.ts_open) == 0:
                continue
            begin, after_ms = int(chunk.ts_open[0]), int(chunk.ts_open[-1])
            present = self.bars(market_id, symbol, begin, after_ms + 1, MINUTE_MS)
            part = changed(chunk, present)
            if len(part):
                table = minutes_table(market_id, symbol, part, ingested_at)
                with server_faults(self._server):
                    self._connection().insert_arrow(TABLE, table, database=self._server.database)
                published += len(part)
        return published

    def start(self, market_id: int, symbol: str) -> None:
        """Do nothing: a server has been started, and a connection is opened by the first query."""

    def close(self) -> None:
        """Close the connections."""
        for opened in (self._reader, self._client):
            if opened is not None:
                opened.close()
        self._reader = self._client = None

    def _select(self, name: str, parameters: Mapping[str, Any]) -> pa.Table:
        with server_faults(self._server):
            if self._reader is None:
                self._reader = ServerReader(self._server, answer_seconds=self._answer_seconds)
            return self._reader.select(
                statement(name), {"database": self._server.database, **parameters}
            )

    def _command(self, name: str) -> Any:
        with server_faults(self._server):
            return self._connection().command(statement(name), {"database": self._server.database})

    def _connection(self) -> Any:
        if self._client is None:
            import clickhouse_connect

            # It warns of every error that it also raises.
            logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)

            self._client = clickhouse_connect.get_client(
                host=self._server.host,
                port=self._server.port,
                username=self._server.user,
                password=self._server.password,
                interface="https" if self._server.secure else "http",
                verify=self._server.verify,
                connect_timeout=CONNECT_SECONDS,
                send_receive_timeout=self._answer_seconds,
                # The worker retries, and it must know that it does.
                query_retries=0,
                autogenerate_session_id=False,
                dedicated_pool=True,
            )
        return self._client
