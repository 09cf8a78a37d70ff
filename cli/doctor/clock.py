"""How far two clocks are apart, asked over a network.

Jobs and leases know the clock of Postgres alone, so a wrong time of day here costs no job and no
lease. What compares times of day of different machines:

- the alert BacktestSchedulerSilent: Prometheus' clock with that of a scheduler, 60 s;
- dramatiq's heartbeats in Redis: the clocks of two workers, 60 s, after which a wake-up is sent a
  second time and dropped;
- the expiry of a token: the clock of the API with that of whoever made it.

Two machines that are each within 30 s of Postgres are within 60 s of each other.
"""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from cli.doctor.findings import Finding

LIMIT_SECONDS = 30.0
READINGS = 3
UNSEEN_SECONDS = 0.05


class Reading(NamedTuple):
    """Another clock's time, and ours before it was asked and after it had answered."""

    before: float
    theirs: float
    after: float


class Difference(NamedTuple):
    """By how much our clock is ahead, in seconds, and by how much that may be wrong."""

    seconds: float
    uncertainty: float

    @property
    def beyond(self) -> bool:
        """Whether it is larger than the limit whatever the answer's way took."""
        return abs(self.seconds) - self.uncertainty > LIMIT_SECONDS

    def beside(self, whose: str) -> str:
        """Say it from this machine's side."""
        if abs(self.seconds) <= max(self.uncertainty, UNSEEN_SECONDS):
            return f"as {whose}, within {max(self.uncertainty, UNSEEN_SECONDS):.2f} s"
        side = "ahead of" if self.seconds > 0 else "behind"
        return f"{abs(self.seconds):.1f} s {side} {whose}"


def read(ask: Callable[[], float]) -> Difference:
    """Ask another clock a few times."""
    readings = []
    for _ in range(READINGS):
        before = time.time()
        theirs = ask()
        readings.append(Reading(before, theirs, time.time()))
    return difference(readings)


def difference(readings: Iterable[Reading]) -> Difference:
    """Return what the reading says that took the shortest time."""
    best = min(readings, key=lambda reading: abs(reading.after - reading.before))
    middle = (best.before + best.after) / 2
    return Difference(middle - best.theirs, abs(best.after - best.before) / 2)


def of_postgres(found: Difference) -> Finding:
    """Judge the clock that all jobs go by."""
    limit = f"at most {LIMIT_SECONDS:g} s apart"
    said = found.beside("Postgres")
    if not found.beyond:
        return Finding("clock", "ok", said, limit=limit)
    advice = (
        "no job and no lease goes by the clock of this machine. But the alert "
        "BacktestSchedulerSilent compares a scheduler's with Prometheus', tokens expire by the "
        "API's, and logs of machines do not fit together: set the one that is wrong by NTP"
    )
    commands = ("timedatectl set-ntp true", "timedatectl timesync-status")
    return Finding("clock", "note", said, advice, limit, commands)


def of_redis(found: Difference) -> Finding:
    """Tell of a clock that nothing goes by: a third one shows which of the two is wrong."""
    said = f"{found.beside('Redis')}; nothing goes by the clock of Redis"
    return Finding("clock of Redis", "ok", said)
