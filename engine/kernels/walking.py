"""Stage B where a holding may be entered more than once, or waits after a risk exit.

Each *start* that may open a position is listed with the bar on which its holding ends. Every risk
combination walks through the same list and leaves out what comes while it holds or waits.
"""

from typing import Any, NamedTuple

import numpy as np

from engine.compiled import borrowing, inlined, part
from engine.kernels.account import (
    AT_LIMIT,
    AT_MARKET,
    AT_STOP,
    Costs,
    Floats,
    Int64,
    Market,
    resized,
    settle,
)
from engine.kernels.balances import (
    Balances,
    Sides,
    costs_under,
    fill_factors,
    fill_hits,
    fill_targets,
    settle_one_short,
)
from engine.kernels.bits import U0, Numbers32, Words
from engine.kernels.closing import cut_liquidated, is_cut, may_be_ruined
from engine.kernels.hits import NO_HIT, Bars, Hits, Levels, hit_first, kept_row, row_of, scan_into
from engine.kernels.holding import list_starts
from engine.kernels.ledger import Ledger
from engine.kernels.reaching import NEVER
from engine.kernels.runs import Scratch, find_trades, is_long, was_held
from engine.kernels.signature import seal, trade_value


class Place(NamedTuple):
    """A start in the list."""

    bar: np.int64
    end: np.int64  # of its holding, if not earlier by liquidation
    first: bool  # of its holding
    cut: bool  # whether it ends by liquidation


@inlined
def place_of(starts: Numbers32, k: int, scratch: Scratch, market: Market) -> Place:
    """Return start k of those listed in steps of 2; `scratch` has the planes of what is held."""
    start = starts[2 * k]
    bar, end, long = np.int64(start), np.int64(starts[2 * k + 1]), is_long(scratch, start)
    first = not was_held(scratch, start, long)
    return Place(bar, end, first, is_cut(market, bar, end, long))


@inlined
def is_free(place: Place, busy: np.int64, pause: int) -> bool:
    """Whether an account that is busy until a bar, that one included, may open on a start.

    The first start of a holding follows another direction or a pause of its own: it may share the
    bar of a risk exit, unless the account has to wait after that.
    """
    return bool(place.bar > busy or (place.first and pause == 0))


@inlined
def busy_until(place: Place, hit: Any, pause: int) -> Any:
    """Return the last bar on which an account that opened on a start opens nothing else."""
    if place.cut:
        return min(np.int64(hit), place.end) + pause
    return np.int64(hit) + pause if hit <= place.end else place.end - 1


@part
def walk_risk(
    starts: Numbers32,
    count: int,
    hits: Hits,
    sl: int,
    tp: int,
    tsl: int,
    pause: int,
    scratch: Scratch,
    market: Market,
    ledger: Ledger,
) -> int:
    """List the trades of one risk combination in steps of 2; return their number.

    Where stops fill inside bars, price and way of each exit go to the ledger.
    """
    busy = np.int64(-1)
    n = 0
    for k in range(count):
        place = place_of(starts, k, scratch, market)
        if not is_free(place, busy, pause):
            continue
        column = hit_first(hits.bar[k], sl, tp, tsl)
        hit = hits.bar[k, column]
        end = min(np.int64(hit), place.end)
        scratch.events[2 * n] = place.bar
        scratch.events[2 * n + 1] = end
        if market.inside:
            stopped = hit != NO_HIT
            ledger.price[n] = hits.price[k, column] if stopped else market.exit[end]
            ledger.way[n] = (AT_LIMIT if column == tp else AT_STOP) if stopped else AT_MARKET
        busy = busy_until(place, hit, pause)
        n += 1
    return n


@part
def find_liquidated(hold: bool, pause: int, market: Market, scratch: Scratch) -> Any:
    """List what is traded without risk levels where positions are liquidated; return the number.

    Trades are in steps of 2. After a liquidation a holding may be entered again.
    """
    count = find_trades(scratch)
    if hold:
        count = list_starts(scratch, count)
    cut_liquidated(scratch, count, market)
    if not hold and pause == 0:
        return count  # what follows in a run is lost
    busy = np.int64(-1)
    n = 0
    for k in range(count):
        place = place_of(scratch.events, k, scratch, market)
        if is_free(place, busy, pause):
            scratch.events[2 * n], scratch.events[2 * n + 1] = place.bar, place.end
            busy = busy_until(place, NO_HIT, pause)
            n += 1
    return n


@borrowing
def settle_free(
    place: Place,
    start: int,
    stop: int,
    outer_hit: Bars,
    outer: Floats,
    inner_hit: Bars,
    inner: Floats,
    stop_outside: bool,
    pause: int,
    costs: Costs,
    balances: Balances,
    busy: Int64,
) -> None:
    """Apply one start to the pairs of levels whose account is free: the level hit first counts.

    Of the outer levels from `start` to `stop`.
    """
    cash, safe, traded = balances.cash, balances.safe, balances.traded
    for o in range(start, stop):
        for i in range(inner.shape[0]):
            at = o * inner.shape[0] + i
            if cash[at] <= costs.floor or not is_free(place, busy[at], pause):
                continue
            # On one bar the stop is hit before the target.
            earlier = outer_hit[o] < inner_hit[i] or (stop_outside and outer_hit[o] == inner_hit[i])
            factor = outer[o] if earlier else inner[i]
            cash[at], safe[at], _, _ = settle(costs, cash[at], safe[at], factor)
            traded[at] += 1.0
            busy[at] = busy_until(place, min(outer_hit[o], inner_hit[i]), pause)


