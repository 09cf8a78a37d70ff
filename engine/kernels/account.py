"""The account: what a trade does to the cash, and all trades of a variant in time order.

Arithmetic is plain IEEE float64 in a fixed order. Cash after a trade is made by one inlined
function wherever it is needed, so a score and the report's figure are the same bits.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import borrowing, inlined, part
from engine.kernels.bits import U0, U1, Numbers32
from engine.kernels.runs import Scratch, is_long

Floats = NDArray[np.float64]
Int64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

DUST = 1e-12  # |net| up to this share of the quote amount is neither a win nor a loss


class Costs(NamedTuple):
    """What a trade does to the cash, precomputed from the execution rules.

    Cash C committed to a trade (budget and entry fee) returns as `C * (base + slope * r)` with r
    the exit close times the reciprocal entry close.
    """

    base_long: float
    slope_long: float
    base_short: float
    slope_short: float
    buy: float  # fill price per close
    sell: float
    fee: float
    budget: float  # share of committed cash that is the quote amount Q
    fixed: float  # Q of a capped entry
    cap: float  # cash committed by a capped entry; inf = all of it
    lock: float  # share of a win that moves to the safe
    init_cash: float
    floor: float  # no entry with this much cash or less


class Market(NamedTuple):
    """Traded closes and what is derived from them once: n bars, B = ceil(n / 16) blocks, D days."""

    closes: Floats  # float64[n]
    inverse: Floats  # float64[n], 1 / close
    block_low: Floats  # float64[B], lowest close of each block
    block_high: Floats  # float64[B]
    day_ends: Int64  # int64[D], last bar of each UTC day of opening times
    day_of: Numbers32  # uint32[n], number of the day that a bar opens in


class Ledger(NamedTuple):
    """What the account looked like in and after each trade."""

    quote: Floats  # float64, Q
    held: Floats  # float64, cash + safe left aside while the position is open
    net: Floats  # float64
    available: Floats  # float64, after the trade
    safe: Floats  # float64, after the trade
    marks: Floats  # float64[n], equity at bars or days


@part
def new_ledger(bars: int) -> Ledger:
    """Room for as many trades and marks as there can be bars."""
    return Ledger(
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
    )


@inlined
def growth(costs: Costs, long: bool, entry_inverse: float, exit_close: float) -> float:
    """Return what one unit of committed cash becomes: the one place where outcomes are made."""
    r = exit_close * entry_inverse
    base = costs.base_long if long else costs.base_short
    slope = costs.slope_long if long else costs.slope_short
    return base + slope * r


@inlined
def compounds(costs: Costs) -> bool:
    """Whether every entry commits all cash and nothing is locked: cash is one product."""
    return costs.cap == np.inf and costs.lock == 0.0


@inlined
def settle(
    costs: Costs, cash: float, safe: float, factor: float
) -> tuple[float, float, float, float]:
    """Return cash, safe, committed cash and net profit after a trade of this growth.

    With everything committed and nothing locked `cash` becomes `cash * factor` exactly: one product
    is all that the next trade waits for.
    """
    if compounds(costs):
        product = cash * factor
        return product, safe, cash, product - cash
    committed = costs.cap if costs.cap < cash else cash
    returned = committed * factor
    net = returned - committed
    locked = costs.lock * net if net > DUST * (committed * costs.budget) else 0.0
    return ((cash - committed) + returned) - locked, safe + locked, committed, net


@inlined
def entry_fill(costs: Costs, long: bool, close: float) -> float:
    """Return the price at which an entry fills."""
    return close * (costs.buy if long else costs.sell)


@inlined
def final_balance(
    scratch: Scratch, runs: int, step: np.uint64, market: Market, costs: Costs
) -> tuple[int, float, bool]:
    """Return the number of trades, cash + safe after them, and whether that is ruin.

    Nothing is recorded.
    """
    closes, inverse, floor = market.closes, market.inverse, costs.floor
    events = scratch.events
    at = U0
    cash = costs.init_cash
    if compounds(costs):
        for k in range(runs):
            if cash <= floor:
                return k, cash + 0.0, cash <= 0.0
            bar, end = events[at], events[at + U1]
            cash = cash * growth(costs, is_long(scratch, bar), inverse[bar], closes[end])
            at += step
        return runs, cash + 0.0, cash <= 0.0
    safe = 0.0
    for k in range(runs):
        if cash <= floor:
            return k, cash + safe, cash + safe <= 0.0
        bar, end = events[at], events[at + U1]
        factor = growth(costs, is_long(scratch, bar), inverse[bar], closes[end])
        cash, safe, _, _ = settle(costs, cash, safe, factor)
        at += step
    return runs, cash + safe, cash + safe <= 0.0


@borrowing
def record_trades(
    scratch: Scratch, runs: int, market: Market, costs: Costs, ledger: Ledger
) -> tuple[int, float, bool]:
    """Return trades, cash + safe after them, and whether it is ruin; `ledger` takes each trade.

    Events are in steps of 2.
    """
    closes, inverse, floor = market.closes, market.inverse, costs.floor
    events = scratch.events
    cash = costs.init_cash
    safe = 0.0
    for k in range(runs):
        if cash <= floor:
            return k, cash + safe, cash + safe <= 0.0
        bar, end = events[2 * k], events[2 * k + 1]
        factor = growth(costs, is_long(scratch, bar), inverse[bar], closes[end])
        before, aside = cash, safe
        cash, safe, committed, net = settle(costs, before, aside, factor)
        ledger.quote[k] = costs.fixed if committed < before else committed * costs.budget
        ledger.held[k] = (before - committed) + aside
        ledger.net[k] = net
        ledger.available[k] = cash
        ledger.safe[k] = safe
    return runs, cash + safe, cash + safe <= 0.0
