"""A viewer of a stream: reads server-sent events as the standard says, off a real connection."""

import http.client
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self
from uuid import UUID

from tests.api.running import Api

PATIENCE = 30.0


class Sent(NamedTuple):
    """One block of a stream; a comment has neither name nor data."""

    name: str | None
    data: Any
    event_id: str | None
    comment: str | None
    retry: str | None


class Viewer:
    """An open stream; ends with the context."""

    def __init__(
        self,
        api: Api,
        path: str,
        *,
        user_id: UUID | None = None,
        token: str | None = None,
        last_event_id: object = None,
    ) -> None:
        self.api = api
        self._conn = http.client.HTTPConnection("127.0.0.1", api.port, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {token or api.token(user_id)}"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        self._conn.request("GET", path, headers=headers)
        assert self._conn.sock is not None
        self.socket: socket.socket = self._conn.sock
        self.response = self._conn.getresponse()
        self.status = self.response.status
        self._until = time.monotonic() + PATIENCE

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Sent]:
        return self

    def __next__(self) -> Sent:
        """Return the next block; ends where the connection does. Raises TimeoutError."""
        lines: list[str] = []
        while True:
            # Comments keep a stream alive for ever.
            assert time.monotonic() < self._until, f"nothing of that in {PATIENCE:g} s"
            try:
                line = self.response.readline().decode()
            except (http.client.IncompleteRead, ConnectionError):
                line = ""
            if not line:
                raise StopIteration
            if line == "\n":
                return _sent(lines)
            lines.append(line.removesuffix("\n"))

    def named(self, name: str) -> Sent:
        """Return the next event of this name."""
        return self.until(lambda sent: sent.name == name)

    def until(self, wanted: Callable[[Sent], bool]) -> Sent:
        """Return the next block that is wanted."""
        self._until = time.monotonic() + PATIENCE
        for sent in self:
            if wanted(sent):
                return sent
        raise AssertionError(f"the stream ended; the API has logged:\n{self.api.text()}")

    def lifecycle(self, count: int) -> list[Sent]:
        """Return the next events of the lifecycle."""
        return [self.named("lifecycle") for _ in range(count)]

    def rest(self) -> list[Sent]:
        """Return everything up to the end of the stream."""
        self._until = time.monotonic() + PATIENCE
        return list(self)

    def reset(self) -> None:
        """Vanish without a word of goodbye: the connection is reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self.response.close()
        self._conn.close()
        self.socket.close()


def job_path(job_id: object) -> str:
    return f"/backtests/jobs/{job_id}/stream"


LIST_PATH = "/backtests/stream"


def _sent(lines: list[str]) -> Sent:
    fields: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name, []).append(value.removeprefix(" "))
    data = "\n".join(fields["data"]) if "data" in fields else None

    def first(name: str) -> str | None:
        return fields[name][0] if name in fields else None

    return Sent(
        name=first("event"),
        data=None if data is None else json.loads(data),
        event_id=first("id"),
        comment=first(""),
        retry=first("retry"),
    )
