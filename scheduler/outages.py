"""What is away is said once for the whole program, however many duties meet it."""

import threading
from dataclasses import dataclass, field
from time import monotonic

import structlog

from configs.one_line import one_line
from storage.retry import LONGEST_PAUSE_SECONDS

REMIND_SECONDS = 60.0

SERVICES = ("postgres", "redis")

log = structlog.get_logger()


@dataclass
class _Outage:
    duties: set[str] = field(default_factory=set)
    said_at: float = float("-inf")


class Outages:
    """Which duties are held up, and by what.

    One line when a service goes away, a reminder each minute, and one line when the last duty that
    it held up has come by it again. A fault of our own is told per duty, with its traceback.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, _Outage] = {}

    def held_up(self, duty: str, kind: str, error: Exception) -> None:
        """Note that a run of `duty` has failed because of `kind`, and of nothing else."""
        name = kind if kind in SERVICES else f"{kind} {duty}"
        self._passed(duty, but=name)
        with self._lock:
            outage = self._open.setdefault(name, _Outage())
            outage.duties.add(duty)
            now = monotonic()
            if now - outage.said_at < REMIND_SECONDS:
                return
            outage.said_at = now
        if kind in SERVICES:
            log.warning(
                f"{kind}_unavailable",
                duty=duty,
                error=one_line(error),
                retrying=f"every {LONGEST_PAUSE_SECONDS:g} s at the latest",
            )
        else:
            log.error("duty_failed", duty=duty, exc_info=error)

    def done(self, duty: str) -> None:
        """Note that a run of `duty` has succeeded."""
        self._passed(duty)

    def _passed(self, duty: str, but: str | None = None) -> None:
        """Nothing but `but` holds this duty up any more: it has come by everything else."""
        with self._lock:
            ended = []
            for name, outage in self._open.items():
                if name != but:
                    outage.duties.discard(duty)
                if not outage.duties:
                    ended.append(name)
            for name in ended:
                del self._open[name]
        for name in ended:
            if name in SERVICES:
                log.info(f"{name}_back", duty=duty)
