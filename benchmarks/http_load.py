"""Clients that ask one server again and again, each as soon as it was answered."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvloop

HEAD_END = b"\r\n\r\n"


@dataclass
class Load:
    """What the clients saw: seconds of every answer, and what was not 2xx."""

    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0.0
    refused: int = 0
    first_refusal: bytes = b""

    def quantile(self, share: float) -> float:
        """Return the seconds within which this share of the answers came."""
        ranked = sorted(self.seconds)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))]

    @property
    def per_second(self) -> float:
        """Answers per second, of all clients together."""
        return len(self.seconds) / self.elapsed


def request(
    method: str, path: str, *, token: str | None = None, body: bytes = b"", host: str = "127.0.0.1"
) -> bytes:
    """Return the bytes of a request that keeps its connection."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}"]
    if token is not None:
        lines.append(f"authorization: Bearer {token}")
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join((*lines, "", "")).encode("ascii") + body


def run(port: int, requests: Sequence[bytes], *, clients: int, seconds: float) -> Load:
    """Ask for so many seconds; client n begins with request n and goes on in turns."""
    load = Load()
    uvloop.run(_run(port, requests, clients, seconds, load))
    return load


async def _run(
    port: int, requests: Sequence[bytes], clients: int, seconds: float, load: Load
) -> None:
    loop = asyncio.get_running_loop()
    begin = time.perf_counter()
    done = [loop.create_future() for _ in range(clients)]
    for number in range(clients):
        own = [requests[at] for at in range(number % len(requests), len(requests), clients)]

        def client(own: Sequence[bytes] = own, number: int = number) -> _Client:
            return _Client(own, load, begin + seconds, lambda: done[number].set_result(None))

        await loop.create_connection(client, "127.0.0.1", port)
    await asyncio.gather(*done)
    load.elapsed = time.perf_counter() - begin


class _Client(asyncio.Protocol):
    """One connection: a request, its answer, the next request, until the time is over."""

    def __init__(
        self, requests: Sequence[bytes], load: Load, until: float, end: Callable[[], None]
    ) -> None:
        self._requests, self._load, self._until, self._end = requests, load, until, end
        self._asked = 0
        self._received = bytearray()
        self._transport: Any = None  # that of uvloop is no asyncio.Transport
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(HEAD_END)
        if head < 0:
            return
        if len(self._received) < head + len(HEAD_END) + _length(bytes(self._received[:head])):
            return
        now = time.perf_counter()
        if self._received[9:10] == b"2":
            self._load.seconds.append(now - self._sent_at)
        else:
            self._load.refused += 1
            self._load.first_refusal = self._load.first_refusal or bytes(self._received)
        self._received.clear()
        if now < self._until:
            self._ask()
        elif self._transport is not None:
            self._transport.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._end()

    def _ask(self) -> None:
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(self._requests[self._asked % len(self._requests)])
        self._asked += 1


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0
