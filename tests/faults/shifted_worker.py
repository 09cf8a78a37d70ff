"""Runs a worker with a time of day that a test sets: arguments are dramatiq's.

The file that SHIFT names says by how many seconds the time of day is set forward or back, at any
moment. The monotonic clock is not shifted, as on a real machine.
"""

import os
import sys
import time
from pathlib import Path

FILE = Path(os.environ["SHIFT"])
REAL_TIME = time.time

time.time = lambda: REAL_TIME() + float(FILE.read_text() or 0)

from dramatiq.__main__ import main  # noqa: E402 – what it imports has to see the shifted clock

if __name__ == "__main__":
    sys.exit(main())
