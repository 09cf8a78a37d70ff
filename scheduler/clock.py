"""The clock that calls the duties, whatever happens to the time of day."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from time import time as wall

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

LONGEST_UNNOTICED_JUMP_SECONDS = 1.0

log = structlog.get_logger()


class Every(BaseTrigger):  # type: ignore[misc]
    """A while after each run. A clock that is set forward by years owes no run for each second."""

    def __init__(self, seconds: float) -> None:
        self._interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime:
        """Return when to run next; called by APScheduler."""
        return now + self._interval


class Clock:
    """Calls each of `calls` every `seconds` in threads, never two runs of one at a time.

    APScheduler plans by the time of day. So whoever owns the clock calls `check` each second: where
    that was set back or forward, everything runs now and is planned anew.
    """

    def __init__(self, calls: Sequence[Callable[[], object]], seconds: float) -> None:
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(len(calls) + 1)},
            # A late run is still wanted, however late: a laptop sleeps, a database hangs.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )
        for call in calls:
            self._scheduler.add_job(call, Every(seconds), next_run_time=datetime.now(UTC))
        self._ahead = _ahead()

    def start(self) -> None:
        """Begin to call."""
        self._scheduler.start()

    def check(self) -> None:
        """Look whether the time of day has jumped."""
        jump = _ahead() - self._ahead
        if abs(jump) <= LONGEST_UNNOTICED_JUMP_SECONDS:
            return
        self._ahead += jump
        log.warning("clock_jumped", seconds=round(jump, 1))
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=datetime.now(UTC))

    def stop(self) -> None:
        """Call nobody any more; a run under way is not waited for."""
        self._scheduler.shutdown(wait=False)


def _ahead() -> float:
    """By how much the time of day is ahead of a clock that nobody can set."""
    return wall() - monotonic()
