"""Risk levels: the first bar of each run on which each level is hit."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import inlined, part
from engine.kernels.account import (
    BLOCK,
    BLOCK_SHIFT,
    Costs,
    Floats,
    Int64,
    Market,
    entry_fill,
)
from engine.kernels.bits import Numbers32
from engine.kernels.runs import Scratch, is_long

Hits = NDArray[np.int32]

NO_HIT = 2**31 - 1  # later than any bar
# Levels stand this much nearer to the price than their percent says, so that a close that equals
# one in decimals hits it, whatever the products round to.
MARGIN = 1e-12
KEPT_HITS = 2**17  # of runs that will be looked at again, so many hits fit a core's cache


class Levels(NamedTuple):
    """Risk levels as fractions, ascending, and the column of the hit table each belongs to.

    Columns are the axis positions of sl, then tp, then tsl; `counts` int64[3] are the axis lengths.
    An axis value "off" has a column and no level.
    """

    sl: Floats
    tp: Floats
    tsl: Floats
    sl_column: Int64
    tp_column: Int64
    tsl_column: Int64
    counts: Int64


@inlined
def scan_run(
    market: Market, costs: Costs, levels: Levels, entry: Any, exit_: Any, long: bool, hits: Hits
) -> None:
    """Write the first bar of (entry, exit] on which each level is hit to `hits` int32[columns].

    Shorts are longs on negated prices, which is exact. Levels ascend, so a level is hit no earlier
    than the one before it and only the next one of each kind is watched; blocks of bars whose
    extremes reach none of the three are skipped. Products are taken from left to right as the
    execution rules write them: which close hits a level is decided by its last bit.
    """
    hits[:] = NO_HIT
    closes, block_low, block_high = market.closes, market.block_low, market.block_high
    sign = 1.0 if long else -1.0
    fill = sign * entry_fill(costs, long, closes[entry])
    peak = sign * closes[entry]
    sl, tp, tsl = 0, 0, 0
    sl_levels, tp_levels, tsl_levels = levels.sl, levels.tp, levels.tsl
    sl_column, tp_column, tsl_column = levels.sl_column, levels.tp_column, levels.tsl_column
    sls, tps, tsls = sl_levels.shape[0], tp_levels.shape[0], tsl_levels.shape[0]
    left = sls + tps + tsls
    up, down = 1.0 + sign * MARGIN, 1.0 - sign * MARGIN  # towards the price: a stop, a goal
    stop_level = fill * (1.0 - sign * sl_levels[0]) * up if sls else -np.inf
    goal_level = fill * (1.0 + sign * tp_levels[0]) * down if tps else np.inf
    trail = 1.0 - sign * tsl_levels[0] if tsls else -sign * np.inf
    bar = entry + 1
    while bar <= exit_ and left > 0:
        block = bar >> BLOCK_SHIFT
        behind = min((block + 1) << BLOCK_SHIFT, exit_ + 1)
        low = block_low[block] if long else -block_high[block]
        high = block_high[block] if long else -block_low[block]
        # The peak of a part of a block is not known without looking at its bars.
        known = behind - bar == BLOCK or tsl == tsls
        if known and low > stop_level and high < goal_level and low > max(peak, high) * trail * up:
            peak = max(peak, high)
            bar = behind
            continue
        for i in range(bar, behind):
            close = sign * closes[i]
            peak = close if close > peak else peak
            while close <= stop_level:
                hits[sl_column[sl]] = i
                sl += 1
                left -= 1
                stop_level = fill * (1.0 - sign * sl_levels[sl]) * up if sl < sls else -np.inf
            while close <= peak * trail * up:
                hits[tsl_column[tsl]] = i
                tsl += 1
                left -= 1
                trail = 1.0 - sign * tsl_levels[tsl] if tsl < tsls else -sign * np.inf
            while close >= goal_level:
                hits[tp_column[tp]] = i
                tp += 1
                left -= 1
                goal_level = fill * (1.0 + sign * tp_levels[tp]) * down if tp < tps else np.inf
        bar = behind


@inlined
def scan_into(
    row: int, scratch: Scratch, k: int, market: Market, costs: Costs, levels: Levels, hits: Hits
) -> None:
    """Fill a row of the hit table int32[rows, columns] for run k of those listed in steps of 2."""
    bar, end = scratch.events[2 * k], scratch.events[2 * k + 1]
    long = is_long(scratch, bar)
    scan_run(market, costs, levels, np.int64(bar), np.int64(end), long, hits[row])


@part
def scan_runs(
    scratch: Scratch, runs: int, market: Market, costs: Costs, levels: Levels, hits: Hits
) -> None:
    """Fill the hit table int32[runs, columns]."""
    for k in range(runs):
        scan_into(k, scratch, k, market, costs, levels, hits)


@part
def new_hits(bars: int, columns: int, all_runs: bool) -> Hits:
    """Return room int32[rows, columns] for the hits of all runs, or of so many as are kept."""
    rows = bars if all_runs else max(1, min(bars, KEPT_HITS // columns))
    return np.empty((rows, columns), np.int32)


@inlined
def row_of(k: int, hits: Hits) -> int:
    """Return the row for the hits of run k: the last one is for all runs that have none."""
    last: int = hits.shape[0] - 1
    return min(k, last)


@inlined
def kept_row(
    scratch: Scratch, k: int, market: Market, costs: Costs, levels: Levels, hits: Hits
) -> int:
    """Return the row with the hits of run k, which was scanned before; see to it that it holds.

    The first runs have a row each, but what the last row holds is of any run.
    """
    row = row_of(k, hits)
    if row == hits.shape[0] - 1:
        scan_into(row, scratch, k, market, costs, levels, hits)
    return row


@part
def apply_risk(
    scratch: Scratch, natural: Numbers32, hits: Hits, sl: int, tp: int, tsl: int
) -> None:
    """Set the exits of one risk combination: the earliest of the hits and the run's own end."""
    for k in range(natural.shape[0]):
        first = min(hits[k, sl], hits[k, tp], hits[k, tsl])
        scratch.events[2 * k + 1] = min(natural[k], np.uint32(first))


@part
def natural_exits(scratch: Scratch, runs: int) -> Numbers32:
    """Return uint32[runs]: where the runs end by themselves."""
    return scratch.events[1 : 2 * runs : 2].copy()
