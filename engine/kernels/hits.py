"""Risk levels: the first bar of each run on which each level is hit."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import borrowing, inlined, part
from engine.kernels.account import (
    AT_LIMIT,
    AT_MARKET,
    AT_STOP,
    BLOCK,
    BLOCK_SHIFT,
    MARGIN,
    Costs,
    Floats,
    Int64,
    Market,
    entry_fill,
)
from engine.kernels.bits import Numbers32
from engine.kernels.closing import is_cut
from engine.kernels.ledger import Ledger
from engine.kernels.runs import Scratch, is_long

Bars = NDArray[np.int32]

NO_HIT = 2**31 - 2  # later than any bar, and one less than the largest int32
# Of runs that will be looked at again, so many hits fit a core's cache; half of them with prices.
KEPT_HITS = 2**17


class Hits(NamedTuple):
    """The first bar on which each level is hit in some runs, and where it fills inside that bar."""

    bar: Bars  # int32[rows, columns], NO_HIT where it is not hit
    price: Floats  # float64[rows, columns] before slippage; float64[0, columns]: at the exit prices


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
    market: Market, costs: Costs, levels: Levels, entry: Any, exit_: Any, long: bool, hits: Bars
) -> None:
    """Write the first bar of (entry, exit] that closes at each level to `hits` int32[columns].

    Shorts are longs on negated prices, which is exact. Levels ascend, so a level is hit no earlier
    than the one before it and only the next one of each kind is watched; blocks of bars whose
    extremes reach none of the three are skipped. Products are taken from left to right as the
    execution rules write them: which close hits a level is decided by its last bit.
    """
    hits[:] = NO_HIT
    closes, block_low, block_high = market.closes, market.block_low, market.block_high
    sign = 1.0 if long else -1.0
    fill = sign * entry_fill(costs, long, market.entry[entry])
    peak = sign * market.entry[entry]
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


@borrowing
def scan_inside(
    market: Market,
    costs: Costs,
    levels: Levels,
    entry: Any,
    exit_: Any,
    long: bool,
    hits: Bars,
    prices: Floats,
) -> None:
    """Do it with highs and lows, and write where each level fills to `prices` float64[columns].

    A stop fills at its level or at the open beyond it, a goal at its level or at a better open:
    levels as they are written, while the margin decides whether they are reached. The peak that a
    trailing stop is measured from is that of the bars before.
    """
    hits[:] = NO_HIT
    opens = market.opens
    # Of a short, prices are negated, and lows and highs change places.
    lows, highs = (market.lows, market.highs) if long else (market.highs, market.lows)
    sign = 1.0 if long else -1.0
    fill = sign * entry_fill(costs, long, market.entry[entry])
    peak = sign * market.entry[entry]
    sl, tp, tsl = 0, 0, 0
    sl_levels, tp_levels, tsl_levels = levels.sl, levels.tp, levels.tsl
    sl_column, tp_column, tsl_column = levels.sl_column, levels.tp_column, levels.tsl_column
    sls, tps, tsls = sl_levels.shape[0], tp_levels.shape[0], tsl_levels.shape[0]
    left = sls + tps + tsls
    up, down = 1.0 + sign * MARGIN, 1.0 - sign * MARGIN
    stop_level = fill * (1.0 - sign * sl_levels[0]) if sls else -np.inf
    goal_level = fill * (1.0 + sign * tp_levels[0]) if tps else np.inf
    trail = 1.0 - sign * tsl_levels[0] if tsls else -sign * np.inf
    bar = entry + 1
    while bar <= exit_ and left > 0:
        block = bar >> BLOCK_SHIFT
        behind = min((block + 1) << BLOCK_SHIFT, exit_ + 1)
        low = market.block_low[block] if long else -market.block_high[block]
        high = market.block_high[block] if long else -market.block_low[block]
        known = behind - bar == BLOCK or tsl == tsls
        calm = low > stop_level * up and high < goal_level * down
        if known and calm and low > max(peak, high) * trail * up:
            peak = max(peak, high)
            bar = behind
            continue
        for i in range(bar, behind):
            low, high, open_ = sign * lows[i], sign * highs[i], sign * opens[i]
            while low <= stop_level * up:
                hits[sl_column[sl]] = i
                prices[sl_column[sl]] = sign * min(stop_level, open_)
                sl += 1
                left -= 1
                stop_level = fill * (1.0 - sign * sl_levels[sl]) if sl < sls else -np.inf
            while low <= peak * trail * up:
                hits[tsl_column[tsl]] = i
                prices[tsl_column[tsl]] = sign * min(peak * trail, open_)
                tsl += 1
                left -= 1
                trail = 1.0 - sign * tsl_levels[tsl] if tsl < tsls else -sign * np.inf
            while high >= goal_level * down:
                hits[tp_column[tp]] = i
                prices[tp_column[tp]] = sign * max(goal_level, open_)
                tp += 1
                left -= 1
                goal_level = fill * (1.0 + sign * tp_levels[tp]) if tp < tps else np.inf
            peak = high if high > peak else peak
        bar = behind


@inlined
def scan_into(
    row: int, scratch: Scratch, k: int, market: Market, costs: Costs, levels: Levels, hits: Hits
) -> None:
    """Fill a row of the hit table for run k of those listed in steps of 2."""
    bar, end = np.int64(scratch.events[2 * k]), np.int64(scratch.events[2 * k + 1])
    long = is_long(scratch, scratch.events[2 * k])
    if is_cut(market, bar, end, long):
        end -= 1  # on one bar liquidation comes first
    if market.inside:
        scan_inside(market, costs, levels, bar, end, long, hits.bar[row], hits.price[row])
    else:
        scan_run(market, costs, levels, bar, end, long, hits.bar[row])


@part
def scan_runs(
    scratch: Scratch, runs: int, market: Market, costs: Costs, levels: Levels, hits: Hits
) -> None:
    """Fill the hit table, a row for each run."""
    for k in range(runs):
        scan_into(k, scratch, k, market, costs, levels, hits)


@part
def new_hits(rows: int, columns: int, inside: bool) -> Hits:
    """Return room for the hits of so many runs."""
    priced = rows if inside else 0
    return Hits(np.empty((rows, columns), np.int32), np.empty((priced, columns)))


@part
def kept_rows(bars: int, columns: int, all_runs: bool, inside: bool) -> int:
    """Return of how many runs the hits have room: all there can be, or so many as are kept."""
    hits = KEPT_HITS // 2 if inside else KEPT_HITS
    return bars if all_runs else max(1, min(bars, hits // columns))


@inlined
def row_of(k: int, hits: Hits) -> int:
    """Return the row for the hits of run k: the last one is for all runs that have none."""
    last: int = hits.bar.shape[0] - 1
    return min(k, last)


@inlined
def kept_row(
    scratch: Scratch, k: int, market: Market, costs: Costs, levels: Levels, hits: Hits
) -> int:
    """Return the row with the hits of run k, which was scanned before; see to it that it holds.

    The first runs have a row each, but what the last row holds is of any run.
    """
    row = row_of(k, hits)
    if row == hits.bar.shape[0] - 1:
        scan_into(row, scratch, k, market, costs, levels, hits)
    return row


@inlined
def hit_first(bars: Bars, sl: int, tp: int, tsl: int) -> int:
    """Return the column that is hit first; on one bar a stop loss, then a trailing stop."""
    column = tsl if bars[tsl] < bars[sl] else sl
    return tp if bars[tp] < bars[column] else column


@part
def apply_risk(
    scratch: Scratch,
    natural: Numbers32,
    hits: Hits,
    sl: int,
    tp: int,
    tsl: int,
    market: Market,
    ledger: Ledger,
) -> None:
    """Set the exits of one risk combination: the earliest of the hits and the run's own end.

    Where stops fill inside bars, price and way of each exit go to the ledger.
    """
    for k in range(natural.shape[0]):
        bars = hits.bar[k]
        column = hit_first(bars, sl, tp, tsl)
        end = min(natural[k], np.uint32(bars[column]))
        scratch.events[2 * k + 1] = end
        if market.inside:
            stopped = bars[column] != NO_HIT
            ledger.price[k] = hits.price[k, column] if stopped else market.exit[end]
            ledger.way[k] = (AT_LIMIT if column == tp else AT_STOP) if stopped else AT_MARKET


@part
def natural_exits(scratch: Scratch, runs: int) -> Numbers32:
    """Return uint32[runs]: where the runs end by themselves."""
    return scratch.events[1 : 2 * runs : 2].copy()
