"""Equity of a variant at the ends of periods; daily returns, their mean and deviation."""

from typing import NamedTuple

import numpy as np

from engine.compiled import borrowing
from engine.kernels.account import Costs, Floats, Int64, Market, entry_fill, position_of
from engine.kernels.bits import Numbers32
from engine.kernels.equity import position_equity
from engine.kernels.ledger import Ledger
from engine.kernels.runs import Scratch, is_long

NO_DEVIATION = 1e-12  # of the mean: as much as roundings of equal returns make


class Days(NamedTuple):
    """The days of a variant, whose returns are in the marks of its ledger."""

    number: int
    growth: float  # last equity / initial cash; NaN once the equity of a day is not positive


@borrowing
def count_begun(
    period_of: Numbers32,
    periods: int,
    scratch: Scratch,
    trades: int,
    market: Market,
    ledger: Ledger,
) -> None:
    """Write how many trades were entered by the end of each period.

    Exits may be earlier than the runs' own ends; entries are where they are.
    """
    begun, events = ledger.begun, scratch.events
    begun[:periods] = 0
    for k in range(trades):  # the period's last one stays
        begun[period_of[np.int64(events[2 * k]) + market.delay]] = k + 1
    for d in range(1, periods):
        begun[d] = max(begun[d], begun[d - 1])


@borrowing
def period_marks(
    ends: Int64, scratch: Scratch, market: Market, costs: Costs, ledger: Ledger
) -> None:
    """Write the equity of at least one trade at the end of each period, a bar, to the marks.

    Which trades were begun by then is known. No loop has a branch: where trades meet periods is
    anyone's guess, and a wrong guess takes longer than the position of a trade that is over.
    """
    closes, marks, events = market.closes, ledger.marks, scratch.events
    for d in range(ends.shape[0]):
        begun = np.int64(ledger.begun[d])
        k = max(begun, np.int64(1)) - 1
        first, last = events[2 * k], ledger.flat[k]
        long = is_long(scratch, first)
        quote, held = position_of(costs, ledger.cash[k], ledger.safe[k])
        quantity = quote / entry_fill(costs, long, market.entry[first])
        open_ = position_equity(long, held, quote, quantity, closes[ends[d]])
        if market.carry.entry.shape[1] > 0:
            side = 0 if long else 1
            accrued = market.carry.close[side, ends[d]] - market.carry.entry[side, first]
            open_ -= quote * accrued
        flat = ledger.cash[begun] + ledger.safe[begun]
        marks[d] = open_ if begun > 0 and ends[d] < last else flat


@borrowing
def day_marks(scratch: Scratch, trades: int, market: Market, costs: Costs, ledger: Ledger) -> int:
    """Write the last equity of each day of at least one trade to the marks; return their number."""
    days: int = market.day_ends.shape[0]
    count_begun(market.day_of, days, scratch, trades, market, ledger)
    period_marks(market.day_ends, scratch, market, costs, ledger)
    return days


@borrowing
def day_returns(marks: Floats, days: int, init_cash: float) -> float:
    """Turn the last equities of the days into returns; return the growth over all of them.

    NaN where the equity of a day is not positive.
    """
    before = init_cash
    alive = True
    for d in range(days):
        equity = marks[d]
        alive &= equity > 0.0
        marks[d] = equity / before - 1.0
        before = equity
    return before / init_cash if alive else np.nan


@borrowing
def sum_of(values: Floats, count: int) -> float:
    """Return the sum of the first values, in four lanes: an addition waits for the one before."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = count - count % 4
    for i in range(0, whole, 4):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
    for i in range(whole, count):
        a += values[i]
    return (a + b) + (c + d)


@borrowing
def squares_of(values: Floats, count: int, center: float, most: float) -> float:
    """Return the sum of min(value - center, most)² over the first values, in four lanes."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = count - count % 4
    for i in range(0, whole, 4):
        a += min(values[i] - center, most) ** 2
        b += min(values[i + 1] - center, most) ** 2
        c += min(values[i + 2] - center, most) ** 2
        d += min(values[i + 3] - center, most) ** 2
    for i in range(whole, count):
        a += min(values[i] - center, most) ** 2
    return (a + b) + (c + d)


@borrowing
def mean_and_deviation(returns: Floats, count: int, downside: bool) -> tuple[float, float]:
    """Return the mean of the first returns and their deviation: of a sample, or below 0 only.

    A deviation that is a rounding of the mean counts as zero.
    """
    mean = sum_of(returns, count) / count
    if downside:
        deviation = np.sqrt(squares_of(returns, count, 0.0, 0.0) / count)
    else:
        deviation = np.sqrt(squares_of(returns, count, mean, np.inf) / (count - 1))
    return mean, 0.0 if deviation <= NO_DEVIATION * abs(mean) else deviation
