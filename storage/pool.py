"""INTERIM until the branch `storage` has its own."""

import queue
from collections.abc import Callable
from typing import Any, TypeVar

from storage.connection import Connection
from storage.session import Session

Result = TypeVar("Result")


class PoolBusy(Exception):
    """None is free."""


class SessionPool:
    """Sessions for threads."""

    def __init__(self, dsn: str, *, size: int, wait_seconds: float = 5, **values: Any) -> None:
        self._free: queue.LifoQueue[Session] = queue.LifoQueue()
        self._wait_seconds = wait_seconds
        for _ in range(size):
            self._free.put(Session(dsn, **values))

    def run(self, work: Callable[[Connection], Result], *, again: bool = False) -> Result:
        """Run it."""
        try:
            session = self._free.get(timeout=self._wait_seconds)
        except queue.Empty:
            raise PoolBusy("busy") from None
        try:
            return session.run(work)
        finally:
            self._free.put(session)

    def close(self) -> None:
        """Close all."""
