"""One periodic duty: its own session and its own backoff."""

import threading
import time
from collections.abc import Callable

import structlog

from configs.logs import one_line
from scheduler.metrics import Metrics
from storage import faults
from storage.session import Session
from tasks.broker import QueueUnavailable

FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 5.0
REMIND_SECONDS = 60.0


log = structlog.get_logger()


class Duty:
    """Runs `work(session)` whenever it is called, from any thread, one run at a time.

    A run that fails because Postgres or Redis is away is logged, counted and not tried again before
    a pause that doubles up to `LONGEST_RETRY_SECONDS`; calls during the pause return at once.
    Any other error is a fault of ours: logged with its traceback, counted, and the duty goes on.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Session], object],
        session: Session,
        metrics: Metrics,
        *,
        on_failure: Callable[[str], object] | None = None,
    ) -> None:
        self.name = name
        self._work = work
        self._session = session
        self._metrics = metrics
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._outage: Outage | None = None
        self._closed = False

    def __call__(self) -> bool:
        """Run once; returns whether the work was done."""
        with self._lock:
            if self._closed or (self._outage is not None and self._outage.pausing()):
                return False
            try:
                with self._metrics.tick_duration.labels(self.name).time():
                    self._work(self._session)
            except QueueUnavailable as error:
                self._failed("redis", error)
            except Exception as error:
                if faults.passing(error):
                    self._failed("postgres", error)
                else:
                    log.exception("duty_failed", duty=self.name)
                    self._failed("unexpected", error)
            else:
                self._succeeded()
                return True
            return False

    def close(self, patience_seconds: float) -> None:
        """Do nothing from now on; a run under way may take `patience_seconds` more."""
        self._closed = True
        if self._lock.acquire(timeout=patience_seconds):
            try:
                self._session.close()
            finally:
                self._lock.release()

    def _failed(self, kind: str, error: Exception) -> None:
        if self._on_failure is not None:
            self._on_failure(kind)
        if self._outage is None:
            self._outage = Outage(kind)
        self._outage.again(self.name, error)

    def _succeeded(self) -> None:
        if self._outage is not None:
            log.info(f"{self._outage.kind}_back", duty=self.name)
            self._outage = None


class Outage:
    """A series of failed runs: how long to pause, and when to say so again."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._retry_at = 0.0
        self._pause = FIRST_RETRY_SECONDS
        self._said_at = float("-inf")

    def pausing(self) -> bool:
        """Whether it is too early to try again."""
        return time.monotonic() < self._retry_at

    def again(self, duty: str, error: Exception) -> None:
        """Note one more failed run."""
        now = time.monotonic()
        self._retry_at = now + self._pause
        if now - self._said_at >= REMIND_SECONDS:
            self._said_at = now
            log.warning(
                f"{self.kind}_unavailable",
                duty=duty,
                error=one_line(error),
                retrying=f"every {LONGEST_RETRY_SECONDS:g} s at the latest",
            )
        self._pause = min(self._pause * 2, LONGEST_RETRY_SECONDS)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
