"""An HTTP server whose answers a test chooses, alone or between a command and the real API."""

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

OWN = Path(__file__).with_name("tls_peer.pem")
"""Key and certificate of 127.0.0.1 for a hundred years, signed by nobody else."""


@dataclass(frozen=True)
class Answer:
    """What it answers instead of the API."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


LOSE = "lose"
"""The API does what it is asked, and its answer gets lost."""
PASS = "pass"


@dataclass
class Peer:
    """Takes one step for each request; after the last one, requests go to the API behind it."""

    steps: list[Answer | str]
    behind: str | None
    url: str = ""
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def step(self) -> Answer | str:
        return self.steps.pop(0) if self.steps else PASS


@contextmanager
def peer(*steps: Answer | str, behind: str | None = None, tls: bool = False) -> Iterator[Peer]:
    """Run one for the length of a `with` block, at will with the certificate that is `OWN`."""
    known = Peer(list(steps), behind)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            known.seen.append((self.command, self.path, dict(self.headers)))
            step = known.step()
            if isinstance(step, Answer):
                self._send(step)
                return
            assert known.behind is not None, f"nothing is behind it for {self.path}"
            headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
            answer = httpx.request(
                self.command, f"{known.behind}{self.path}", headers=headers, content=body
            )
            if step == LOSE:
                self.close_connection = True
            else:
                self._send(Answer(answer.status_code, answer.content, dict(answer.headers)))

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = answer  # noqa: N815

        def _send(self, step: Answer) -> None:
            self.send_response(step.status)
            for name, value in step.headers.items():
                if name.lower() not in ("content-length", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(step.body)))
            self.end_headers()
            self.wfile.write(step.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(OWN)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    known.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    try:
        yield known
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
