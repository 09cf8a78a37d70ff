"""Runs the scheduler with a time of day that a test sets: `shifted_clock.py FILE [OPTION…]`.

FILE holds by how many seconds the time of day is set forward or back, at any moment. Only what
Python programs read is shifted; the monotonic clock is not, as on a real machine.
"""

import datetime
import sys
import time
from pathlib import Path

FILE = Path(sys.argv[1])
REAL_TIME, RealDatetime = time.time, datetime.datetime


def shift() -> float:
    return float(FILE.read_text() or 0)


class ShiftedDatetime(RealDatetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "ShiftedDatetime":
        return cls.fromtimestamp(time.time(), tz)


time.time = lambda: REAL_TIME() + shift()
datetime.datetime = ShiftedDatetime  # type: ignore[misc]

from scheduler.__main__ import main  # noqa: E402 – what it imports has to see the shifted clock

sys.exit(main(sys.argv[2:]))