@part
def settle_free_short(
    place: Place,
    row: int,
    hits: Hits,
    sl_fast: bool,
    pause: int,
    market: Market,
    costs: Costs,
    shares: Floats,
    levels: Levels,
    balances: Balances,
    busy: Int64,
) -> None:
    """Do it for a short that may be ruined."""
    sls, tps, tsls = levels.counts[0], levels.counts[1], levels.counts[2]
    for s in range(sls):
        sized = costs_under(costs, shares, s)
        for q in range(tps * tsls):
            at = q * sls + s if sl_fast else s * tps * tsls + q
            if balances.cash[at] <= costs.floor or not is_free(place, busy[at], pause):
                continue
            tp = sls + q // tsls
            column = hit_first(hits.bar[row], s, tp, sls + tps + q % tsls)
            bar, end = np.uint32(place.bar), np.uint32(place.end)
            settle_one_short(at, row, column, tp, hits, bar, end, market, sized, balances)
            busy[at] = busy_until(place, hits.bar[row, column], pause)


@borrowing
def settle_free_by_stop(
    place: Place,
    row: int,
    hits: Hits,
    long: bool,
    pause: int,
    market: Market,
    costs: Costs,
    shares: Floats,
    levels: Levels,
    sides: Sides,
    balances: Balances,
    busy: Int64,
) -> None:
    """Do it where the accounts of one stop loss are sized alike."""
    sls, columns = levels.counts[0], sides.factor.shape[0]
    bar, end = np.uint32(place.bar), np.uint32(place.end)
    for s in range(sls):
        sized = resized(costs, shares[s])
        fill_factors(sides.factor, s, s + 1, row, hits, end, bar, long, market, sized, levels)
        fill_factors(sides.factor, sls, columns, row, hits, end, bar, long, market, sized, levels)
        fill_targets(sides)
        settle_free(
            place, s, s + 1, sides.stop_hit, sides.stop, sides.target_hit, sides.target, True,
            pause, sized, balances, busy,
        )  # fmt: skip


@part
def grow_walks(
    scratch: Scratch,
    count: int,
    pause: int,
    market: Market,
    costs: Costs,
    shares: Floats,
    levels: Levels,
    hits: Hits,
    sides: Sides,
    balances: Balances,
    busy: Int64,
) -> bool:
    """Compute the account of every risk combination after all starts, as `grow_all` after runs."""
    sls, targets = levels.counts[0], levels.counts[1] * levels.counts[2]
    by_stop = shares.shape[0] > 0
    sl_fast: bool = sls > targets and not by_stop
    balances.cash[:] = costs.init_cash
    balances.safe[:] = 0.0
    balances.traded[:] = 0.0
    balances.ruin[:] = NEVER
    busy[:] = -1
    for k in range(count):
        place = place_of(scratch.events, k, scratch, market)
        bar, end = scratch.events[2 * k], scratch.events[2 * k + 1]
        long, row = is_long(scratch, bar), row_of(k, hits)
        scan_into(row, scratch, k, market, costs, levels, hits)
        if may_be_ruined(market, bar, end, long):
            settle_free_short(
                place, row, hits, sl_fast, pause, market, costs, shares, levels, balances, busy
            )
            continue
        fill_hits(sides, row, hits, levels)
        if by_stop:
            settle_free_by_stop(
                place, row, hits, long, pause, market, costs, shares, levels, sides, balances, busy
            )
            continue
        columns = sides.factor.shape[0]
        fill_factors(sides.factor, 0, columns, row, hits, end, bar, long, market, costs, levels)
        fill_targets(sides)
        if sl_fast:
            settle_free(
                place, 0, targets, sides.target_hit, sides.target, sides.stop_hit, sides.stop,
                False, pause, costs, balances, busy,
            )  # fmt: skip
        else:
            settle_free(
                place, 0, sls, sides.stop_hit, sides.stop, sides.target_hit, sides.target, True,
                pause, costs, balances, busy,
            )  # fmt: skip
    return sl_fast


@part
def sign_walks(
    scratch: Scratch,
    count: int,
    pause: int,
    market: Market,
    costs: Costs,
    levels: Levels,
    hits: Hits,
    columns: Bars,
    ruin: Numbers32,
    trades: Int64,
    signatures: Words,
) -> None:
    """Write the identities of C risk combinations of one variant, as `sign_combinations` does."""
    combinations = trades.shape[0]
    busy, traded = np.full(combinations, -1, np.int64), np.zeros(combinations, np.int64)
    signatures[:] = U0
    for k in range(count):
        place = place_of(scratch.events, k, scratch, market)
        long = is_long(scratch, scratch.events[2 * k])
        row = kept_row(scratch, k, market, costs, levels, hits)
        for c in range(combinations):
            if traded[c] == trades[c] or not is_free(place, busy[c], pause):
                continue
            traded[c] += 1
            column = hit_first(hits.bar[row], columns[c, 0], columns[c, 1], columns[c, 2])
            hit = hits.bar[row, column]
            last = min(np.int64(hit), place.end)
            price, limit = market.exit[last], False
            if market.inside and hit != NO_HIT:
                price = hits.price[row, column]
                limit = market.slips and column == columns[c, 1]
            if traded[c] == trades[c] and ruin[c] <= last:
                last = np.int64(ruin[c])
                price, limit = market.closes[last], False
            s, t = trade_value(place.bar, last, long, price, limit)
            signatures[c, 0] += s
            signatures[c, 1] += t
            busy[c] = busy_until(place, hit, pause)
    for c in range(combinations):
        signatures[c, 0], signatures[c, 1] = seal(signatures[c, 0], signatures[c, 1], trades[c])
