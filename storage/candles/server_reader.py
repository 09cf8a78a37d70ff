"""Reading from a ClickHouse server over HTTP: one request for a query, and none before it."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.binding import bind_query
from clickhouse_connect.driver.exceptions import (
    DatabaseError,
    error_code_from_header,
    error_name_from_body,
)
from clickhouse_connect.driver.httputil import check_env_proxy, get_pool_manager
from urllib3 import Timeout

from configs.environment import ClickHouseServer

CONNECT_SECONDS = 5
CANCELLED_WITH_CLIENT = "cancel_http_readonly_queries_on_client_close"
# UNKNOWN_SETTING, READONLY, SETTING_CONSTRAINT_VIOLATION.
SETTING_REFUSED = frozenset({115, 164, 452})


class ServerReader:
    """Reads from a server as its user; a connection is opened by the first query.

    clickhouse-connect's client asks for the server's version, its thousand settings and its
    protocol before the first query. That takes longer than reading a month of candles, and serves
    nobody who reads Arrow, which says itself what it is and is compressed by itself.

    A query is a GET, so the server runs it as one that only reads. It stops such a query when its
    client is gone, as a child is that was killed; but not for a user who may not change settings.
    """

    def __init__(self, server: ClickHouseServer, *, answer_seconds: int) -> None:
        scheme = "https" if server.secure else "http"
        host = f"[{server.host}]" if ":" in server.host else server.host
        self._url = f"{scheme}://{host}:{server.port}/"
        self._headers = {
            "Authorization": f"Basic {_base64(f'{server.user}:{server.password}')}",
            "User-Agent": "backtest",
        }
        proxy = check_env_proxy(scheme, server.host, server.port)
        self._pool = get_pool_manager(
            verify=server.verify,
            http_proxy=None if server.secure else proxy,
            https_proxy=proxy if server.secure else None,
            timeout=Timeout(connect=CONNECT_SECONDS, read=answer_seconds),
            # The worker retries, and it must know that it does.
            retries=False,
        )
        self._settings = {CANCELLED_WITH_CLIENT: "1"}

    def select(self, statement: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Answer of a query whose parameters the server binds.

        Raises `ClickHouseError` and `OSError`, urllib3's `HTTPError`, and `ValueError` for what is
        no Arrow.
        """
        query, bound = bind_query(f"{statement}\nFORMAT Arrow", dict(parameters))
        asked: dict[str, Any] = {"query": query, **bound}
        try:
            return self._get({**asked, **self._settings})
        except DatabaseError as error:
            if not self._settings or error.code not in SETTING_REFUSED:
                raise
        self._settings = {}
        return self._get(asked)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _get(self, asked: Mapping[str, Any]) -> pa.Table:
        answer = self._pool.request(
            "GET", self._url, fields=asked, headers=self._headers, redirect=False
        )
        if answer.status != 200:
            raise DatabaseError(
                f"HTTP status {answer.status}",
                code=error_code_from_header(answer.headers.get("X-ClickHouse-Exception-Code")),
                name=error_name_from_body(answer.data.decode(errors="replace")),
            )
        # The Arrow file format ends with a footer: an answer that was cut off cannot be taken for
        # a complete one. Threads would only start Arrow's pools.
        options = pa.ipc.IpcReadOptions(use_threads=False)
        return pa.ipc.open_file(answer.data, options=options).read_all()


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
