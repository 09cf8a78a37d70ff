"""What may befall an open position, and what it is worth in the end.

A short is ruined, a position with leverage is liquidated, and holding it costs.
"""

from typing import Any

import numpy as np

from engine.compiled import borrowing, inlined
from engine.kernels.account import (
    AT_LIMIT,
    AT_MARKET,
    AT_STOP,
    BLOCK_SHIFT,
    BY_RUIN,
    MARGIN,
    Costs,
    Market,
    commit,
    entry_fill,
    growth,
    quote_of,
)
from engine.kernels.reaching import NEVER
from engine.kernels.runs import Scratch, is_long


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
    quote = quote_of(costs, cash, committed)
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
def liquidation_level(costs: Costs, fill: float, long: bool) -> float:
    """Return the price at which a position that was entered at `fill` is liquidated."""
    return fill * (costs.liquid_long if long else costs.liquid_short)


@inlined
def is_cut(market: Market, bar: Any, end: Any, long: bool) -> bool:
    """Whether a position that was entered on `bar` is liquidated by the bar `end`."""
    if market.liquidated.shape[1] == 0:
        return False
    return bool(market.liquidated[0 if long else 1, bar] <= end)


@inlined
def is_liquidated(
    market: Market, costs: Costs, bar: Any, end: Any, long: bool, price: float
) -> bool:
    """Whether a trade from `bar` to `end` is liquidated: before it ends, or where it would fill."""
    if market.liquidated.shape[1] == 0:
        return False
    if is_cut(market, bar, end, long):
        return True
    level = liquidation_level(costs, entry_fill(costs, long, market.entry[bar]), long)
    return price <= level * (1.0 + MARGIN) if long else price >= level * (1.0 - MARGIN)


@inlined
def carry_of(market: Market, bar: Any, end: Any, long: bool, way: int) -> float:
    """Return what holding a position from `bar` to its exit on `end` has cost, as a share of Q."""
    side = 0 if long else 1
    carry = market.carry
    if way in (AT_STOP, AT_LIMIT):
        until = carry.inside[side, end]
    elif way == BY_RUIN:
        until = carry.close[side, end]
    else:
        until = carry.exit[side, end]
    return float(until - carry.entry[side, bar])


@borrowing
def charged(
    market: Market, costs: Costs, long: bool, bar: Any, end: Any, price: float, way: int
) -> float:
    """Return what one unit of cash becomes where there is leverage or carry."""
    if is_liquidated(market, costs, bar, end, long, price):
        return costs.gone
    factor = growth(costs, long, market.inverse[bar], price, way == AT_LIMIT)
    if market.carry.entry.shape[1] == 0:
        return factor
    return factor - costs.carried * carry_of(market, bar, end, long, way)


@inlined
def outcome(
    market: Market, costs: Costs, long: bool, bar: Any, end: Any, price: float, way: int
) -> float:
    """Return what one unit of cash becomes in a trade from `bar` to `end`, all that it is charged.

    `price` is that of its exit before slippage, `way` how it is closed.
    """
    if market.plain:
        return growth(costs, long, market.inverse[bar], price, way == AT_LIMIT)
    return charged(market, costs, long, bar, end, price, way)


@borrowing
def cut_liquidated(scratch: Scratch, count: int, market: Market) -> None:
    """Let runs, or holdings from each of their starts, end where they are liquidated."""
    if market.liquidated.shape[1] == 0:
        return
    events = scratch.events
    for k in range(count):
        side = 0 if is_long(scratch, events[2 * k]) else 1
        events[2 * k + 1] = min(events[2 * k + 1], market.liquidated[side, events[2 * k]])
