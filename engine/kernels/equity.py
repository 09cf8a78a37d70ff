"""Equity of a variant at closes, all of them or those in position, and its drawdown."""

from typing import Any

import numpy as np

from engine.compiled import borrowing, inlined
from engine.kernels.account import Costs, Floats, Market, entry_fill, position_of
from engine.kernels.ledger import Ledger
from engine.kernels.runs import Scratch, is_long


@inlined
def position_equity(long: bool, held: float, quote: float, quantity: float, close: float) -> float:
    """Return the equity while a position is open."""
    worth = quantity * close
    return held + (worth if long else quote + (quote - worth))


@borrowing
def fill_equity(
    scratch: Scratch, trades: int, market: Market, costs: Costs, ledger: Ledger, flat: bool
) -> None:
    """Write the equity of bars on which trades are open or over, of others if `flat`, to the marks.

    A trade is open from its entry, or the bar after where that fills at the next open.
    """
    closes, marks = market.closes, ledger.marks
    balance = costs.init_cash
    bar = np.int64(0)
    for k in range(trades):
        entry = np.int64(scratch.events[2 * k])
        first, last = entry + market.delay, np.int64(ledger.flat[k])
        if flat:
            for i in range(bar, first):
                marks[i] = balance
        long = is_long(scratch, scratch.events[2 * k])
        quote, held = position_of(costs, ledger.cash[k], ledger.safe[k])
        quantity = quote / entry_fill(costs, long, market.entry[entry])
        if long:
            for i in range(first, last):
                marks[i] = position_equity(True, held, quote, quantity, closes[i])
        else:
            for i in range(first, last):
                marks[i] = position_equity(False, held, quote, quantity, closes[i])
        if market.carry.entry.shape[1] > 0:
            side = 0 if long else 1
            begin, accrued = market.carry.entry[side, entry], market.carry.close[side]
            for i in range(first, last):
                marks[i] -= quote * (accrued[i] - begin)
        balance = ledger.cash[k + 1] + ledger.safe[k + 1]
        marks[last] = balance
        bar = last
    if flat:
        for i in range(bar, closes.shape[0]):
            marks[i] = balance


@borrowing
def extend_drawdown(
    equity: Floats, start: Any, stop: Any, peak: float, trough: float, worst: float
) -> tuple[float, float, float]:
    """Carry (peak, lowest since the peak, worst drawdown before the peak) over equity[start:stop].

    Bars that repeat the equity of the bar before them may be left out.
    """
    for i in range(start, stop):
        value = equity[i]
        if value > peak:
            if trough < peak:
                worst = max(worst, (peak - trough) / peak)
            peak = value
            trough = value
        elif value < trough:
            trough = value
    return peak, trough, worst


@borrowing
def drawdown_fraction(peak: float, trough: float, worst: float) -> float:
    """Return the worst drawdown, the unfinished one included; NaN below a peak that overflowed."""
    if not np.isfinite(peak):
        return np.nan
    return max(worst, (peak - trough) / peak)


@borrowing
def max_drawdown(
    scratch: Scratch, trades: int, market: Market, costs: Costs, ledger: Ledger
) -> float:
    """Return the worst drawdown as a fraction of its peak, which starts at the initial cash."""
    fill_equity(scratch, trades, market, costs, ledger, False)
    peak, trough, worst = costs.init_cash, costs.init_cash, 0.0
    for k in range(trades):
        first, last = np.int64(scratch.events[2 * k]) + market.delay, np.int64(ledger.flat[k])
        peak, trough, worst = extend_drawdown(ledger.marks, first, last + 1, peak, trough, worst)
    return drawdown_fraction(peak, trough, worst)
