"""What is kept of every base variant for questions about the whole search: growth by blocks.

Blocks are stretches of bars of like lengths: b is bars [⌊b·n/S⌋, ⌊(b+1)·n/S⌋). Equity at their ends
is marked to market, floored at a millionth of the cash before its logarithm is taken.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import borrowing, kernel
from engine.kernels.account import Costs, Flags, Floats, Int64, Market
from engine.kernels.bits import Numbers32, Words
from engine.kernels.days import day_marks, day_returns, mean_and_deviation, period_marks
from engine.kernels.ledger import Ledger, new_ledger
from engine.kernels.measures import Order, measure
from engine.kernels.runs import Scratch, find_trades, new_scratch
from engine.kernels.scoring import put_positions
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
    sharpe: Floats  # float64[K], of a day, NaN = undefined
    growth: NDArray[np.int32]  # int32[K, S], in units of the blocks
    entries: NDArray[np.int32]  # int32[K, S], trades that are entered in each block


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
    days = day_marks(scratch, score.trades, market, costs, ledger)
    growth = day_returns(ledger.marks, days, costs.init_cash)
    if days >= 2 and growth == growth:
        mean, deviation = mean_and_deviation(ledger.marks, days, False)
        records.sharpe[at] = mean / deviation if deviation > 0.0 else np.nan
    period_marks(blocks.ends, blocks.of, scratch, score.trades, market, costs, ledger)
    write_growth(records, at, blocks, ledger, costs.init_cash)
    for k in range(score.trades):
        records.entries[at, blocks.of[scratch.events[2 * k]]] += 1


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

    The arguments are those of `score_tile`; the scores are, too.
    """
    stack = new_stack(tile, others.shape[0], allowed)
    scratch = new_scratch(allowed.shape[1])
    ledger = new_ledger(64 * allowed.shape[1], len(market.day_ends))
    for prefix in range(tile.prefix_start, tile.prefix_stop):
        planes, offset = climb(
            stack, prefix, tile, others, longs, shorts, allowed, market.closes.shape[0]
        )
        for m in range(tile.rows):
            index = offset + m * tile.stride
            if index % records.stride != 0:
                continue
            row = tile.row + m
            put_positions(planes, longs[row], shorts[row], market, scratch)
            if market.liquidated.shape[1] == 0:
                runs = find_trades(scratch)
            else:
                runs = find_liquidated(tile.hold, tile.pause, market, scratch)
            at = index // records.stride
            write_record(records, at, scratch, runs, market, costs, order, blocks, ledger)
