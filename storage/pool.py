"""A bounded number of sessions that threads and the tasks of an event loop share."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar, overload

import psycopg

from storage import faults
from storage.asking import Ask
from storage.connection import Connection, never
from storage.faults import Fault
from storage.session import Session

Result = TypeVar("Result")
Second = TypeVar("Second")
Third = TypeVar("Third")


class PoolBusy(psycopg.OperationalError):
    """Every session was in use for too long; trying again later may succeed."""


class SessionPool:
    """At most `size` sessions, each lent to one thread or task for one transaction.

    A session connects when it is first used. The one that was used last is lent first, so that a
    quiet program keeps few connections busy. Who comes while none is free waits up to
    `wait_seconds`, in the order of coming. The other parameters are those of
    `storage.session.Session`.
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
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: deque[Future[Session]] = deque()
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
        session = self._wait_in_thread()
        try:
            return _run(session, work, again=again)
        finally:
            self._give_back(session)

    @overload
    async def ask(self, first: Ask[Result], /) -> tuple[Result]: ...

    @overload
    async def ask(self, first: Ask[Result], second: Ask[Second], /) -> tuple[Result, Second]: ...

    @overload
    async def ask(
        self, first: Ask[Result], second: Ask[Second], third: Ask[Third], /
    ) -> tuple[Result, Second, Third]: ...

    async def ask(self, *asks: Ask[Any]) -> tuple[Any, ...]:
        """Return the answers to some questions, asked in one transaction without a thread.

        Only where a connection has to be made first, it is asked in a thread, as `run` with `again`
        does. Raises what `run` raises. A task that ends waits for nothing, and what it asked for
        cannot reach anybody else: its connection is closed.
        """
        session = await self._wait_in_loop()
        if not session.greeted:
            return await self._ask_in_thread(session, asks)
        try:
            answers = await session.ask(*asks)
        except BaseException as error:
            if faults.of(error) is Fault.GONE:
                session.close()
                return await self._ask_in_thread(session, asks)
            self._give_back(session)
            raise
        self._give_back(session)
        return answers

    def close(self) -> None:
        """Close what is idle now, and what is in use as soon as it is given back."""
        with self._lock:
            self._closed = True
            for session in self._idle:
                session.close()
            waiting, self._waiting = self._waiting, deque()
        for place in waiting:
            if place.set_running_or_notify_cancel():
                place.set_exception(_closed())

    async def _ask_in_thread(self, session: Session, asks: tuple[Ask[Any], ...]) -> tuple[Any, ...]:
        ended = threading.Event()

        def ask() -> tuple[Any, ...]:
            try:
                work = partial(_answers, asks)
                return _run(session, work, again=True, abandon=ended.is_set)
            finally:
                self._give_back(session)

        # Not a thread of the server: all of them may be waiting for this session.
        thread = asyncio.get_running_loop().run_in_executor(None, ask)
        try:
            return await asyncio.shield(thread)
        finally:
            ended.set()

    def _wait_in_thread(self) -> Session:
        found = self._take()
        if isinstance(found, Session):
            return found
        try:
            return found.result(self._wait_seconds)
        except TimeoutError:
            if found.cancel():
                raise self._busy() from None
            return found.result()  # it came in the last moment

    async def _wait_in_loop(self) -> Session:
        found = self._take()
        if isinstance(found, Session):
            return found
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await asyncio.wrap_future(found)
        except BaseException as error:
            if not found.cancel() and found.exception() is None:
                self._give_back(found.result())  # it came in the last moment
            if isinstance(error, TimeoutError):
                raise self._busy() from None
            raise

    def _take(self) -> Session | Future[Session]:
        """Return a free session, or else a place in the queue: one will be its result."""
        with self._lock:
            if self._closed:
                raise _closed()
            if self._idle:
                return self._idle.pop()
            place: Future[Session] = Future()
            self._waiting.append(place)
            return place

    def _give_back(self, session: Session) -> None:
        with self._lock:
            while self._waiting:
                place = self._waiting.popleft()
                if place.set_running_or_notify_cancel():
                    place.set_result(session)
                    return
            self._idle.append(session)
            if self._closed:
                session.close()

    def _busy(self) -> PoolBusy:
        return PoolBusy(
            f"all {self._size} connections to Postgres were busy for {self._wait_seconds:g} s"
        )


def _run(
    session: Session,
    work: Callable[[Connection], Result],
    *,
    again: bool,
    abandon: Callable[[], bool] = never,
) -> Result:
    was_connected, begun = session.connected, False

    def noticed(conn: Connection) -> Result:
        nonlocal begun
        begun = True
        return work(conn)

    try:
        return session.run(noticed, abandon=abandon)
    except psycopg.Error as error:
        gone = was_connected and faults.of(error) is Fault.GONE
        if not gone or (begun and not again):
            raise
    session.close()
    return session.run(work, abandon=abandon)


def _answers(asks: tuple[Ask[Any], ...], conn: Connection) -> tuple[Any, ...]:
    return tuple(ask.of(conn) for ask in asks)


def _closed() -> RuntimeError:
    return RuntimeError("the pool of sessions is closed")
