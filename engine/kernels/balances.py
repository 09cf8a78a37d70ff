"""Stage B where balances are all that is wanted: the accounts of all combinations side by side."""

from typing import Any, NamedTuple

import numpy as np

from engine.compiled import borrowing, inlined, part
from engine.kernels.account import (
    AT_LIMIT,
    AT_MARKET,
    AT_STOP,
    BY_RUIN,
    Costs,
    Floats,
    Market,
    compounds,
    growth,
    settle,
)
from engine.kernels.bits import Numbers32
from engine.kernels.closing import may_be_ruined, outcome, ruined_exit
from engine.kernels.hits import NO_HIT, Bars, Hits, Levels, hit_first, row_of, scan_into
from engine.kernels.reaching import NEVER
from engine.kernels.runs import Scratch, is_long


class Balances(NamedTuple):
    """The accounts of all risk combinations of a tile, side by side.

    A ruined account is closed: all that is left of it is in `safe`, so that it trades no more.
    """

    cash: Floats  # float64[combinations]
    safe: Floats  # float64[combinations]
    traded: Floats  # float64[combinations], number of trades
    ruin: Numbers32  # uint32[combinations], bar at whose close a short was ruined, or NEVER


class Sides(NamedTuple):
    """How one run ends under each level, by the two sides that every combination is a pair of.

    A stop is an sl; a target is a pair of tp and tsl. Factors are the growth of what is committed.
    """

    stop_hit: Bars  # int32[sls], NO_HIT where it is not hit
    stop: Floats  # float64[sls]
    target_hit: Bars  # int32[tps * tsls]
    target: Floats  # float64[tps * tsls]
    factor: Floats  # float64[columns], of each level; `stop` is its beginning


# A short whose exit filled at such a price that it is ruined, on whatever bar.
RUINED_BY_FILL = NEVER - 1


@part
def new_balances(combinations: int) -> Balances:
    """Return room for so many accounts."""
    return Balances(
        np.empty(combinations),
        np.empty(combinations),
        np.empty(combinations),
        np.empty(combinations, np.uint32),
    )


@part
def compound_pairs(
    outer_hit: Bars,
    outer: Floats,
    inner_hit: Bars,
    inner: Floats,
    floor: float,
    cash: Floats,
    traded: Floats,
) -> None:
    """Apply one run to the cash of every pair of levels: the growth of the level hit first."""
    for o in range(outer.shape[0]):
        hit, growth_there, at = outer_hit[o], outer[o], o * inner.shape[0]
        for i in range(inner.shape[0]):
            before = cash[at + i]
            after = before * (growth_there if hit < inner_hit[i] else inner[i])
            # NaN, the rest of an overflow, is no ruin: as in `final_balance`, trading goes on.
            cash[at + i] = before if before <= floor else after
            traded[at + i] += 0.0 if before <= floor else 1.0


@part
def settle_pairs(
    outer_hit: Bars,
    outer: Floats,
    inner_hit: Bars,
    inner: Floats,
    costs: Costs,
    cash: Floats,
    safe: Floats,
    traded: Floats,
) -> None:
    """Do the same where an entry does not commit everything, or wins move to the safe."""
    for o in range(outer.shape[0]):
        for i in range(inner.shape[0]):
            at = o * inner.shape[0] + i
            if not cash[at] <= costs.floor:
                factor = outer[o] if outer_hit[o] < inner_hit[i] else inner[i]
                cash[at], safe[at], _, _ = settle(costs, cash[at], safe[at], factor)
                traded[at] += 1.0


@inlined
def settle_one_short(
    at: int,
    row: int,
    column: int,
    tp: int,
    hits: Hits,
    bar: np.uint32,
    end: np.uint32,
    market: Market,
    costs: Costs,
    balances: Balances,
) -> None:
    """Trade a short that may be ruined in the account `at`, whose level `column` is hit first."""
    cash, safe = balances.cash, balances.safe
    hit = hits.bar[row, column]
    last = min(np.uint32(hit), end)
    price, way = market.exit[last], AT_MARKET
    if market.inside and hit != NO_HIT:
        price, way = hits.price[row, column], AT_LIMIT if column == tp else AT_STOP
    ruined = False
    if may_be_ruined(market, bar, last, False):
        last, price, way, ruined = ruined_exit(
            market, costs, bar, last, price, way, cash[at], safe[at]
        )
    factor = outcome(market, costs, False, bar, last, price, way)
    cash[at], safe[at], _, _ = settle(costs, cash[at], safe[at], factor)
    balances.traded[at] += 1.0
    if ruined:
        balances.ruin[at] = last if way == BY_RUIN else np.uint32(RUINED_BY_FILL)
        safe[at] += cash[at]
        cash[at] = 0.0


