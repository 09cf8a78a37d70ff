"""At which times of the week a market is open, told from its bars alone."""

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.sessions import AROUND_WEEKS, DAY_MS, WEEK_MS

Int64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

MONDAY_MS = 4 * DAY_MS
"""The first Monday after the epoch, a Thursday."""
FINEST_MS = 900_000


class Open(NamedTuple):
    """A stretch in which a market is open, in ms since the Monday before.

    It may end later than a week: where the market is open while a week ends.
    """

    begin_ms: int
    end_ms: int


class Hours(NamedTuple):
    """Opening hours, and in how many weeks they were these."""

    open: tuple[Open, ...]
    weeks: int


def opening_hours(ts_open: Int64, timeframe_ms: int) -> list[Hours]:
    """Tell the opening hours of bars int64[N >= 1], ascending: the most frequent first.

    They are those of most of the weeks within 4 weeks of each week, to a quarter of an hour: so
    holidays change nothing, and a clock that is changed twice a year makes two of them. UTC.
    """
    step = max(timeframe_ms, FINEST_MS)
    phase_ms = int(ts_open[0]) % timeframe_ms if timeframe_ms >= FINEST_MS else 0
    weeks = (ts_open - phase_ms - MONDAY_MS) // WEEK_MS
    slots = (ts_open - phase_ms - MONDAY_MS) % WEEK_MS // step
    there = np.zeros((int(weeks[-1] - weeks[0]) + 1, WEEK_MS // step), np.bool_)
    there[weeks - weeks[0], slots] = True
    found: Counter[tuple[Open, ...]] = Counter()
    for week in range(len(there)):
        around = there[max(0, week - AROUND_WEEKS) : week + AROUND_WEEKS + 1]
        # A week without any bar says nothing.
        around = around[around.any(axis=1)]
        if len(around):
            found[_stretches(2 * around.sum(axis=0) > len(around), step, phase_ms)] += 1
    return [Hours(*each) for each in found.most_common()]


def _stretches(open_: Bools, step: int, phase_ms: int) -> tuple[Open, ...]:
    """Find the runs of open slots in a week that begins anew where it ends."""
    if open_.all():
        return (Open(0, WEEK_MS),)
    begins = np.flatnonzero(open_ & ~np.roll(open_, 1))
    ends = np.flatnonzero(open_ & ~np.roll(open_, -1)) + 1
    if len(ends) and ends[0] <= begins[0]:
        ends = np.append(ends[1:], ends[0] + len(open_))
    return tuple(
        Open(int(begin) * step + phase_ms, int(end) * step + phase_ms)
        for begin, end in zip(begins, ends, strict=True)
    )
