"""Stage A where balances are all that is wanted: cash after the trades of a variant."""

import numpy as np

from engine.compiled import borrowing, inlined
from engine.kernels.account import AT_MARKET, Costs, Market, compounds, growth, settle
from engine.kernels.bits import U0, U1
from engine.kernels.closing import may_be_ruined, outcome, ruined_exit
from engine.kernels.reaching import NEVER
from engine.kernels.runs import Scratch, is_long


@inlined
def final_balance(
    scratch: Scratch, runs: int, step: np.uint64, market: Market, costs: Costs
) -> tuple[int, float, bool]:
    """Return the number of trades, cash + safe after them, and whether that is ruin.

    Nothing is recorded, but the exit of a trade that ends in ruin, the last one, moves to its bar.
    The loop that stands here is that of most sweeps, and free of calls and of anything more.
    """
    if not (compounds(costs) and market.plain):
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
    """Do it where cash is no product, or leverage and carry have to be looked at."""
    floor = costs.floor
    events = scratch.events
    at = U0
    cash = costs.init_cash
    safe = 0.0
    for k in range(runs):
        if cash <= floor:
            return k, cash + safe, cash + safe <= 0.0
        bar, end = events[at], events[at + U1]
        long = is_long(scratch, bar)
        price, way, ruined = market.exit[end], AT_MARKET, False
        if may_be_ruined(market, bar, end, long):
            end, price, way, ruined = ruined_exit(market, costs, bar, end, price, way, cash, safe)
            events[at + U1] = end
        factor = outcome(market, costs, long, bar, end, price, way)
        cash, safe, _, _ = settle(costs, cash, safe, factor)
        if ruined:
            return k + 1, cash + safe, True
        at += step
    return runs, cash + safe, cash + safe <= 0.0
