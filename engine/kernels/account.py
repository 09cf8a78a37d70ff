"""The account: what a trade does to the cash, and all trades of a variant in time order.

Arithmetic is plain IEEE float64 in a fixed order. Cash after a trade is made by one inlined
function wherever it is needed, so a score and the report's figure are the same bits.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import borrowing, inlined, part
from engine.kernels.bits import U0, U1, Numbers32
from engine.kernels.doublings import NEVER
from engine.kernels.runs import Scratch, is_long

Floats = NDArray[np.float64]
Int64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

DUST = 1e-12  # |net| up to this share of the quote amount is neither a win nor a loss
BLOCK_SHIFT = 4
BLOCK = 1 << BLOCK_SHIFT  # bars that are skipped together when their extremes reach no level


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
    doubled: Numbers32  # uint32[n], first later bar at twice a short's fill or more, or NEVER
    doubles_in: np.uint32  # the fewest bars that this takes anywhere; NEVER if it does not happen
    day_ends: Int64  # int64[D], last bar by the end of each UTC day of opening times
    day_of: Numbers32  # uint32[n], number of the day that a bar opens in


class Ledger(NamedTuple):
    """What the account looked like in and after each trade."""

    quote: Floats  # float64, Q
    held: Floats  # float64, cash + safe left aside while the position is open
    net: Floats  # float64
    available: Floats  # float64, after the trade
    safe: Floats  # float64, after the trade
    marks: Floats  # float64, equity at bars or days


@part
def new_ledger(bars: int, days: int) -> Ledger:
    """Room for as many trades as there can be bars, and for a mark of each bar or day."""
    return Ledger(
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
        np.empty(max(bars, days)),
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
def commit(costs: Costs, cash: float) -> tuple[float, float]:
    """Return the cash that an entry commits and what it leaves: exactly 0 unless it is capped."""
    if costs.cap < cash:
        return costs.cap, cash - costs.cap
    return cash, 0.0


@inlined
def settle(
    costs: Costs, cash: float, safe: float, factor: float
) -> tuple[float, float, float, float]:
    """Return cash, safe, committed cash and net profit after a trade of this growth.

    With everything committed and nothing locked `cash` becomes `cash * factor` exactly, overflows
    included: one product is all that the next trade waits for.
    """
    if compounds(costs):
        product = cash * factor
        return product, safe, cash, product - cash
    committed, left = commit(costs, cash)
    returned = committed * factor
    net = returned - committed
    won = costs.lock > 0.0 and net > DUST * (committed * costs.budget)
    locked = costs.lock * net if won else 0.0
    return (left + returned) - locked, safe + locked, committed, net


@inlined
def entry_fill(costs: Costs, long: bool, close: float) -> float:
    """Return the price at which an entry fills."""
    return close * (costs.buy if long else costs.sell)


@inlined
def first_close_from(market: Market, level: float, start: Any, stop: Any) -> Any:
    """Return the first bar of [start, stop] that closes at `level` or above, else `NEVER`."""
    bar = np.int64(start)
    while bar <= stop:
        block = bar >> BLOCK_SHIFT
        behind = (block + 1) << BLOCK_SHIFT
        if market.block_high[block] >= level:
            for i in range(bar, min(behind, np.int64(stop) + 1)):
                if market.closes[i] >= level:
                    return np.uint32(i)
        bar = behind
    return np.uint32(NEVER)


@inlined
def may_be_ruined(market: Market, bar: Any, end: Any, long: bool) -> bool:
    """Whether a run is a short on whose bars the price doubles; no other one can be ruined.

    Most runs are too short for that, which takes no look into memory. The direction comes last:
    the processor cannot guess it.
    """
    return end - bar >= market.doubles_in and market.doubled[bar] <= end and not long


@borrowing
def ruin_bar(market: Market, costs: Costs, bar: Any, end: Any, cash: float, safe: float) -> Any:
    """Return where a short that `may_be_ruined` and lasts until `end` is ruined, else `NEVER`.

    It is entered on `bar` with `cash` and `safe`. A short is ruined at the first close at or above
    `((A + safe + 2 * Q) / Q) * entry fill`, where A is the cash that the entry leaves: at twice the
    fill where nothing is left, whatever overflows.
    """
    first = market.doubled[bar]
    committed, left = commit(costs, cash)
    if left + safe == 0.0:
        return first
    quote = costs.fixed if costs.cap < cash else committed * costs.budget
    level = ((left + safe + 2.0 * quote) / quote) * entry_fill(costs, False, market.closes[bar])
    return first_close_from(market, level, first, end)


@inlined
def final_balance(
    scratch: Scratch, runs: int, step: np.uint64, market: Market, costs: Costs
) -> tuple[int, float, bool]:
    """Return the number of trades, cash + safe after them, and whether that is ruin.

    Nothing is recorded, but the exit of a trade that ends in ruin, the last one, moves to its bar.
    The loop that stands here is that of most sweeps, and free of calls and of anything more.
    """
    if not compounds(costs):
        return settled_balance(scratch, runs, step, market, costs)
    if market.doubles_in != NEVER:
        return compounded_balance(scratch, runs, step, market, costs)
    closes, inverse, floor = market.closes, market.inverse, costs.floor
    events = scratch.events
    at = U0
    cash = costs.init_cash
    for k in range(runs):
        if cash <= floor:
            return k, cash + 0.0, cash <= 0.0
        bar, end = events[at], events[at + U1]
        cash = cash * growth(costs, is_long(scratch, bar), inverse[bar], closes[end])
        at += step
    return runs, cash + 0.0, cash <= 0.0


@borrowing
def compounded_balance(
    scratch: Scratch, runs: int, step: np.uint64, market: Market, costs: Costs
) -> tuple[int, float, bool]:
    """Do it where cash is one product and a price doubles.

    Most runs are too short for ruin, which a look at the two events tells.
    """
    closes, inverse, floor = market.closes, market.inverse, costs.floor
    doubled, doubles_in = market.doubled, market.doubles_in
    events = scratch.events
    at = U0
    cash = costs.init_cash
    k = 0
    while k < runs and not cash <= floor:
        bar, end = events[at], events[at + U1]
        if end - bar >= doubles_in and doubled[bar] <= end and not is_long(scratch, bar):
            end = doubled[bar]  # `ruin_bar`, for the entry has left nothing
            events[at + U1] = end
            return k + 1, cash * growth(costs, False, inverse[bar], closes[end]) + 0.0, True
        cash = cash * growth(costs, is_long(scratch, bar), inverse[bar], closes[end])
        at += step
        k += 1
    return k, cash + 0.0, cash <= 0.0


@borrowing
def settled_balance(
    scratch: Scratch, runs: int, step: np.uint64, market: Market, costs: Costs
) -> tuple[int, float, bool]:
    """Do it where an entry does not commit everything, or wins move to the safe."""
    closes, inverse, floor = market.closes, market.inverse, costs.floor
    events = scratch.events
    at = U0
    cash = costs.init_cash
    safe = 0.0
    for k in range(runs):
        if cash <= floor:
            return k, cash + safe, cash + safe <= 0.0
        bar, end = events[at], events[at + U1]
        long = is_long(scratch, bar)
        ruined = False
        if may_be_ruined(market, bar, end, long):
            last = ruin_bar(market, costs, bar, end, cash, safe)
            if last <= end:
                events[at + U1] = end = last
                ruined = True
        cash, safe, _, _ = settle(costs, cash, safe, growth(costs, long, inverse[bar], closes[end]))
        if ruined:
            return k + 1, cash + safe, True
        at += step
    return runs, cash + safe, cash + safe <= 0.0


@borrowing
def record_trades(
    scratch: Scratch, runs: int, market: Market, costs: Costs, ledger: Ledger
) -> tuple[int, float, bool]:
    """Return trades, cash + safe after them, and whether it is ruin; `ledger` takes each trade.

    Events are in steps of 2. The exit of a trade that ends in ruin, the last one, moves to its bar.
    """
    closes, inverse, floor = market.closes, market.inverse, costs.floor
    events = scratch.events
    cash = costs.init_cash
    safe = 0.0
    for k in range(runs):
        if cash <= floor:
            return k, cash + safe, cash + safe <= 0.0
        bar, end = events[2 * k], events[2 * k + 1]
        long = is_long(scratch, bar)
        ruined = False
        if may_be_ruined(market, bar, end, long):
            last = ruin_bar(market, costs, bar, end, cash, safe)
            if last <= end:
                events[2 * k + 1] = end = last
                ruined = True
        before, aside = cash, safe
        factor = growth(costs, long, inverse[bar], closes[end])
        cash, safe, committed, net = settle(costs, before, aside, factor)
        ledger.quote[k] = costs.fixed if committed < before else committed * costs.budget
        ledger.held[k] = commit(costs, before)[1] + aside
        ledger.net[k] = net
        ledger.available[k] = cash
        ledger.safe[k] = safe
        if ruined:
            return k + 1, cash + safe, True
    return runs, cash + safe, cash + safe <= 0.0
