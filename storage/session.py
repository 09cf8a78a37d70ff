"""One connection that is opened when it is needed, and the transactions on it."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from configs.logs import one_line
from storage.connection import Connection, Unreachable, address, conninfo, never

Result = TypeVar("Result")

ANSWER_GRACE_SECONDS = 1.0
"""The server's own time limit ends a statement first; the client cuts the connection after it."""

STATEMENTS_PER_TRANSACTION = 4

_TRANSACTION_TIMEOUT_SINCE = 170000


class Session:
    """The connection of one thread.

    `lock_seconds` bounds the wait for a lock, and how long a transaction may be idle: a paused
    owner loses its row locks before its lease runs out. `statement_seconds` bounds each statement.
    `on_connect` is called inside the first transaction of every new connection, again while it
    raises.
    """

    def __init__(
        self,
        dsn: str,
        *,
        application_name: str,
        lock_seconds: float,
        statement_seconds: float,
        on_connect: Callable[[Connection], object] | None = None,
    ) -> None:
        self._conninfo = conninfo(dsn, application_name=application_name)
        self._address = address(dsn)
        self._lock_seconds = lock_seconds
        self._statement_seconds = statement_seconds
        self._on_connect = on_connect
        self._conn: Connection | None = None
        self._greeted = False  # on_connect has seen this connection

    @property
    def connected(self) -> bool:
        """Whether the next `run` uses a connection that there is already, sound or not."""
        return self._conn is not None and not self._conn.closed

    def run(
        self,
        work: Callable[[Connection], Result],
        *,
        statement_seconds: float | None = None,
        abandon: Callable[[], bool] = never,
    ) -> Result:
        """Run `work(connection)` as one transaction and commit it.

        `statement_seconds` replaces the session's own limit. As soon as `abandon()` is true, every
        wait ends with `storage.connection.Abandoned`.

        Raises what `work` and Postgres raise, `Unreachable` where there is no connection; nothing
        is committed then. Only after an error of the COMMIT itself nobody can know.
        `storage.faults` says which errors are worth another try; the next call starts with a new
        connection where this one is not sound any more.
        """
        seconds = self._statement_seconds if statement_seconds is None else statement_seconds
        if self._conn is None or self._conn.closed:
            self._conn, self._greeted = self._open(), False
        conn = self._conn
        conn.answer_seconds = seconds + ANSWER_GRACE_SECONDS
        conn.abandon = abandon
        try:
            _begin(conn, self._lock_seconds, seconds)
            if not self._greeted and self._on_connect is not None:
                self._on_connect(conn)
            self._greeted = True
            result = work(conn)
            conn.commit()
        except BaseException:
            self._undo(conn)
            raise
        return result

    def close(self) -> None:
        """Close the connection; the next `run` opens another."""
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(psycopg.Error):
                conn.close()

    def _open(self) -> Connection:
        try:
            return Connection.open(self._conninfo)
        except psycopg.OperationalError as error:
            raise Unreachable(f"Postgres at {self._address}: {one_line(error)}") from error

    def _undo(self, conn: Connection) -> None:
        status = conn.info.transaction_status
        if status is TransactionStatus.IDLE:
            return
        if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            with suppress(psycopg.Error):
                conn.rollback()
        if conn.info.transaction_status is not TransactionStatus.IDLE:
            self.close()


def _begin(conn: Connection, lock_seconds: float, statement_seconds: float) -> None:
    """Begin a transaction in one message that sets everything it relies on, for itself only.

    A session behind a pooler may carry any setting of a stranger: none of ours is left on it, and
    none of theirs is used.
    """
    lock_ms, statement_ms = _milliseconds(lock_seconds), _milliseconds(statement_seconds)
    settings = {
        "lock_timeout": lock_ms,
        "idle_in_transaction_session_timeout": lock_ms,
        "statement_timeout": statement_ms,
        "search_path": "DEFAULT",
        "extra_float_digits": 1,  # floats as the shortest text that gives the same bits
    }
    if conn.info.server_version >= _TRANSACTION_TIMEOUT_SINCE:
        settings["transaction_timeout"] = STATEMENTS_PER_TRANSACTION * statement_ms
    local = "".join(f"; SET LOCAL {name} = {value}" for name, value in settings.items())
    text = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE{local}"
    try:
        conn.execute(text.encode("ascii"))
    except psycopg.errors.FeatureNotSupported as error:
        # So says a standby, which cannot write; it is about to be promoted, or to be left.
        raise psycopg.errors.ReadOnlySqlTransaction(str(error)) from error


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
