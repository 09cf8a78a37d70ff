"""One periodic duty: its own session and its own backoff."""

import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any, Protocol, TypeVar

import psycopg

from scheduler.metrics import Metrics
from scheduler.outages import Outages
from scheduler.stopping import Stop
from storage import faults
from storage.retry import backoff
from storage.schema import DatabaseReplaced
from storage.session import Session
from tasks.wake_up import QueueUnavailable

FIRST_RETRY_SECONDS = 0.5

Result = TypeVar("Result")


class Transact(Protocol):
    """Runs something as one transaction; `storage.session.Session.run` is one."""

    def __call__(self, work: Callable[[psycopg.Connection[Any]], Result], /) -> Result:
        """Run `work(connection)`, commit, and return what it returned."""
        ...


class Duty:
    """Runs `work(transact)` whenever it is called, from any thread, one run at a time.

    After a run, calls return at once for `every_seconds`. So they do after a run that failed, for a
    pause that doubles: Postgres or Redis is away, or there is a fault of ours; `outages` tells of
    it. Once `stop` is set no run begins, and one under way has to end soon. Raises DatabaseReplaced
    and nothing else.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Transact], object],
        session: Session,
        metrics: Metrics,
        outages: Outages,
        stop: Stop,
        *,
        every_seconds: float = 0.0,
        on_failure: Callable[[str], object] | None = None,
    ) -> None:
        self.name = name
        self._work = work
        self._session = session
        self._metrics = metrics
        self._outages = outages
        self._stop = stop
        self._every_seconds = every_seconds
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._not_before = float("-inf")
        self._pauses: Iterator[float] | None = None
        metrics.last_success.labels(name)

    def __call__(self) -> bool:
        """Run once; returns whether the work was done."""
        with self._lock:
            if self._stop.is_set() or monotonic() < self._not_before:
                return False
            try:
                with self._metrics.tick_duration.labels(self.name).time():
                    self._work(self._transact)
            except DatabaseReplaced:
                raise
            except Exception as error:
                if not self._stop.is_set():
                    self._failed(error)
                return False
            self._succeeded()
            return True

    def close(self) -> None:
        """Wait for the run under way, and close the connection."""
        with self._lock:
            self._session.close()

    def _transact(self, work: Callable[[psycopg.Connection[Any]], Result], /) -> Result:
        return self._session.run(work, abandon=self._stop.is_urgent)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, QueueUnavailable):
            kind = "redis"
        else:
            kind = "postgres" if faults.passing(error) else "unexpected"
        if self._on_failure is not None:
            self._on_failure(kind)
        self._outages.held_up(self.name, kind, error)
        self._pauses = self._pauses or backoff(FIRST_RETRY_SECONDS)
        self._not_before = monotonic() + next(self._pauses)

    def _succeeded(self) -> None:
        self._metrics.last_success.labels(self.name).set_to_current_time()
        self._outages.done(self.name)
        self._pauses = None
        self._not_before = monotonic() + self._every_seconds
