"""A bounded number of sessions that many threads share."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar, overload

import psycopg

from storage import faults
from storage.asking import Ask
from storage.connection import Connection
from storage.faults import Fault
from storage.session import Session

Result = TypeVar("Result")
Second = TypeVar("Second")
Third = TypeVar("Third")


class PoolBusy(psycopg.OperationalError):
    """Every session was in use for too long; trying again later may succeed."""


class SessionPool:
    """At most `size` sessions, each lent to one thread for one transaction.

    A session connects when it is first used. The one that was used last is lent first, so that a
    quiet program keeps few connections busy. `run` waits up to `wait_seconds` for a free one. The
    other parameters are those of `storage.session.Session`.
    """

    def __init__(
        self,
        dsn: str,
        *,
        application_name: str,
        size: int,
        lock_seconds: float,
        statement_seconds: float,
        wait_seconds: float = 5.0,
        on_connect: Callable[[Connection], object] | None = None,
    ) -> None:
        self._size = size
        self._wait_seconds = wait_seconds
        self._free = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._closed = False
        self._idle = [
            Session(
                dsn,
                application_name=application_name,
                lock_seconds=lock_seconds,
                statement_seconds=statement_seconds,
                on_connect=on_connect,
            )
            for _ in range(size)
        ]

    def run(self, work: Callable[[Connection], Result], *, again: bool = False) -> Result:
        """Run `work(connection)` as one transaction, as `Session.run`, and return what it returns.

        Connections that lay idle may be gone, after a restart of Postgres all of them. Where that
        shows before `work` was called, it is called on a new connection. Where it shows later,
        nobody knows what took place, and only `again` has it called once more: for reads.

        Raises `PoolBusy`, RuntimeError when the pool is closed, and what `Session.run` raises.
        """
        return self._lend(lambda session: _run(session, work, again=again))

    @overload
    def ask(self, first: Ask[Result], /) -> tuple[Result]: ...

    @overload
    def ask(self, first: Ask[Result], second: Ask[Second], /) -> tuple[Result, Second]: ...

    @overload
    def ask(
        self, first: Ask[Result], second: Ask[Second], third: Ask[Third], /
    ) -> tuple[Result, Second, Third]: ...

    def ask(self, *asks: Ask[Any]) -> tuple[Any, ...]:
        """Return the answers to some questions, as `Session.ask` and `run` with `again`."""
        return self._lend(lambda session: _ask(session, asks))

    def close(self) -> None:
        """Close what is idle now, and what is in use as soon as it is given back."""
        with self._lock:
            self._closed = True
            for session in self._idle:
                session.close()

    def _lend(self, use: Callable[[Session], Result]) -> Result:
        if not self._free.acquire(timeout=self._wait_seconds):
            raise PoolBusy(
                f"all {self._size} connections to Postgres were busy for {self._wait_seconds:g} s"
            )
        try:
            session = self._take()
            try:
                return use(session)
            finally:
                self._give_back(session)
        finally:
            self._free.release()

    def _take(self) -> Session:
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool of sessions is closed")
            return self._idle.pop()

    def _give_back(self, session: Session) -> None:
        with self._lock:
            self._idle.append(session)
            if self._closed:
                session.close()


def _run(session: Session, work: Callable[[Connection], Result], *, again: bool) -> Result:
    was_connected, begun = session.connected, False

    def noticed(conn: Connection) -> Result:
        nonlocal begun
        begun = True
        return work(conn)

    try:
        return session.run(noticed)
    except psycopg.Error as error:
        gone = was_connected and faults.of(error) is Fault.GONE
        if not gone or (begun and not again):
            raise
    session.close()
    return session.run(work)


def _ask(session: Session, asks: tuple[Ask[Any], ...]) -> tuple[Any, ...]:
    was_connected = session.connected
    try:
        return session.ask(*asks)
    except psycopg.Error as error:
        if not (was_connected and faults.of(error) is Fault.GONE):
            raise
    session.close()
    return session.ask(*asks)
