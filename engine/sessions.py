"""When a market is closed, told from its bars alone: no calendar is known.

A bar that is not there belongs to a closed hour if bars are not there at the same time of the week
in most of the weeks around it. So nights, weekends and changes of the clock are found by
themselves, and an outage is not taken for one of them. A holiday counts as missing. A minute that
is without a trade on most days looks closed: where trade is so thin, nothing can be told missing.
"""

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
AROUND_WEEKS = 4
EVIDENCE_MS = AROUND_WEEKS * WEEK_MS
"""How far bars around a range tell of it."""
ENOUGH = 2
"""Fewer weeks, or days, say nothing."""


def missing(ts_open: Int64, timeframe_ms: int, begin_ms: int, end_ms: int) -> Int64:
    """Return int64[M]: opens of bars in `[begin_ms, end_ms)` that are neither there nor closed.

    `ts_open` int64[N >= 1] are all bars that are known, ascending by multiples of the timeframe,
    which divides a day; those within 4 weeks of the range are evidence as well. Of a bar that is
    not there the same times of the week within 4 weeks are asked, else all of them, else the same
    times of the days; it is closed where at least half of those have no bar. Where none can be
    asked it counts as missing. Stretches of a week and longer without a bar, and times before the
    first and after the last bar, are asked about nothing: no market rests for so long.
    """
    phase_ms = int(ts_open[0]) % timeframe_ms
    first_week = (min(int(ts_open[0]), begin_ms) - phase_ms) // WEEK_MS
    last_week = (max(int(ts_open[-1]), end_ms) - phase_ms) // WEEK_MS
    weeks, slots = last_week - first_week + 1, WEEK_MS // timeframe_ms
    origin = first_week * WEEK_MS + phase_ms
    at = (ts_open - origin) // timeframe_ms
    there = np.zeros(weeks * slots, np.bool_)
    there[at] = True
    asked = np.zeros_like(there)
    asked[at[0] : at[-1] + 1] = True
    for gap in np.flatnonzero(np.diff(ts_open) > WEEK_MS):
        asked[at[gap] + 1 : at[gap + 1]] = False

    grid = weeks, slots
    closed = _closed(there.reshape(grid), asked.reshape(grid)).ravel()
    opens = origin + np.arange(weeks * slots, dtype=np.int64) * timeframe_ms
    within = (opens >= begin_ms) & (opens + timeframe_ms <= end_ms)
    return opens[within & ~there & ~closed]


def _closed(there: Bools, asked: Bools) -> Bools:
    """Return bool[weeks, slots]: whether at least half of those asked about a slot have no bar."""
    weeks, slots = there.shape
    days = there.reshape(7 * weeks, slots // 7), asked.reshape(7 * weeks, slots // 7)
    open_, all_ = (part.sum(axis=0, dtype=np.int32) for part in days)
    present, known = np.tile(open_, 7), np.tile(all_, 7)
    by_week = there.sum(axis=0, dtype=np.int32), asked.sum(axis=0, dtype=np.int32)
    present = np.where(by_week[1] >= ENOUGH, by_week[0], present)
    known = np.where(by_week[1] >= ENOUGH, by_week[1], known)
    closed = np.empty(there.shape, np.bool_)
    for week in range(weeks):
        around = slice(max(0, week - AROUND_WEEKS), week + AROUND_WEEKS + 1)
        near_known = asked[around].sum(axis=0, dtype=np.int32) - asked[week]
        near = there[around].sum(axis=0, dtype=np.int32) - there[week]
        enough = near_known >= ENOUGH
        of, found = np.where(enough, near_known, known), np.where(enough, near, present)
        closed[week] = (of >= ENOUGH) & (2 * found <= of)
    return closed
