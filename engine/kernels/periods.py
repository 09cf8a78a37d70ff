"""What is kept of every base variant for questions about the whole search: growth by blocks.

Blocks are stretches of bars of like lengths: b is bars [⌊b·n/S⌋, ⌊(b+1)·n/S⌋). Equity at their ends
is marked to market, floored at a millionth of the cash before its logarithm is taken.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import borrowing
from engine.kernels.account import Costs, Flags, Floats, Int64, Market
from engine.kernels.bits import Numbers32, Words
from engine.kernels.days import count_begun, day_returns, mean_and_deviation, period_marks
from engine.kernels.ledger import Ledger, record_cash
from engine.kernels.measures import Order, Score, balance_score, measure, needs_ledger
from engine.kernels.runs import Scratch
from engine.kernels.signature import S0, S1, absorb, seal

FLOOR = 1e-6  # of the initial cash


class Periods(NamedTuple):
    """Stretches of the traded bars, each to the end of a block or of a day: P of them.

    There are S blocks and D days. How growth in blocks is written is here, too: as whole numbers.
    """

    ends: Int64  # int64[P], the last bar of each
    of: Numbers32  # uint32[n], in which each bar lies
    blocks: Int64  # int64[S], the last period of each block; -1 where that ends before all bars
    days: Int64  # int64[D], the last period of each day
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
    growth: NDArray[np.int32]  # int32[K, S], in units
    entries: NDArray[np.int32]  # int32[K, S], trades that are entered in each block
    identity: Words  # uint64[K], a hash of growth and entries


@borrowing
def write_blocks(
    records: Records, at: int, periods: Periods, ledger: Ledger, init_cash: float
) -> None:
    """Write growth and entries of a variant whose equities at the ends of periods are known."""
    floor = FLOOR * init_cash
    before, begun = init_cash, np.int64(0)
    for b in range(records.growth.shape[1]):
        growth, entries = 0.0, np.int64(0)
        end = periods.blocks[b]
        if end >= 0:
            equity = max(ledger.marks[end], floor)
            growth = np.log(equity / before) * periods.unit
            entries = np.int64(ledger.begun[end]) - begun
            before, begun = equity, begun + entries
        clipped = min(max(growth, -periods.limit), periods.limit)
        # What overflowed is undefined, and chosen by nobody.
        records.growth[at, b] = np.int32(np.rint(clipped)) if growth == growth else np.int32(0)
        records.entries[at, b] = entries


@borrowing
def write_sharpe(
    records: Records, at: int, periods: Periods, ledger: Ledger, returns: Floats, init_cash: float
) -> None:
    """Write the Sharpe ratio of such a variant, if its daily returns float64[D] have one."""
    days = returns.shape[0]
    for d in range(days):
        returns[d] = ledger.marks[periods.days[d]]
    growth = day_returns(returns, days, init_cash)
    if days >= 2 and growth == growth:
        mean, deviation = mean_and_deviation(returns, days, False)
        records.sharpe[at] = mean / deviation if deviation > 0.0 else np.nan


@borrowing
def identity_of(growth: Any, entries: Any) -> Any:
    """Return a hash of two int32[S]."""
    s, t = S0, S1
    for b in range(growth.shape[0]):
        s, t = absorb(s, t, np.uint64(growth[b]), np.uint64(entries[b]))
    return seal(s, t, growth.shape[0])[0]


@borrowing
def score_of(
    scratch: Scratch, runs: int, market: Market, costs: Costs, order: Order, ledger: Ledger
) -> Score:
    """Return the score of runs listed in steps of 2; the ledger takes what marks are made of."""
    if needs_ledger(order):
        return measure(scratch, runs, market, costs, order, ledger, False)
    trades, balance, ruined = record_cash(scratch, runs, market, costs, ledger)
    return balance_score(order, ruined, trades, balance, costs)


@borrowing
def write_record(
    records: Records,
    at: int,
    scratch: Scratch,
    runs: int,
    market: Market,
    costs: Costs,
    order: Order,
    periods: Periods,
    ledger: Ledger,
    returns: Floats,
) -> None:
    """Write everything that is kept of a variant whose runs are listed in steps of 2."""
    score = score_of(scratch, runs, market, costs, order, ledger)
    records.ruined[at] = score.ruined
    records.trades[at] = score.trades
    records.primary[at] = score.primary
    records.total_return[at] = score.total_return
    records.sharpe[at] = np.nan
    if score.trades > 0:
        count_begun(periods.of, periods.ends.shape[0], scratch, score.trades, market, ledger)
        period_marks(periods.ends, scratch, market, costs, ledger)
        write_blocks(records, at, periods, ledger, costs.init_cash)
        if not score.ruined and score.trades >= order.min_trades:
            write_sharpe(records, at, periods, ledger, returns, costs.init_cash)
    else:
        records.growth[at] = 0
        records.entries[at] = 0
    records.identity[at] = identity_of(records.growth[at], records.entries[at])


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
    records.identity[at] = records.identity[of]
