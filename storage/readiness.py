"""Waiting for Postgres when a program starts, and seeing what waiting would not cure."""

import select
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg
from psycopg import pq

from configs.one_line import one_line
from storage import faults, schema
from storage.connection import Unreachable, address, conninfo
from storage.retry import backoff
from storage.session import Session

APPLICATION_NAME = "backtest-wait"
REMIND_SECONDS = 30.0
ANSWER_SECONDS = 5.0

_REFUSED_FOR_GOOD = {
    "3D000": "there is no such database: create it, or correct the name in the DSN",
    "28000": "the server does not let this role in: check the role's name and pg_hba.conf",
    "28P01": "the password is wrong: correct it in the DSN",
    "42704": "the server does not know a setting that the connection asks for: check its options",
    "42501": "the role may not connect to this database: GRANT CONNECT ON DATABASE … TO the role",
    "55000": "the database accepts no connections: see ALLOW_CONNECTIONS of ALTER DATABASE",
}


class DatabaseRefuses(Exception):
    """The server answers and will not let us in; waiting would not change that."""

    def __init__(self, message: str, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def wait_until_ready(
    dsn: str, say: Callable[[str], object], *, stop: threading.Event | None = None
) -> str | None:
    """Wait until Postgres answers and return its namespace; None when `stop` was set meanwhile.

    Says through `say` that it waits, at once and every REMIND_SECONDS. Raises `InvalidDsn`,
    `DatabaseRefuses` and `schema.SchemaUnusable`.
    """
    stop = stop or threading.Event()
    said_at = float("-inf")
    for pause in backoff():
        if stop.is_set():
            return None
        try:
            return look(dsn, abandon=stop.is_set)
        except psycopg.Error as error:
            if not faults.passing(error):
                raise
            if time.monotonic() - said_at >= REMIND_SECONDS and not stop.is_set():
                said_at = time.monotonic()
                say(f"waiting for Postgres: {one_line(error)}")
        stop.wait(pause)
    raise AssertionError("backoff never ends")


def look(dsn: str, *, abandon: Callable[[], bool]) -> str:
    """Look once whether Postgres is ready; returns its namespace.

    Raises what `wait_until_ready` raises, and psycopg.Error while it is not.
    """
    session = Session(
        dsn,
        application_name=APPLICATION_NAME,
        lock_seconds=ANSWER_SECONDS,
        statement_seconds=ANSWER_SECONDS,
        on_connect=schema.check,
    )
    try:
        return session.run(schema.namespace, abandon=abandon)
    except Unreachable:
        if not abandon():
            raise_refusal(dsn)
        raise
    finally:
        session.close()


def reach(dsn: str, *, application_name: str) -> None:
    """Raise what keeps a transaction from being made now, whatever the schema."""
    session = Session(
        dsn,
        application_name=application_name,
        lock_seconds=ANSWER_SECONDS,
        statement_seconds=ANSWER_SECONDS,
    )
    try:
        session.run(lambda _conn: None)
    except Unreachable:
        raise_refusal(dsn)
        raise
    finally:
        session.close()


def raise_refusal(dsn: str) -> None:
    """Raise DatabaseRefuses if the server answers and will never let us in."""
    code = refusal(conninfo(dsn, application_name=APPLICATION_NAME))
    advice = _REFUSED_FOR_GOOD.get(code or "")
    if code is not None and advice is not None:
        raise DatabaseRefuses(f"Postgres at {address(dsn)}: {advice} (SQLSTATE {code})", code)


def refusal(conninfo: str, seconds: float = ANSWER_SECONDS) -> str | None:
    """Return the SQLSTATE with which a server refuses a connection, None where it does not.

    libpq keeps it to itself, and its message is in the server's language. So the attempt is
    repeated while libpq writes down what it receives.
    """
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryFile() as trace:
        pgconn = pq.PGconn.connect_start(conninfo.encode())
        try:
            pgconn.trace(trace.fileno())
            _drive(pgconn, deadline)
        except (psycopg.Error, OSError):  # e.g. no such host: not a refusal
            return None
        finally:
            with suppress(psycopg.Error):
                pgconn.untrace()
            pgconn.finish()
        trace.seek(0)
        return _sqlstate(trace.read().decode("utf-8", errors="replace"))


def _drive(pgconn: pq.abc.PGconn, deadline: float) -> None:
    while (left := deadline - time.monotonic()) > 0:
        match pgconn.connect_poll():
            case pq.PollingStatus.READING:
                select.select([pgconn.socket], [], [], left)
            case pq.PollingStatus.WRITING:
                select.select([], [pgconn.socket], [], left)
            case _:
                return


def _sqlstate(trace: str) -> str | None:
    """Find the code in a line like `B 90 ErrorResponse S "FATAL" V "FATAL" C "3D000" M …`."""
    for line in trace.splitlines():
        if "ErrorResponse" in line:
            _, found, rest = line.partition(' C "')
            if found:
                return rest[:5]
    return None
