"""The candle table of a ClickHouse server, spoken to without the store."""

from collections.abc import Sequence
from typing import Any

import clickhouse_connect

from configs.environment import ClickHouseServer
from tests.storage.candle_rows import Row, coarse_table, table
from tests.storage.clickhouse_endpoint import PASSWORD, USER, Endpoint


def server_of(endpoint: Endpoint, database: str) -> ClickHouseServer:
    """How a store reaches the endpoint; the database need not exist."""
    return ClickHouseServer(
        host="127.0.0.1",
        port=endpoint.port,
        database=database,
        user=USER,
        password=PASSWORD,
        secure=False,
        verify=True,
    )


def command(server: ClickHouseServer, text: str) -> None:
    client = connect(server)
    client.command(text.format(table=f"`{server.database}`.canonical_candles_1m"))
    client.close()


def insert(
    server: ClickHouseServer,
    rows: Sequence[Row],
    timeframe_ms: int | None = None,
    symbol: str = "BTCUSDT",
) -> None:
    """Insert so that versions of a minute meet in the table only: an insert merges its own rows.

    With a timeframe the rows are longer bars.
    """
    client = connect(server)
    left = list(rows)
    while left:
        part = {row.ts_open: row for row in left}
        if timeframe_ms is None:
            name, content = "canonical_candles_1m", table(list(part.values()), symbol=symbol)
        else:
            name = "canonical_candles_coarse"
            content = coarse_table(list(part.values()), timeframe_ms)
        client.insert_arrow(name, content, database=server.database)
        for row in part.values():
            left.remove(row)
    client.close()


def connect(server: ClickHouseServer) -> Any:
    return clickhouse_connect.get_client(
        host=server.host, port=server.port, username=USER, password=PASSWORD
    )
