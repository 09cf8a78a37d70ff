"""Connections to Postgres: opening, pooling, waiting, LISTEN, and ending one from outside.

Every connection made here is in autocommit mode: a statement is its own transaction, and
`conn.transaction()` spans several. The functions of this package rely on that.
"""

import os
import random
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

CHANNEL = "backtest_jobs"
"""Notified by whoever submits or releases a job."""

SCHEMA_REVISION = "0001"
"""The migration that this code was written for."""

RETRY_SECONDS = 0.25
RETRY_SECONDS_MAX = 5.0
STOP_SECONDS = 2.0

_CONNECTION_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 10,
    # A peer that vanished without a word is noticed within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


class InvalidDsn(ValueError):
    """The DSN cannot be parsed; the message does not repeat it, for it may hold a password."""


class StorageUnavailable(psycopg.OperationalError):
    """Postgres cannot be reached now; trying again later may succeed."""


class SchemaNotMigrated(Exception):
    """The database is reachable, but its schema is not the one this code needs."""


UNAVAILABLE: tuple[type[Exception], ...] = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
)
"""Errors after which the work may succeed on a new connection, or simply later."""


def address(dsn: str) -> str:
    """Say where a DSN leads, `host:port/database`, without user and password."""
    values = _parse(dsn)
    host = values.get("host") or values.get("hostaddr") or "localhost"
    return f"{host}:{values.get('port') or 5432}/{values.get('dbname') or values.get('user', '')}"


def connect(
    dsn: str, *, application_name: str, heartbeat_seconds: float
) -> psycopg.Connection[Any]:
    """Open an autocommit connection on which no transaction can hold a row for long.

    `heartbeat_seconds` bounds both the wait for a lock and an idle transaction, so that a paused
    owner loses its row locks before its lease runs out. Raises `StorageUnavailable`, `InvalidDsn`.
    """
    conninfo = make_conninfo(
        **(_CONNECTION_DEFAULTS | _parse(dsn) | {"application_name": application_name})
    )
    try:
        conn = psycopg.connect(conninfo, autocommit=True)
        _limit_waiting(conn, heartbeat_seconds)
    except psycopg.OperationalError as error:
        raise StorageUnavailable(f"Postgres at {address(dsn)}: {_one_line(error)}") from error
    return conn


def pool(
    dsn: str, *, application_name: str, heartbeat_seconds: float, max_size: int = 4
) -> ConnectionPool[psycopg.Connection[Any]]:
    """Open a pool of connections like those of `connect`; checked before they are lent."""

    def configure(conn: psycopg.Connection[Any]) -> None:
        _limit_waiting(conn, heartbeat_seconds)

    return ConnectionPool(
        make_conninfo(
            **(_CONNECTION_DEFAULTS | _parse(dsn) | {"application_name": application_name})
        ),
        kwargs={"autocommit": True},
        min_size=1,
        max_size=max_size,
        configure=configure,
        check=ConnectionPool.check_connection,
        name=application_name,
        open=True,
    )


def shut_down(conn: psycopg.Connection[Any]) -> None:
    """End a connection from another thread, whatever its own thread is waiting for.

    Shuts the socket down without touching the driver's state: a read that a blackholed network
    would block for ever returns at once with an error. Harmless on a closed connection.
    """
    # The duplicate is ours to close; shutdown works on the socket that both stand for.
    with (
        suppress(psycopg.Error, OSError),
        socket.socket(fileno=os.dup(conn.fileno())) as duplicate,
    ):
        duplicate.shutdown(socket.SHUT_RDWR)


def check_schema(conn: psycopg.Connection[Any]) -> None:
    """Raise `SchemaNotMigrated` unless the database is at exactly `SCHEMA_REVISION`."""
    try:
        row = conn.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    found = None if row is None else row[0]
    if found != SCHEMA_REVISION:
        state = "has no schema yet" if found is None else f"is at schema revision {found}"
        raise SchemaNotMigrated(
            f"the database {state}, this program needs revision {SCHEMA_REVISION}:"
            " run `backtest migrate` with POSTGRES_DSN set"
        )


