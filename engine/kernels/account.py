"""The account: what a trade does to the cash, and what all trades of a variant leave.

Arithmetic is plain IEEE float64 in a fixed order. Cash after a trade is made by one inlined
function wherever it is needed, so a score and the report's figure are the same bits.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import inlined
from engine.kernels.bits import Numbers32

Floats = NDArray[np.float64]
Int64 = NDArray[np.int64]
Flags = NDArray[np.bool_]
Kinds = NDArray[np.int8]
Shares = NDArray[np.float64]
Bars32 = NDArray[np.uint32]

# How a trade is closed: by an order that fills at the exit price of its bar, inside that bar by a
# stop or by a limit order, by ruin at its close, or by liquidation.
AT_MARKET, AT_STOP, AT_LIMIT, BY_RUIN, BY_LIQUIDATION = range(5)

DUST = 1e-12  # |net| up to this share of the quote amount is neither a win nor a loss
# Levels stand this much nearer to the price than their percent says, so that a close that equals
# one in decimals hits it, whatever the products round to.
MARGIN = 1e-12
BLOCK_SHIFT = 4
BLOCK = 1 << BLOCK_SHIFT  # bars that are skipped together when their extremes reach no level


class Costs(NamedTuple):
    """What a trade does to the cash, precomputed from the execution rules and the size of a trade.

    Cash C committed to a trade (margin and entry fee) returns as `C * (base + slope * r)` with r
    the exit price times the reciprocal entry price, both before slippage. Where an entry commits a
    constant share of the cash, C is all of it: base and slope have the rest in them.
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
    share: float  # of the cash that an entry commits
    budget: float  # the quote amount Q per committed cash
    margin: float  # what a position takes from the cash, per Q: 1 without leverage
    fixed: float  # Q of a capped entry
    cap: float  # cash committed by a capped entry; inf = all of it
    lock: float  # share of a win that moves to the safe
    gone: float  # what C returns as after a liquidation
    carried: float  # Q per C, of which carry is a share
    liquid_long: float  # liquidation levels per entry fill; 0 and inf without leverage
    liquid_short: float
    init_cash: float
    floor: float  # no entry with this much cash or less


class Carry(NamedTuple):
    """What holding has cost up to a bar, as a share of Q: float64[2, n] each, longs and shorts.

    Up to the fill of an entry or of an exit that is decided at its close, up to that close, and up
    to a fill inside it. float64[2, 0] where holding costs nothing.
    """

    entry: Shares
    exit: Shares
    close: Shares
    inside: Shares


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
    plain: bool  # whether there is neither leverage nor carry
    liquidated: (
        Bars32  # uint32[2, n], with leverage: the bar that liquidates a long, a short; NEVER
    )
    carry: Carry
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
    """Whether cash is a product: every entry commits one share of it, and nothing is locked."""
    return costs.cap == np.inf and costs.lock == 0.0


@inlined
def commit(costs: Costs, cash: float) -> tuple[float, float]:
    """Return the cash that an entry commits and what it leaves: exactly 0 where it takes all."""
    if costs.cap < cash:
        return costs.cap, cash - costs.cap
    if costs.share < 1.0:
        return costs.share * cash, cash - costs.share * cash
    return cash, 0.0


@inlined
def settle(
    costs: Costs, cash: float, safe: float, factor: float
) -> tuple[float, float, float, float]:
    """Return cash, safe, committed cash and net profit after a trade of this growth.

    Where cash is a product it becomes `cash * factor` exactly, overflows included: that is all that
    the next trade waits for.
    """
    if compounds(costs):
        product = cash * factor
        return product, safe, cash * costs.share, product - cash
    committed, left = commit(costs, cash)
    returned = committed * factor
    net = returned - committed
    won = costs.lock > 0.0 and net > DUST * (committed * costs.budget)
    locked = costs.lock * net if won else 0.0
    return (left + returned) - locked, safe + locked, committed, net


def _resized(costs: Costs, share: float) -> Costs:
    """Return costs by which an entry commits a share of the cash, from those by which it takes all.

    What is not committed is part of what the cash becomes.
    """
    left = 1.0 - share
    return Costs(
        left + share * costs.base_long,
        share * costs.slope_long,
        left + share * costs.base_short,
        share * costs.slope_short,
        share * costs.limit_long,
        share * costs.limit_short,
        costs.buy,
        costs.sell,
        costs.fee,
        share,
        costs.budget,
        costs.margin,
        costs.fixed,
        costs.cap,
        costs.lock,
        left + share * costs.gone,
        share * costs.carried,
        costs.liquid_long,
        costs.liquid_short,
        costs.init_cash,
        costs.floor,
    )


resized: Any = inlined(_resized)


@inlined
def entry_fill(costs: Costs, long: bool, price: float) -> float:
    """Return the price at which an entry fills, slippage included."""
    return price * (costs.buy if long else costs.sell)


@inlined
def quote_of(costs: Costs, cash: float, committed: float) -> float:
    """Return the quote amount Q of an entry that commits so much of the cash."""
    return costs.fixed if costs.cap < cash else committed * costs.budget


@inlined
def position_of(costs: Costs, cash: float, safe: float) -> tuple[float, float]:
    """Return the quote amount Q of an entry, and what is held beside it while it is open.

    That is cash and safe left aside, less what the position borrows.
    """
    committed, left = commit(costs, cash)
    quote = quote_of(costs, cash, committed)
    held = left + safe
    if costs.margin < 1.0:
        held -= quote - costs.margin * quote
    return quote, held
