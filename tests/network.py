"""A network between a program and its Postgres or Redis that can be broken while it runs.

with postgres_proxy(dsn) as network:     # or redis_proxy(url)
    program(network.dsn)                 # .url for Redis
    network.blackhole()
    ...
    network.heal()
"""

import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict, make_conninfo

LOOK_SECONDS = 0.02
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104


class Messages:
    """Cuts one direction of the Postgres protocol into whole messages: type, then body."""

    def __init__(self, *, startup: bool) -> None:
        self._startup = startup
        self._left = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the messages that are complete now; the startup packet has the type b''."""
        self._left += data
        while True:
            head = 0 if self._startup else 1
            if len(self._left) < head + 4:
                return
            end = head + int.from_bytes(self._left[head : head + 4], "big")
            if len(self._left) < end:
                return
            kind, body = bytes(self._left[:head]), bytes(self._left[head + 4 : end])
            del self._left[:end]
            self._startup = False
            yield kind, body


class Link:
    """One connection of a client, and the one to the server behind it."""

    def __init__(self, client: socket.socket, server: socket.socket, *, swallows: bool) -> None:
        self.client = client
        self.server = server
        self.swallows = swallows
        self.ready = False  # the server has said once that it is ready for a statement
        self.after_seen = False
        self.answer_dropped = False
        self.asked = Messages(startup=True)
        self.answered = Messages(startup=False)
        self.busy = threading.Lock()
        self.is_cut = threading.Event()

    def cut(self) -> None:
        """Close both ends; harmless when it was done."""
        self.is_cut.set()
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Listens on 127.0.0.1:`port` and passes everything on, until told otherwise."""

    def __init__(self, connect: Callable[[], socket.socket], *, postgres: bool) -> None:
        self._connect = connect
        self._postgres = postgres
        self._links: set[Link] = set()
        self._stuck: set[Link] = set()
        self._lock = threading.Lock()
        self._passing = threading.Event()
        self._passing.set()
        self._swallows = False
        self._drop: tuple[bytes, bytes] | None = None
        self.dropped = threading.Event()
        # The port stays ours while nobody listens on it.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port: int = self._reserved.getsockname()[1]
        self._listening: socket.socket | None = None
        self._listen()

    # --------------------------------------------------------------------------- modes

    def heal(self) -> None:
        """Pass everything on; what a blackhole held back arrives late. Stuck links stay stuck."""
        self._swallows, self._drop = False, None
        self._passing.set()
        self._listen()

    def blackhole(self) -> None:
        """Accept bytes and connections, and answer nothing: the peer vanished without a word."""
        self._passing.clear()
        for link in self.links():
            if link.busy.acquire(timeout=5):  # what was under way has arrived
                link.busy.release()

    def refuse(self) -> None:
        """Close every connection and accept none."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        self.cut()

    def cut(self) -> None:
        """Close every connection; new ones are as good as the mode says."""
        for link in self.links():
            link.cut()

    def swallow_first(self) -> None:
        """Close every connection; new ones log in, and their first statement is never answered.

        So behaves a pooler whose server connection is stuck. Postgres only.
        """
        self._swallows = True
        self.cut()

    def drop_answer_of(self, pattern: bytes, *, after: bytes = b"") -> None:
        """Have one answer lost: the statement runs, then the connection is closed instead.

        It is that of the first client message with `pattern` in it that follows `after`, in it or
        in one before on the same connection; `dropped` is set then. So
        `drop_answer_of(b"COMMIT", after=b"claimed")` makes it unknown to a claim whether it
        succeeded. Postgres only.
        """
        self.dropped.clear()
        self._drop = (pattern, after)

    def links(self) -> list[Link]:
        """The connections that are open now."""
        with self._lock:
            return list(self._links)

    def stuck(self) -> list[Link]:
        """The connections whose first statement was swallowed, closed by their client or not."""
        with self._lock:
            return list(self._stuck)

    def stop(self) -> None:
        """Close everything."""
        self.refuse()
        self._passing.set()
        self._reserved.close()

    # --------------------------------------------------------------------------- threads

    def _listen(self) -> None:
        if self._listening is not None:
            return
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(128)
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                server = self._connect()
            except OSError:
                return
            with server:
                link = Link(client, server, swallows=self._swallows)
                with self._lock:
                    self._links.add(link)
                try:
                    self._carry(link)
                except OSError:
                    link.cut()
                finally:
                    with self._lock:
                        self._links.discard(link)

    def _carry(self, link: Link) -> None:
        if self._postgres and not self._refuse_encryption(link):
            return
        with selectors.DefaultSelector() as selector:
            selector.register(link.client, selectors.EVENT_READ)
            selector.register(link.server, selectors.EVENT_READ)
            while not link.is_cut.is_set():
                if not self._passing.wait(LOOK_SECONDS):
                    continue
                for key, _ in selector.select(LOOK_SECONDS):
                    with link.busy:
                        if self._passing.is_set() and not self._pass_on(link, key.fileobj):
                            return

    def _pass_on(self, link: Link, source: object) -> bool:
        """Carry what one end has sent to the other; False at its end."""
        asks = source is link.client
        data = (link.client if asks else link.server).recv(65536)
        if not data or link.is_cut.is_set():
            return False
        if self._postgres:
            if asks:
                self._look_at_request(link, data)
            else:
                finished = self._look_at_answer(link, data)
                if link.answer_dropped:
                    if finished:
                        self.dropped.set()
                    return not finished
        if asks and link.swallows and link.ready:
            with self._lock:
                self._stuck.add(link)
        else:
            (link.server if asks else link.client).sendall(data)
        return True

    def _look_at_request(self, link: Link, data: bytes) -> None:
        for kind, body in link.asked.feed(data):
            drop = self._drop
            if drop is None or not kind:
                continue
            pattern, after = drop
            following = body if link.after_seen or not after else body.partition(after)[2]
            if pattern in following:
                link.answer_dropped, self._drop = True, None
            elif after and after in body:
                link.after_seen = True

    def _look_at_answer(self, link: Link, data: bytes) -> bool:
        """Whether a statement is finished: the server says that it is ready for the next."""
        finished = b"Z" in [kind for kind, _ in link.answered.feed(data)]
        link.ready = link.ready or finished
        return finished

    def _refuse_encryption(self, link: Link) -> bool:
        """Answer a request for TLS, which comes before the startup packet; False at the end."""
        while True:
            head = link.client.recv(8, socket.MSG_PEEK | socket.MSG_WAITALL)
            if len(head) < 8:
                return False
            if struct.unpack("!I", head[4:])[0] not in (SSL_REQUEST, GSS_REQUEST):
                return True
            link.client.recv(8)
            link.client.sendall(b"N")


class PostgresProxy(Proxy):
    """A proxy to the server of `dsn`, reached by its own `dsn`."""

    def __init__(self, dsn: str) -> None:
        values = conninfo_to_dict(dsn)
        host, port = str(values.get("host") or "127.0.0.1"), int(values.get("port") or 5432)
        super().__init__(lambda: _connect(host, port), postgres=True)
        self.dsn = make_conninfo(dsn, host="127.0.0.1", port=self.port)


class RedisProxy(Proxy):
    """A proxy to the server of `url`, reached by its own `url`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        host, port = parts.hostname or parts.path, parts.port or 6379
        super().__init__(lambda: _connect(host, port, redis=True), postgres=False)
        self.url = (
            f"redis://127.0.0.1:{self.port}/{parts.path.lstrip('/') if parts.hostname else 0}"
        )


def _connect(host: str, port: int, *, redis: bool = False) -> socket.socket:
    if not host.startswith("/"):
        return socket.create_connection((host, port), timeout=None)
    made = socket.socket(socket.AF_UNIX)
    try:
        made.connect(host if redis else str(Path(host) / f".s.PGSQL.{port}"))
    except OSError:
        made.close()
        raise
    return made


@contextmanager
def postgres_proxy(dsn: str) -> Iterator[PostgresProxy]:
    """A breakable network to the server of `dsn`."""
    proxy = PostgresProxy(dsn)
    try:
        yield proxy
    finally:
        proxy.stop()


@contextmanager
def redis_proxy(url: str) -> Iterator[RedisProxy]:
    """A breakable network to the server of `url`."""
    proxy = RedisProxy(url)
    try:
        yield proxy
    finally:
        proxy.stop()
