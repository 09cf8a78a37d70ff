"""Connections to Postgres on which no call waits for ever.

Nothing is set on a session: behind a pooler in transaction mode the session belongs to everybody.
What every transaction needs, it sets for itself (`storage.session`).
"""

import asyncio
import json
import os
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Self, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import set_json_dumps
from psycopg.waiting import Ready, Wait

Result = TypeVar("Result")

LOOK_SECONDS = 0.1
"""How often a wait looks at the clock."""

_CONNECTION_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    # A peer that vanished without a word is noticed within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}

# Sent with the connection request, where poolers see and track them; as text of the SQL language
# they would be lost on a pooler. psycopg reads dates in ISO form only. Set when this is imported,
# because the environment is not to be changed while other threads connect.
os.environ.update({"PGDATESTYLE": "ISO", "PGTZ": "UTC"})

# Characters as they are: a database in SQL_ASCII refuses their escaped form.
_json = partial(json.dumps, ensure_ascii=False, allow_nan=False)


class InvalidDsn(ValueError):
    """The DSN cannot be parsed; the message does not repeat it, for it may hold a password."""


class Unreachable(psycopg.OperationalError):
    """No connection could be made; trying again later may succeed."""


class NoAnswer(psycopg.OperationalError):
    """The server said nothing for too long. The connection cannot be used any more."""


class Abandoned(psycopg.OperationalError):
    """The caller wants no answer any more. The connection cannot be used any more."""


def never() -> bool:
    """Answer of a caller that always wants to know."""
    return False


class Connection(psycopg.Connection[Any]):
    """A connection whose every wait ends.

    A network that swallows packets answers neither the driver nor the server's own time limits. So
    each wait looks at the clock ten times a second: after `answer_seconds` it raises NoAnswer, and
    as soon as `abandon()` is true it raises Abandoned.
    """

    answer_seconds: float = 30.0
    abandon: Callable[[], bool] = staticmethod(never)
    before: str | None = None
    after: str | None = None
    """What the next statement is sent with, by `storage.one_message`."""
    ours = False
    """Whether a session's transaction is under way."""

    @classmethod
    def open(cls, conninfo: str) -> Self:
        """Connect, without sending any statement. Raises psycopg.OperationalError."""
        conn = cls.connect(conninfo, autocommit=True, prepare_threshold=None)
        set_json_dumps(_json, conn)
        return conn

    def pooled(self) -> bool:
        """Whether a pooler stands between us and the server: it invents the pid it tells us."""
        row = self.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        return bool(row[0] != self.info.backend_pid)

    def wait(
        self, gen: PQGen[Result], interval: float = LOOK_SECONDS, timeout: float | None = None
    ) -> Result:
        """Wait for an answer; called by psycopg for everything that needs one."""
        return super().wait(_watched(gen, self.answer_seconds, self.abandon), interval, timeout)


class LoopConnection(psycopg.AsyncConnection[Any]):
    """An open connection as an event loop uses it, while nobody uses it otherwise.

    Its waits end as those of a Connection do. A task that is cancelled while it waits leaves an
    answer that nobody has read: whoever uses the connection has to close it then.
    """

    answer_seconds: float = 30.0

    def __init__(self, conn: Connection) -> None:
        super().__init__(conn.pgconn)
        self._autocommit = True
        self._own_adapters = conn.adapters

    @property
    def adapters(self) -> AdaptersMap:
        """How values travel: the same way."""
        return self._own_adapters

    async def wait(
        self,
        gen: PQGen[Result],
        interval: float = LOOK_SECONDS,  # noqa: ARG002 – psycopg's signature
        timeout: float | None = None,  # noqa: ARG002
    ) -> Result:
        """Wait for an answer; called by psycopg for everything that needs one.

        Not in psycopg's own way. That makes a task and registers the socket anew for each piece of
        an answer, which takes longer than the piece, and it delays a cancellation until the
        statement has ended.
        """
        watch = _Watch(self.pgconn.socket, self.answer_seconds)
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send(await watch.ready(wanted))
        except StopIteration as end:
            result: Result = end.value
            return result
        finally:
            watch.close()


class _Watch:
    """A socket that a task of the running loop waits for, `seconds` in all."""

    def __init__(self, socket: int, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._seconds = seconds
        self._waiting: asyncio.Future[Ready] | None = None
        self._timer = self._loop.call_later(seconds, self._wake, Ready.NONE)
        self._over = self._reading = self._writing = False

    async def ready(self, wanted: Wait) -> Ready:
        """Wait until one of these is possible, and return it. Raises NoAnswer."""
        self._watch(wanted)
        self._waiting = self._loop.create_future()
        found = Ready.NONE if self._over else await self._waiting
        if not found:
            raise NoAnswer(f"no answer within {self._seconds:g} s")
        return found

    def close(self) -> None:
        """Leave the socket alone."""
        self._timer.cancel()
        if self._reading:
            self._loop.remove_reader(self._socket)
        if self._writing:
            self._loop.remove_writer(self._socket)

    def _watch(self, wanted: Wait) -> None:
        if wanted & Wait.R and not self._reading:
            self._loop.add_reader(self._socket, self._wake, Ready.R)
            self._reading = True
        writes = bool(wanted & Wait.W)
        if writes and not self._writing:
            self._loop.add_writer(self._socket, self._wake, Ready.W)
        elif self._writing and not writes:
            self._loop.remove_writer(self._socket)
        self._writing = writes

    def _wake(self, ready: Ready) -> None:
        self._over = self._over or not ready
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(ready)


def _watched(
    gen: PQGen[Result], answer_seconds: float, abandon: Callable[[], bool]
) -> PQGen[Result]:
    overdue_at = time.monotonic() + answer_seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if abandon():
                raise Abandoned("the answer is not wanted any more")
            if not ready and time.monotonic() > overdue_at:
                raise NoAnswer(f"no answer within {answer_seconds:g} s")
            wanted = gen.send(ready)
    except StopIteration as end:
        result: Result = end.value
        return result


@lru_cache  # each owner makes a session of its own
def conninfo(dsn: str, *, application_name: str) -> str:
    """Complete a DSN with our defaults, which its own values beat. Raises InvalidDsn."""
    values = _CONNECTION_DEFAULTS | parsed(dsn)
    # Text travels as UTF-8 whatever the database's own encoding is, SQL_ASCII included.
    return make_conninfo(
        **values | {"application_name": application_name, "client_encoding": "UTF8"}
    )


def address(dsn: str) -> str:
    """Say where a DSN leads, `host:port/database`, without user and password."""
    values = parsed(dsn)
    host = values.get("host") or values.get("hostaddr") or "localhost"
    return f"{host}:{values.get('port') or 5432}/{values.get('dbname') or values.get('user', '')}"


def parsed(dsn: str) -> dict[str, Any]:
    """Split a DSN, a URL or `key=value` text, into libpq's parameters. Raises InvalidDsn."""
    try:
        return dict(conninfo_to_dict(dsn))
    except psycopg.ProgrammingError:
        raise InvalidDsn(
            "not a Postgres DSN; expected postgresql://user:password@host:5432/database"
        ) from None