def wait_until_ready(
    dsn: str, log: Callable[[str], object], *, stop: threading.Event | None = None
) -> bool:
    """Wait until Postgres answers, saying so through `log`, then check the schema.

    Returns True when it is ready and False when `stop` was set meanwhile. Raises
    `SchemaNotMigrated` or `InvalidDsn`, which waiting would not cure.
    """
    stop = stop or threading.Event()
    delay = RETRY_SECONDS
    while not stop.is_set():
        try:
            with connect(dsn, application_name="backtest-wait", heartbeat_seconds=5) as conn:
                check_schema(conn)
            return True
        except UNAVAILABLE as error:
            log(f"waiting for Postgres at {address(dsn)}: {_one_line(error)}")
        stop.wait(delay)
        delay = min(2 * delay, RETRY_SECONDS_MAX)
    return False


class Listener:
    """A thread that calls `wake` when jobs were submitted or released.

    It listens on a connection of its own and reconnects with backoff. A burst of notifications is
    one call, and so is every (re)connection, for something may have been missed before it. `log`
    gets one line when the connection is lost and when it is back.
    """

    def __init__(
        self,
        dsn: str,
        wake: Callable[[], object],
        log: Callable[[str], object],
        *,
        application_name: str = "backtest-listener",
    ) -> None:
        self._dsn = dsn
        self._wake = wake
        self._log = log
        self._application_name = application_name
        self._conn: psycopg.Connection[Any] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Start listening; returns at once, connected or not."""
        _parse(self._dsn)  # a DSN that can never work is the caller's error, not the thread's
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the thread; harmless when it was never started.

        A thread that is just connecting to a silent server is left behind after `STOP_SECONDS`:
        it ends by itself, and does not keep the process.
        """
        self._stopping.set()
        conn = self._conn
        if conn is not None:
            shut_down(conn)
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        delay = RETRY_SECONDS
        lost = False
        while not self._stopping.is_set():
            try:
                with connect(
                    self._dsn, application_name=self._application_name, heartbeat_seconds=5
                ) as conn:
                    self._conn = conn
                    conn.execute(f"LISTEN {CHANNEL}")
                    if lost:
                        self._log(f"listening to Postgres at {address(self._dsn)} again")
                    lost, delay = False, RETRY_SECONDS
                    self._wake()
                    self._listen(conn)
            except UNAVAILABLE as error:
                if self._stopping.is_set():
                    return
                if not lost:
                    self._log(f"lost the notifications of Postgres: {_one_line(error)}")
                lost = True
            finally:
                self._conn = None
            # Spread out, so that many listeners do not come back in the same instant.
            self._stopping.wait(delay * random.uniform(0.5, 1.0))  # noqa: S311
            delay = min(2 * delay, RETRY_SECONDS_MAX)

    def _listen(self, conn: psycopg.Connection[Any]) -> None:
        while not self._stopping.is_set():
            # `stop()` may have come before `_conn` was set; the timeout notices that.
            if list(conn.notifies(timeout=1.0, stop_after=1)):
                self._wake()


def _limit_waiting(conn: psycopg.Connection[Any], heartbeat_seconds: float) -> None:
    milliseconds = str(max(1, int(heartbeat_seconds * 1000)))
    conn.execute(
        "SELECT set_config('lock_timeout', %(ms)s, false),"
        " set_config('idle_in_transaction_session_timeout', %(ms)s, false)",
        {"ms": milliseconds},
    )


def _parse(dsn: str) -> dict[str, Any]:
    try:
        return dict(conninfo_to_dict(dsn))
    except psycopg.ProgrammingError:
        raise InvalidDsn(
            "not a Postgres DSN; expected postgresql://user:password@host:5432/database"
        ) from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
