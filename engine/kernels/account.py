"""The account: what a trade does to the cash, and what all trades of a variant leave.

Arithmetic is plain IEEE float64 in a fixed order. Cash after a trade is made by one inlined
function wherever it is needed, so a score and the report's figure are the same bits.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import borrowing, inlined
from engine.kernels.bits import U0, U1, Numbers32
from engine.kernels.doublings import NEVER
from engine.kernels.runs import Scratch, is_long

Floats = NDArray[np.float64]
Int64 = NDArray[np.int64]
Flags = NDArray[np.bool_]
Kinds = NDArray[np.int8]

# How a trade is closed: by an order that fills at the exit price of its bar, inside that bar by a
# stop or by a limit order, or by ruin at its close.
AT_MARKET, AT_STOP, AT_LIMIT, BY_RUIN = range(4)

DUST = 1e-12  # |net| up to this share of the quote amount is neither a win nor a loss
BLOCK_SHIFT = 4
BLOCK = 1 << BLOCK_SHIFT  # bars that are skipped together when their extremes reach no level


class Costs(NamedTuple):
    """What a trade does to the cash, precomputed from the execution rules.

    Cash C committed to a trade (budget and entry fee) returns as `C * (base + slope * r)` with r
    the exit price times the reciprocal entry price, both before slippage.
    """

    base_long: float
    slope_long: float
    base_short: float
    slope_short: float
    limit_long: float  # the slopes of an exit that does not slip
    limit_short: float
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
    """Traded prices and what is derived from them once: n bars, B = ceil(n / 16) blocks, D days.

    What is decided at the close of a bar fills at the prices that stand in `entry` and `exit` for
    that bar: its close, or the next open. Stops look at closes, or at highs and lows.
    """

    closes: Floats  # float64[n], what open positions are worth
    entry: Floats  # float64[n]
    exit: Floats  # float64[n]
    inverse: Floats  # float64[n], 1 / entry
    opens: Floats  # float64[n], highs and lows too, where stops look inside bars, else float64[0]
    lows: Floats
    highs: Floats
    inside: bool  # whether they do
    slips: bool  # whether a limit order fills elsewhere than a market order at the same price
    delay: int  # bars from a decision until a position is there: 0 at the close, 1 at the next open
    block_low: Floats  # float64[B], lowest price of each block that stops look at
    block_high: Floats  # float64[B]
    doubled: Numbers32  # uint32[n], first later bar that may reach twice a short's fill, or NEVER
    doubles_in: np.uint32  # the fewest bars that this takes anywhere; NEVER if it does not happen
    day_ends: Int64  # int64[D], last bar by the end of each UTC day of opening times
    day_of: Numbers32  # uint32[n], number of the day that a bar opens in


@inlined
def growth(
    costs: Costs, long: bool, entry_inverse: float, exit_price: float, limit: bool = False
) -> float:
    """Return what one unit of committed cash becomes: the one place where outcomes are made.

    The exit slips unless it is a limit order.
    """
    r = exit_price * entry_inverse
    base = costs.base_long if long else costs.base_short
    slope = costs.slope_long if long else costs.slope_short
    if limit:
        slope = costs.limit_long if long else costs.limit_short
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
def entry_fill(costs: Costs, long: bool, price: float) -> float:
    """Return the price at which an entry fills, slippage included."""
    return price * (costs.buy if long else costs.sell)


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
def ruin_level(market: Market, costs: Costs, bar: Any, cash: float, safe: float) -> float:
    """Return the price at which a short that is decided on `bar` is ruined.

    It is entered with `cash` and `safe`, of which the entry leaves A: `((A + safe + 2 * Q) / Q) *
    entry fill`, which is twice the fill where nothing is left, whatever overflows.
    """
    fill = entry_fill(costs, False, market.entry[bar])
    committed, left = commit(costs, cash)
    if left + safe == 0.0:
        return 2.0 * fill
    quote = costs.fixed if costs.cap < cash else committed * costs.budget
    return ((left + safe + 2.0 * quote) / quote) * fill


@borrowing
def ruined_exit(
    market: Market,
    costs: Costs,
    bar: Any,
    end: Any,
    price: float,
    way: int,
    cash: float,
    safe: float,
) -> tuple[Any, float, int, bool]:
    """Return where a short that `may_be_ruined` ends, at which price, in which way; and if ruined.

    `end`, `price` and `way` are those without ruin. It is closed at the first close that reaches
    its level, unless a stop inside that bar came before; and it is ruined as well by an exit at
    such a price.
    """
    level = ruin_level(market, costs, bar, cash, safe)
    last = first_close_from(market, level, market.doubled[bar], end)
    if last < end or (last == end and way == AT_MARKET):
        return last, market.closes[last], BY_RUIN, True
    return np.uint32(end), price, way, price >= level


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
    exits, inverse, floor = market.exit, market.inverse, costs.floor
    events = scratch.events
    at = U0
    cash = costs.init_cash
    for k in range(runs):
        if cash <= floor:
            return k, cash + 0.0, cash <= 0.0
        bar, end = events[at], events[at + U1]
        cash = cash * growth(costs, is_long(scratch, bar), inverse[bar], exits[end])
        at += step
    return runs, cash + 0.0, cash <= 0.0


@borrowing
def compounded_balance(
    scratch: Scratch, runs: int, step: np.uint64, market: Market, costs: Costs
) -> tuple[int, float, bool]:
    """Do it where cash is one product and a price doubles.

    Most runs are too short for ruin, which a look at the two events tells.
    """
    exits, inverse, floor = market.exit, market.inverse, costs.floor
    doubled, doubles_in = market.doubled, market.doubles_in
    events = scratch.events
    at = U0
    cash = costs.init_cash
    k = 0
    while k < runs and not cash <= floor:
        bar, end = events[at], events[at + U1]
        if end - bar >= doubles_in and doubled[bar] <= end and not is_long(scratch, bar):
            end, price, _, ruined = ruined_exit(
                market, costs, bar, end, exits[end], AT_MARKET, cash, 0.0
            )
            events[at + U1] = end
            cash = cash * growth(costs, False, inverse[bar], price)
            if ruined:
                return k + 1, cash + 0.0, True
        else:
            cash = cash * growth(costs, is_long(scratch, bar), inverse[bar], exits[end])
        at += step
        k += 1
    return k, cash + 0.0, cash <= 0.0


@borrowing
def settled_balance(
    scratch: Scratch, runs: int, step: np.uint64, market: Market, costs: Costs
) -> tuple[int, float, bool]:
    """Do it where an entry does not commit everything, or wins move to the safe."""
    inverse, floor = market.inverse, costs.floor
    events = scratch.events
    at = U0
    cash = costs.init_cash
    safe = 0.0
    for k in range(runs):
        if cash <= floor:
            return k, cash + safe, cash + safe <= 0.0
        bar, end = events[at], events[at + U1]
        long = is_long(scratch, bar)
        price, ruined = market.exit[end], False
        if may_be_ruined(market, bar, end, long):
            end, price, _, ruined = ruined_exit(
                market, costs, bar, end, price, AT_MARKET, cash, safe
            )
            events[at + U1] = end
        cash, safe, _, _ = settle(costs, cash, safe, growth(costs, long, inverse[bar], price))
        if ruined:
            return k + 1, cash + safe, True
        at += step
    return runs, cash + safe, cash + safe <= 0.0
