"""All trades of a variant in time order, and what the account looked like in and after each."""

from typing import Any, NamedTuple

import numpy as np

from engine.compiled import borrowing, inlined, part
from engine.kernels.account import (
    AT_MARKET,
    BY_LIQUIDATION,
    Costs,
    Floats,
    Kinds,
    Market,
    compounds,
    growth,
    quote_of,
    settle,
)
from engine.kernels.bits import Numbers32
from engine.kernels.closing import is_cut, is_liquidated, may_be_ruined, outcome, ruined_exit
from engine.kernels.runs import Scratch, is_long


class Ledger(NamedTuple):
    """What the account looked like in and after each trade."""

    cash: Floats  # float64, what is available after so many trades: the first is the initial cash
    safe: Floats  # float64, after so many trades
    quote: Floats  # float64, Q
    net: Floats  # float64
    price: Floats  # float64, at which it is closed, before slippage
    way: Kinds  # int8, AT_MARKET to BY_LIQUIDATION
    flat: Numbers32  # uint32, the first bar at whose close it is over
    begun: Numbers32  # uint32, trades by the end of periods
    marks: Floats  # float64, equity at bars or at the ends of periods


@part
def new_ledger(bars: int, periods: int) -> Ledger:
    """Room for as many trades as there can be bars, and for a mark of each bar or period."""
    return Ledger(
        np.empty(bars + 1),
        np.empty(bars + 1),
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
        np.empty(bars, np.int8),
        np.empty(bars, np.uint32),
        np.empty(periods, np.uint32),
        np.empty(max(bars, periods)),
    )


@inlined
def flat_from(market: Market, end: Any, way: int) -> Any:
    """Return the first bar at whose close a trade is over that ends on `end`."""
    later = market.delay > 0 and way == AT_MARKET and end + 1 < market.closes.shape[0]
    return np.uint32(end + 1) if later else np.uint32(end)


@borrowing
def record_trades(
    scratch: Scratch, runs: int, market: Market, costs: Costs, ledger: Ledger, stopped: bool
) -> tuple[int, float, bool]:
    """Return trades, cash + safe after them, and whether it is ruin; `ledger` takes each trade.

    Events are in steps of 2. The exit of a trade that ends in ruin, the last one, moves to its bar.
    If `stopped`, price and way of each exit are in the ledger; else all are at market.
    """
    floor = costs.floor
    events = scratch.events
    cash = costs.init_cash
    safe = 0.0
    ledger.cash[0], ledger.safe[0] = cash, safe
    for k in range(runs):
        if cash <= floor:
            return k, cash + safe, cash + safe <= 0.0
        bar, end = events[2 * k], events[2 * k + 1]
        long = is_long(scratch, bar)
        price, way = market.exit[end], AT_MARKET
        if stopped:
            price, way = ledger.price[k], int(ledger.way[k])
        if way == BY_LIQUIDATION:  # known from before: as a market order would be
            way = AT_MARKET
        ruined = False
        if may_be_ruined(market, bar, end, long):
            end, price, way, ruined = ruined_exit(market, costs, bar, end, price, way, cash, safe)
            events[2 * k + 1] = end
        before = cash
        factor = outcome(market, costs, long, bar, end, price, way)
        cash, safe, committed, net = settle(costs, before, safe, factor)
        ledger.cash[k + 1], ledger.safe[k + 1] = cash, safe
        ledger.quote[k] = quote_of(costs, before, committed)
        ledger.net[k] = net
        ledger.price[k] = price
        cut = is_cut(market, bar, end, long)
        ledger.flat[k] = end if cut else flat_from(market, end, way)
        ledger.way[k] = (
            BY_LIQUIDATION if is_liquidated(market, costs, bar, end, long, price) else way
        )
        if ruined:
            return k + 1, cash + safe, True
    return runs, cash + safe, cash + safe <= 0.0


@borrowing
def record_cash(
    scratch: Scratch, runs: int, market: Market, costs: Costs, ledger: Ledger
) -> tuple[int, float, bool]:
    """Do the same where exits are at market, and `cash`, `safe` and `flat` are all that is wanted.

    Where cash is one product nothing else is written.
    """
    if not (compounds(costs) and market.plain):
        return record_trades(scratch, runs, market, costs, ledger, False)
    exits, inverse, floor = market.exit, market.inverse, costs.floor
    events = scratch.events
    cash = costs.init_cash
    ledger.cash[0], ledger.safe[0] = cash, 0.0
    for k in range(runs):
        if cash <= floor:
            return k, cash + 0.0, cash <= 0.0
        bar, end = events[2 * k], events[2 * k + 1]
        long = is_long(scratch, bar)
        price, way, ruined = exits[end], AT_MARKET, False
        if may_be_ruined(market, bar, end, long):
            end, price, way, ruined = ruined_exit(market, costs, bar, end, price, way, cash, 0.0)
            events[2 * k + 1] = end
        cash = cash * growth(costs, long, inverse[bar], price)
        ledger.cash[k + 1], ledger.safe[k + 1] = cash, 0.0
        ledger.flat[k] = flat_from(market, end, way)
        if ruined:
            return k + 1, cash + 0.0, True
    return runs, cash + 0.0, cash <= 0.0