@part
def settle_short(
    row: int,
    hits: Hits,
    sl_fast: bool,
    bar: np.uint32,
    end: np.uint32,
    market: Market,
    costs: Costs,
    levels: Levels,
    balances: Balances,
) -> None:
    """Do the same for a short that may be ruined: every account has an exit of its own."""
    sls, tps, tsls = levels.counts[0], levels.counts[1], levels.counts[2]
    for s in range(sls):
        for q in range(tps * tsls):
            at = q * sls + s if sl_fast else s * tps * tsls + q
            if not balances.cash[at] <= costs.floor:
                tp = sls + q // tsls
                column = hit_first(hits.bar[row], s, tp, sls + tps + q % tsls)
                settle_one_short(at, row, column, tp, hits, bar, end, market, costs, balances)


@inlined
def fill_factors(
    factor: Floats,
    row: int,
    hits: Hits,
    end: Any,
    bar: Any,
    long: bool,
    market: Market,
    costs: Costs,
    levels: Levels,
) -> None:
    """Write the growth of the run from `bar` to `end` under each level alone: float64[columns]."""
    if market.inside or not market.plain:
        fill_factors_apart(factor, row, hits, end, bar, long, market, costs, levels)
        return
    exits, bars, reciprocal = market.exit, hits.bar[row], market.inverse[bar]
    for c in range(bars.shape[0]):
        exit_ = min(np.uint32(bars[c]), end)
        factor[c] = growth(costs, long, reciprocal, exits[exit_])


@borrowing
def fill_factors_apart(
    factor: Floats,
    row: int,
    hits: Hits,
    end: Any,
    bar: Any,
    long: bool,
    market: Market,
    costs: Costs,
    levels: Levels,
) -> None:
    """Do it where each level may fill at a price of its own, or be charged differently."""
    bars = hits.bar[row]
    first_tp = levels.counts[0]
    first_tsl = first_tp + levels.counts[1]
    for c in range(bars.shape[0]):
        last, way = min(np.uint32(bars[c]), end), AT_MARKET
        price = market.exit[last]
        if market.inside and bars[c] != NO_HIT:
            price, way = hits.price[row, c], AT_LIMIT if first_tp <= c < first_tsl else AT_STOP
        factor[c] = outcome(market, costs, long, bar, last, price, way)


@inlined
def fill_sides(sides: Sides, row: int, hits: Hits, levels: Levels) -> None:
    """Write when and how the two sides of run `row` end it; its factors are known."""
    sls, tps, tsls = levels.counts[0], levels.counts[1], levels.counts[2]
    first_tp, first_tsl = sls, sls + tps
    bars = hits.bar[row]
    for s in range(sls):
        sides.stop_hit[s] = bars[s]
    for i in range(tps):
        for j in range(tsls):
            earlier = bars[first_tp + i] < bars[first_tsl + j]
            column = first_tp + i if earlier else first_tsl + j
            sides.target_hit[i * tsls + j] = bars[column]
            sides.target[i * tsls + j] = sides.factor[column]


@part
def grow_all(
    scratch: Scratch,
    runs: int,
    market: Market,
    costs: Costs,
    levels: Levels,
    hits: Hits,
    sides: Sides,
    balances: Balances,
) -> bool:
    """Compute the account of every risk combination after all runs.

    Runs are the outer loop: each combination still folds its trades in time order, and the
    combinations side by side keep the processor busy. `hits` keeps what it has room for. The longer
    of the sides sl and (tp, tsl) is the fast one in `balances`; returns whether that is sl.
    """
    sls, targets = levels.counts[0], levels.counts[1] * levels.counts[2]
    stop_hit, stop, target_hit, target = sides.stop_hit, sides.stop, sides.target_hit, sides.target
    compounding = compounds(costs)
    sl_fast: bool = sls > targets
    cash, safe, traded = balances.cash, balances.safe, balances.traded
    cash[:] = costs.init_cash
    safe[:] = 0.0
    traded[:] = 0.0
    balances.ruin[:] = NEVER
    for k in range(runs):
        bar, end = scratch.events[2 * k], scratch.events[2 * k + 1]
        long = is_long(scratch, bar)
        row = row_of(k, hits)
        scan_into(row, scratch, k, market, costs, levels, hits)
        if may_be_ruined(market, bar, end, long):
            settle_short(row, hits, sl_fast, bar, end, market, costs, levels, balances)
            continue
        fill_factors(sides.factor, row, hits, end, bar, long, market, costs, levels)
        fill_sides(sides, row, hits, levels)
        if market.inside and not sl_fast:
            # The inner side wins where both are hit on one bar, and that has to be the stop.
            for q in range(targets):
                target_hit[q] += 1
        if not compounding and sl_fast:
            settle_pairs(target_hit, target, stop_hit, stop, costs, cash, safe, traded)
        elif not compounding:
            settle_pairs(stop_hit, stop, target_hit, target, costs, cash, safe, traded)
        elif sl_fast:
            compound_pairs(target_hit, target, stop_hit, stop, costs.floor, cash, traded)
        else:
            compound_pairs(stop_hit, stop, target_hit, target, costs.floor, cash, traded)
    return sl_fast


@part
def new_sides(stops: int, targets: int, columns: int) -> Sides:
    """Return room for the two sides of one run."""
    factor = np.empty(columns)
    return Sides(
        np.empty(stops, np.int32),
        factor[:stops],
        np.empty(targets, np.int32),
        np.empty(targets),
        factor,
    )
