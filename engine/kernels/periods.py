"""What is kept of every base variant for questions about the whole search: growth by blocks.

Blocks are stretches of bars of like lengths: b is bars [⌊b·n/S⌋, ⌊(b+1)·n/S⌋). Equity at their ends
is marked to market, floored at a millionth of the cash before its logarithm is taken.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import borrowing, kernel, part
from engine.kernels.account import Costs, Flags, Floats, Int64, Market
from engine.kernels.bits import Numbers32, Words
from engine.kernels.days import day_marks, day_returns, mean_and_deviation, period_marks
from engine.kernels.holding import holding_signature
from engine.kernels.ledger import Ledger, new_ledger
from engine.kernels.measures import Order, measure
from engine.kernels.runs import Scratch, find_trades, new_scratch
from engine.kernels.scoring import put_positions
from engine.kernels.signature import plane_signature
from engine.kernels.tiles import Tile, climb, new_stack
from engine.kernels.walking import find_liquidated

FLOOR = 1e-6  # of the initial cash


class Blocks(NamedTuple):
    """S stretches of the traded bars, and how growth in them is written: as whole numbers."""

    ends: Int64  # int64[S], the last bar of each
    of: Numbers32  # uint32[n], in which each bar lies
    unit: float  # the number of a growth of 1, which is e times the equity
    limit: float  # the largest


class Records(NamedTuple):
    """What is kept of base variants 0, stride, 2 * stride, ... of a search: K of them."""

    stride: int
    ruined: Flags  # bool[K]
    trades: Int64  # int64[K]
    primary: Floats  # float64[K], NaN = undefined
    total_return: Floats  # float64[K], percent
    sharpe: Floats  # float64[K], of a day, NaN = undefined, or not to be chosen
    growth: NDArray[np.int32]  # int32[K, S], in units of the blocks
    entries: NDArray[np.int32]  # int32[K, S], trades that are entered in each block


class Seen(NamedTuple):
    """The positions that were measured already, at most half as many as slots."""

    slots: NDArray[np.int32]  # int32[2^k], numbers of what was measured, -1 = free
    signatures: Words  # uint64[measured, 2]
    places: Int64  # int64[measured], of their records


@borrowing
def write_growth(
    records: Records, at: int, blocks: Blocks, ledger: Ledger, init_cash: float
) -> None:
    """Write the growths of a variant whose equities at the ends of blocks are in the marks."""
    floor = FLOOR * init_cash
    before = init_cash
    for b in range(records.growth.shape[1]):
        equity = max(ledger.marks[b], floor)
        growth = np.log(equity / before) * blocks.unit
        clipped = min(max(growth, -blocks.limit), blocks.limit)
        # What overflowed is undefined, and chosen by nobody.
        records.growth[at, b] = np.int32(np.rint(clipped)) if growth == growth else np.int32(0)
        before = equity


@borrowing
def write_sharpe(
    records: Records,
    at: int,
    scratch: Scratch,
    trades: int,
    market: Market,
    costs: Costs,
    ledger: Ledger,
) -> None:
    """Write the Sharpe ratio of a variant, if its daily returns have one."""
    days = day_marks(scratch, trades, market, costs, ledger)
    growth = day_returns(ledger.marks, days, costs.init_cash)
    if days >= 2 and growth == growth:
        mean, deviation = mean_and_deviation(ledger.marks, days, False)
        records.sharpe[at] = mean / deviation if deviation > 0.0 else np.nan


@borrowing
def write_record(
    records: Records,
    at: int,
    scratch: Scratch,
    runs: int,
    market: Market,
    costs: Costs,
    order: Order,
    blocks: Blocks,
    ledger: Ledger,
) -> None:
    """Write everything that is kept of a variant whose runs are listed in steps of 2."""
    score = measure(scratch, runs, market, costs, order, ledger, False)
    records.ruined[at] = score.ruined
    records.trades[at] = score.trades
    records.primary[at] = score.primary
    records.total_return[at] = score.total_return
    records.sharpe[at] = np.nan
    records.growth[at] = 0
    records.entries[at] = 0
    if score.trades == 0:
        return
    if not score.ruined and score.trades >= order.min_trades:
        write_sharpe(records, at, scratch, score.trades, market, costs, ledger)
    period_marks(blocks.ends, blocks.of, scratch, score.trades, market, costs, ledger)
    write_growth(records, at, blocks, ledger, costs.init_cash)
    for k in range(score.trades):
        records.entries[at, blocks.of[scratch.events[2 * k]]] += 1


@borrowing
def copy_record(records: Records, at: int, of: int) -> None:
    """Write for a variant what is kept of a twin."""
    records.ruined[at] = records.ruined[of]
    records.trades[at] = records.trades[of]
    records.primary[at] = records.primary[of]
    records.total_return[at] = records.total_return[of]
    records.sharpe[at] = records.sharpe[of]
    for b in range(records.growth.shape[1]):
        records.growth[at, b] = records.growth[of, b]
        records.entries[at, b] = records.entries[of, b]


@borrowing
def seen_at(seen: Seen, measured: int, high: Any, low: Any, at: int) -> int:
    """Return the place of the record of these positions; the first ones to have them get `at`."""
    last = seen.slots.shape[0] - 1
    slot = np.int64(low & np.uint64(last))
    while seen.slots[slot] >= 0:
        other = seen.slots[slot]
        if seen.signatures[other, 0] == high and seen.signatures[other, 1] == low:
            return int(seen.places[other])
        slot = (slot + 1) & last
    seen.slots[slot] = measured
    seen.signatures[measured, 0], seen.signatures[measured, 1] = high, low
    seen.places[measured] = at
    return at


@part
def nothing_seen(variants: int) -> Seen:
    """Return room for the positions of so many variants."""
    slots = 2
    while slots < 2 * variants:
        slots *= 2
    return Seen(
        np.full(slots, -1, np.int32),
        np.empty((variants, 2), np.uint64),
        np.empty(variants, np.int64),
    )


@kernel
def record_tile(
    longs: Words,
    shorts: Words,
    allowed: Words,
    tile: Tile,
    others: Int64,
    market: Market,
    costs: Costs,
    order: Order,
    blocks: Blocks,
    records: Records,
) -> None:
    """Write the records of those base variants of a tile that are kept.

    The arguments are those of `score_tile`; the scores are, too. Variants that hold the same
    positions are twins, whatever their prefix: one of a tile is measured, and the others are told
    what it is.
    """
    stack = new_stack(tile, others.shape[0], allowed)
    scratch = new_scratch(allowed.shape[1])
    ledger = new_ledger(64 * allowed.shape[1], len(market.day_ends))
    seen = nothing_seen(tile.rows * (tile.prefix_stop - tile.prefix_start))
    measured = 0
    for prefix in range(tile.prefix_start, tile.prefix_stop):
        planes, offset = climb(
            stack, prefix, tile, others, longs, shorts, allowed, market.closes.shape[0]
        )
        for m in range(tile.rows):
            index = offset + m * tile.stride
            if index % records.stride != 0:
                continue
            at = index // records.stride
            row = tile.row + m
            put_positions(planes, longs[row], shorts[row], market, scratch)
            if tile.hold:
                high, low = holding_signature(scratch)
            else:
                high, low = plane_signature(scratch.long[1:], scratch.short[1:])
            first = seen_at(seen, measured, high, low, at)
            if first != at:
                copy_record(records, at, first)
                continue
            measured += 1
            if market.liquidated.shape[1] == 0:
                runs = find_trades(scratch)
            else:
                runs = find_liquidated(tile.hold, tile.pause, market, scratch)
            write_record(records, at, scratch, runs, market, costs, order, blocks, ledger)
