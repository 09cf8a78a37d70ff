"""ClickHouse's HTTP port with the user of the environment; chDB is the engine, in memory."""

import os
import signal
from http.server import ThreadingHTTPServer

import chdb
import clickhouse_endpoint as endpoint

PORT = 8123


class Handler(endpoint._Handler):
    """It answers without a password whether it is there, as ClickHouse does."""

    engine = endpoint._Engine(chdb.connect(":memory:"))

    def do_GET(self) -> None:  # noqa: N802 (http.server asks for this name)
        if self.path == "/ping":
            self._answer(200, b"Ok.\n")
        else:
            super().do_GET()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # as the first process it would ignore it
    endpoint.USER = os.environ["CLICKHOUSE_USER"]
    endpoint.PASSWORD = os.environ["CLICKHOUSE_PASSWORD"]
    ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()
