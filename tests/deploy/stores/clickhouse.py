"""ClickHouse's HTTP port with the user of the environment; chDB is the engine, in memory."""

import os
from http.server import ThreadingHTTPServer

import chdb
import clickhouse_endpoint as endpoint

PORT = 8123

if __name__ == "__main__":
    endpoint.USER = os.environ["CLICKHOUSE_USER"]
    endpoint.PASSWORD = os.environ["CLICKHOUSE_PASSWORD"]
    endpoint._Handler.engine = endpoint._Engine(chdb.connect(":memory:"))
    ThreadingHTTPServer(("0.0.0.0", PORT), endpoint._Handler).serve_forever()
