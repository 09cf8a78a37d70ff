"""One connection that is opened when it is needed, and the transactions on it."""

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from configs.one_line import one_line
from storage.asking import Ask, asked
from storage.connection import Connection, LoopConnection, Unreachable, address, conninfo, never
from storage.one_message import apart, begin_with_next

Result = TypeVar("Result")

ANSWER_GRACE_SECONDS = 1.0
"""The server's own time limit ends a statement first; the client cuts the connection after it."""

STATEMENTS_PER_TRANSACTION = 4

_TRANSACTION_TIMEOUT_SINCE = 170000


class Session:
    """A connection for one at a time: a thread that runs transactions, or a task that asks.

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
        self._in_loop: LoopConnection | None = None

    @property
    def connected(self) -> bool:
        """Whether the next `run` uses a connection that there is already, sound or not."""
        return self._conn is not None and not self._conn.closed

    @property
    def greeted(self) -> bool:
        """Whether it is connected, and the first transaction of the connection is over."""
        return self.connected and self._greeted

    def run(
        self,
        work: Callable[[Connection], Result],
        *,
        statement_seconds: float | None = None,
        abandon: Callable[[], bool] = never,
        joined: bool = False,
    ) -> Result:
        """Run `work(connection)` as one transaction and commit it.

        `statement_seconds` replaces the session's own limit. As soon as `abandon()` is true, every
        wait ends with `storage.connection.Abandoned`. With `joined` what begins the transaction is
        sent with its first statement, whose values should be small.

        Raises what `work` and Postgres raise, `Unreachable` where there is no connection; nothing
        is committed then. Only after an error of the COMMIT itself nobody can know.
        `storage.faults` says which errors are worth another try; the next call starts with a new
        connection where this one is not sound any more.
        """
        seconds = self._statement_seconds if statement_seconds is None else statement_seconds
        conn = self._ready(seconds, abandon)
        text = self._begin_text(conn, seconds)
        try:
            conn.ours = True
            if joined and self._greeted:
                begin_with_next(conn, text, whole=False)
            else:
                conn.execute(text.encode("ascii"))
            if not self._greeted and self._on_connect is not None:
                self._on_connect(conn)
            self._greeted = True
            result = work(conn)
            conn.commit()
        except BaseException as error:
            self._undo(conn)
            _raise_of_a_standby(error)
            raise
        finally:
            conn.ours = False
            apart(conn)
        return result

    def run_one(
        self, work: Callable[[Connection], Result], *, abandon: Callable[[], bool] = never
    ) -> Result:
        """Run `work(connection)`, which executes one statement, as `run` does.

        The transaction is one message, so a caller that is paused holds no lock. After an error
        of any kind but `Unreachable` nobody can know whether it was committed.
        """
        if not self.greeted:
            return self.run(work, abandon=abandon)
        seconds = self._statement_seconds
        conn = self._ready(seconds, abandon)
        try:
            begin_with_next(conn, self._begin_text(conn, seconds), whole=True)
            return work(conn)
        except BaseException as error:
            self._undo(conn)
            _raise_of_a_standby(error)
            raise
        finally:
            apart(conn)

    async def ask(self, *asks: Ask[Any]) -> tuple[Any, ...]:
        """Return the answers to some questions, asked in one transaction in the running loop.

        The connection must be `greeted`. The transaction is one message, and no thread waits for
        the answer: most of what a read costs are journeys and changes of threads. Raises as `run`
        does; what ends the task ends the connection.
        """
        assert self._conn is not None
        if self._in_loop is None:
            self._in_loop = LoopConnection(self._conn)
        seconds = self._statement_seconds
        self._in_loop.answer_seconds = seconds + ANSWER_GRACE_SECONDS
        try:
            return await asked(self._in_loop, self._begin_text(self._conn, seconds), asks)
        except BaseException as error:
            await self._undo_in_loop(self._in_loop)
            _raise_of_a_standby(error)
            raise

    def close(self) -> None:
        """Close the connection; the next `run` opens another."""
        conn, self._conn, self._in_loop = self._conn, None, None
        if conn is not None:
            with suppress(psycopg.Error):
                conn.close()

    def _ready(self, statement_seconds: float, abandon: Callable[[], bool]) -> Connection:
        """Return the connection, a new one where there is none, that waits no longer than this."""
        if self._conn is None or self._conn.closed:
            self._conn, self._greeted, self._in_loop = self._open(), False, None
        self._conn.answer_seconds = statement_seconds + ANSWER_GRACE_SECONDS
        self._conn.abandon = abandon
        return self._conn

    def _begin_text(self, conn: Connection, statement_seconds: float) -> str:
        knows_timeout = conn.info.server_version >= _TRANSACTION_TIMEOUT_SINCE
        return _begin_text(self._lock_seconds, statement_seconds, knows_timeout)

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

    async def _undo_in_loop(self, conn: LoopConnection) -> None:
        try:
            if conn.info.transaction_status in (
                TransactionStatus.INTRANS,
                TransactionStatus.INERROR,
            ):
                with suppress(psycopg.Error):
                    await conn.rollback()
        finally:
            if conn.info.transaction_status is not TransactionStatus.IDLE:
                self.close()


def _raise_of_a_standby(error: BaseException) -> None:
    """Name what a standby, which cannot write, says to BEGIN; it is promoted soon, or left."""
    if isinstance(error, psycopg.errors.FeatureNotSupported):
        raise psycopg.errors.ReadOnlySqlTransaction(str(error)) from error


@lru_cache
def _begin_text(lock_seconds: float, statement_seconds: float, knows_timeout: bool) -> str:
    """Return what begins a transaction and sets everything it relies on, for itself only.

    It is sent as one message. A session behind a pooler may carry any setting of a stranger: none
    of ours is left on it, and none of theirs is used.
    """
    lock_ms, statement_ms = _milliseconds(lock_seconds), _milliseconds(statement_seconds)
    settings = {
        "lock_timeout": lock_ms,
        "idle_in_transaction_session_timeout": lock_ms,
        "statement_timeout": statement_ms,
        "search_path": "DEFAULT",
        "extra_float_digits": 1,  # floats as the shortest text that gives the same bits
    }
    if knows_timeout:
        settings["transaction_timeout"] = STATEMENTS_PER_TRANSACTION * statement_ms
    local = "".join(f"; SET LOCAL {name} = {value}" for name, value in settings.items())
    return f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE{local}"


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
