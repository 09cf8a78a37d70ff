"""ClickHouse's HTTP interface, small but real: every query is executed by chDB.

`python -m tests.storage.clickhouse_endpoint` serves it on a free port, which it prints; the engine
lives in that process only. `Endpoint` starts it from a test and lets it fail on demand.
"""

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ROOT = Path(__file__).resolve().parents[2]
USER, PASSWORD = "reader", "open sesame"
CANCELLED_WITH_CLIENT = "cancel_http_readonly_queries_on_client_close"
READONLY = f"Code: 164. DB::Exception: Cannot modify '{CANCELLED_WITH_CLIENT}'. (READONLY)"
REFUSED = "Code: 516. DB::Exception: reader: Authentication failed. (AUTHENTICATION_FAILED)"


class Endpoint:
    """A running endpoint; `port` is its HTTP port on 127.0.0.1."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.storage.clickhouse_endpoint"],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    @contextmanager
    def failing(self, how: str, *, only: str = "", **details: Any) -> Iterator[None]:
        """Let queries that contain `only` fail; see `_Handler._fail` for the ways."""
        self._control({"how": how, "only": only, **details})
        try:
            yield
        finally:
            self._control({})

    def queries(self) -> list[str]:
        """Every query so far, faulty ones included."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/control") as answer:
            return list(json.load(answer)["queries"])

    def cancelled(self) -> list[str]:
        """Every query that was stopped because its client had gone."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/control") as answer:
            return list(json.load(answer)["cancelled"])

    def stop(self) -> None:
        # Closing its stdin ends it, also when this process is killed.
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _control(self, fault: dict[str, Any]) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/control", data=json.dumps(fault).encode()
        )
        urllib.request.urlopen(request).close()


@dataclass
class _Engine:
    connection: Any
    lock: threading.Lock = field(default_factory=threading.Lock)
    fault: dict[str, Any] = field(default_factory=dict)
    healed: threading.Event = field(default_factory=threading.Event)
    queries: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def execute(self, sql: str, parameters: dict[str, str], body: bytes) -> bytes:
        """Run a query; the data of an INSERT comes from a file, as chDB reads no request bodies."""
        with self.lock, tempfile.NamedTemporaryFile() as data:
            if body:
                data.write(body)
                data.flush()
                insert, form = sql.rsplit("FORMAT", 1)
                sql = f"{insert} FROM INFILE '{data.name}' FORMAT {form}"
            return self.connection.query(sql, "TabSeparated", params=parameters).bytes() or b""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # As ClickHouse does; otherwise a body may wait 40 ms for the acknowledgement of its headers.
    disable_nagle_algorithm = True
    engine: _Engine

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/control":
            known = {"queries": self.engine.queries, "cancelled": self.engine.cancelled}
            self._answer(200, json.dumps(known).encode())
            return
        self._query(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._read_chunks()
        if urlsplit(self.path).path == "/control":
            self.engine.healed.set()
            self.engine.healed = threading.Event()
            self.engine.fault = json.loads(body)
            self._answer(200, b"")
            return
        self._query(body)

    def _query(self, body: bytes) -> None:
        arguments = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        sql, data = arguments.get("query"), body
        if sql is None:
            sql, data = body.decode(), b""
        self.engine.queries.append(sql)
        credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {credentials}":
            self._refuse(403, 516, REFUSED)
            return
        parameters = {k.removeprefix("param_"): v for k, v in arguments.items() if "param_" in k}
        fault = self.engine.fault
        if fault and fault["how"] == "readonly":
            if CANCELLED_WITH_CLIENT in arguments:
                self._refuse(500, 164, READONLY)
                return
        elif fault and fault["only"] in sql:
            # As ClickHouse does: a POST may write, and is not stopped.
            stopped = self.command == "GET" and arguments.get(CANCELLED_WITH_CLIENT) == "1"
            self._fail(fault, sql, parameters, stopped_without_client=stopped)
            return
        try:
            answer = self.engine.execute(sql, parameters, data)
        except Exception as error:
            text = str(error)
            code = int(text.partition("Code: ")[2].partition(".")[0] or 1002)
            self._refuse(404 if code in (60, 81) else 500, code, text)
            return
        self._answer(200, answer)

    def _fail(
        self,
        fault: dict[str, Any],
        sql: str,
        parameters: dict[str, str],
        *,
        stopped_without_client: bool,
    ) -> None:
        how = fault["how"]
        if how == "error":
            code, name = fault["code"], fault["name"]
            self._refuse(fault["status"], code, f"Code: {code}. DB::Exception: no. ({name})")
        elif how == "status":
            headers = fault.get("headers", {})
            self._answer(fault["status"], b"<html>a proxy speaks</html>", headers)
        elif how == "silence":
            while not self.engine.healed.wait(timeout=0.05):
                if stopped_without_client and self._client_is_gone():
                    self.engine.cancelled.append(sql)
                    break
        elif how == "garbage":
            self._answer(200, b"220 mail.example.org ESMTP ready")
        elif how == "nothing":
            self._answer(200, b"")
        else:
            answer = self.engine.execute(sql, parameters, b"")
            half = answer[: len(answer) // 2]
            if how == "disconnect":
                self._answer(200, half, length=len(answer))
            else:  # "cut": half an answer that ends like a whole one
                self._answer(200, half)
        self.close_connection = True

    def _client_is_gone(self) -> bool:
        try:
            flags = socket.MSG_PEEK | socket.MSG_DONTWAIT
            return not self.connection.recv(1, flags)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _refuse(self, status: int, code: int, text: str) -> None:
        self._answer(status, text.encode(), {"X-ClickHouse-Exception-Code": str(code)})

    def _answer(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        *,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def main() -> None:
    import chdb

    class Handler(_Handler):
        engine = _Engine(chdb.connect(":memory:"))  # type: ignore[no-untyped-call]

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    # At once: threads of the engine, in the middle of a query, may hold up the interpreter's end.
    os._exit(0)


if __name__ == "__main__":
    main()
