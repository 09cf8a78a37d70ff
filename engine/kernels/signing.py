"""Stage B: the identities of the risk combinations of one variant, from the hits of its runs."""

from typing import Any

import numpy as np

from engine.compiled import borrowing, inlined, part
from engine.kernels.account import Costs, Floats, Int64, Market
from engine.kernels.bits import U0, Numbers32, Words
from engine.kernels.hits import NO_HIT, Bars, Hits, Levels, hit_first, kept_row
from engine.kernels.reaching import NEVER
from engine.kernels.runs import Scratch, is_long
from engine.kernels.signature import seal, trade_value

FEW = 8  # combinations up to which each is added up by itself: a table is no faster


@part
def places_of(levels: Levels) -> Int64:
    """Return int64[columns]: the place of each on its axis by height; "off" comes last."""
    sl, tp, tsl = levels.sl_column, levels.tp_column, levels.tsl_column
    first_tp = levels.counts[0]
    first_tsl = first_tp + levels.counts[1]
    places = np.empty(first_tsl + levels.counts[2], np.int64)
    places[:first_tp] = sl.shape[0]
    places[first_tp:first_tsl] = tp.shape[0]
    places[first_tsl:] = tsl.shape[0]
    for columns in (sl, tp, tsl):
        for place in range(columns.shape[0]):
            places[columns[place]] = place
    return places


@inlined
def next_hit(hit: Bars, columns: Int64, place: int, end: Any) -> Any:
    """Return the bar of the next level that is hit before `end`, else `end`."""
    return min(np.int64(hit[columns[place]]), end) if place < columns.shape[0] else end


@inlined
def add_run(
    market: Market, levels: Levels, hit: Bars, bar: Any, end: Any, long: bool, sums: Words
) -> None:
    """Add one run that ends at exit prices to the differences `sums` uint64[combinations, 2].

    A level is hit no earlier than a lower one. So the combinations that hold on after some bar are
    those from some place on, on every axis: a corner of the table. What changes with a bar on which
    levels are hit is noted at the corner that was left until then.
    """
    sl_column, tp_column, tsl_column = levels.sl_column, levels.tp_column, levels.tsl_column
    sls, tps, tsls = levels.counts[0], levels.counts[1], levels.counts[2]
    sl, tp, tsl = 0, 0, 0
    sl_hit = next_hit(hit, sl_column, sl, end)
    tp_hit = next_hit(hit, tp_column, tp, end)
    tsl_hit = next_hit(hit, tsl_column, tsl, end)
    before_s, before_t = U0, U0
    while sl < sls and tp < tps and tsl < tsls:
        exit_ = min(sl_hit, tp_hit, tsl_hit)
        s, t = trade_value(bar, exit_, long, market.exit[exit_])
        corner = (sl * tps + tp) * tsls + tsl
        sums[corner, 0] += s - before_s
        sums[corner, 1] += t - before_t
        if exit_ == end:
            break
        before_s, before_t = s, t
        while sl_hit == exit_:
            sl += 1
            sl_hit = next_hit(hit, sl_column, sl, end)
        while tp_hit == exit_:
            tp += 1
            tp_hit = next_hit(hit, tp_column, tp, end)
        while tsl_hit == exit_:
            tsl += 1
            tsl_hit = next_hit(hit, tsl_column, tsl, end)


@inlined
def add_run_inside(
    market: Market,
    levels: Levels,
    hit: Bars,
    prices: Floats,
    bar: Any,
    end: Any,
    long: bool,
    sums: Words,
) -> None:
    """Do it where each level fills at a price of its own: one after the other, stops first."""
    sl_column, tp_column, tsl_column = levels.sl_column, levels.tp_column, levels.tsl_column
    sls, tps, tsls = levels.counts[0], levels.counts[1], levels.counts[2]
    sl, tp, tsl = 0, 0, 0
    before_s, before_t = U0, U0
    while sl < sls and tp < tps and tsl < tsls:
        # A level that is never hit comes after the last bar.
        sl_hit = next_hit(hit, sl_column, sl, NO_HIT)
        tp_hit = next_hit(hit, tp_column, tp, NO_HIT)
        tsl_hit = next_hit(hit, tsl_column, tsl, NO_HIT)
        exit_ = min(sl_hit, tp_hit, tsl_hit)
        price, last, goal = market.exit[end], exit_ == NO_HIT, False
        if last:
            exit_ = end
        elif sl_hit == exit_:
            price = prices[sl_column[sl]]
        elif tsl_hit == exit_:
            price = prices[tsl_column[tsl]]
        else:
            price, goal = prices[tp_column[tp]], market.slips
        s, t = trade_value(bar, exit_, long, price, goal)
        corner = (sl * tps + tp) * tsls + tsl
        sums[corner, 0] += s - before_s
        sums[corner, 1] += t - before_t
        if last:
            break
        before_s, before_t = s, t
        if sl_hit == exit_:
            sl += 1
        elif tsl_hit == exit_:
            tsl += 1
        else:
            tp += 1


@borrowing
def add_up(sums: Words, outer: int, length: int, inner: int) -> None:
    """Add up a table along one axis; `outer` and `inner` are the sizes before and behind it."""
    for o in range(outer):
        first = o * length * inner
        for at in range(first + inner, first + length * inner):
            sums[at, 0] += sums[at - inner, 0]
            sums[at, 1] += sums[at - inner, 1]


@part
def sum_all(
    scratch: Scratch,
    runs: int,
    market: Market,
    costs: Costs,
    levels: Levels,
    hits: Hits,
    sums: Words,
) -> None:
    """Write the sums of all combinations that trade all runs, by place: uint64[combinations, 2]."""
    sums[:] = U0
    for k in range(runs):
        bar, end = scratch.events[2 * k], scratch.events[2 * k + 1]
        row = kept_row(scratch, k, market, costs, levels, hits)
        long, first, last = is_long(scratch, bar), np.int64(bar), np.int64(end)
        if market.inside:
            prices = hits.price[row]
            add_run_inside(market, levels, hits.bar[row], prices, first, last, long, sums)
        else:
            add_run(market, levels, hits.bar[row], first, last, long, sums)
    sls, tps, tsls = levels.counts[0], levels.counts[1], levels.counts[2]
    add_up(sums, 1, sls, tps * tsls)
    add_up(sums, sls, tps, tsls)
    add_up(sums, sls * tps, tsls, 1)


@part
def sum_each(
    scratch: Scratch,
    market: Market,
    costs: Costs,
    levels: Levels,
    hits: Hits,
    columns: Bars,
    ruin: Numbers32,
    trades: Int64,
    some: Int64,
    signatures: Words,
) -> None:
    """Write the sums of `some` combinations, trade by trade."""
    most = 0
    for c in some:
        signatures[c] = U0
        most = max(most, trades[c])
    for k in range(most):
        bar, end = scratch.events[2 * k], scratch.events[2 * k + 1]
        row = kept_row(scratch, k, market, costs, levels, hits)
        hit = hits.bar[row]
        long = is_long(scratch, bar)
        exit_, price, limit, s, t = np.uint32(0), 0.0, False, U0, U0
        for c in some:
            if k >= trades[c]:
                continue
            column = hit_first(hit, columns[c, 0], columns[c, 1], columns[c, 2])
            last = min(np.uint32(hit[column]), end)
            paid, goal = market.exit[last], False
            if market.inside and hit[column] != NO_HIT:
                paid = hits.price[row, column]
                goal = market.slips and column == columns[c, 1]
            if k == trades[c] - 1 and ruin[c] <= last:
                last = ruin[c]
                paid, goal = market.closes[last], False
            # No trade ends on the first bar.
            if last != exit_ or paid != price or goal != limit:
                exit_, price, limit = last, paid, goal
                s, t = trade_value(bar, exit_, long, price, limit)
            signatures[c, 0] += s
            signatures[c, 1] += t


@part
def sign_combinations(
    scratch: Scratch,
    runs: int,
    market: Market,
    costs: Costs,
    levels: Levels,
    places: Int64,
    hits: Hits,
    columns: Bars,
    ruin: Numbers32,
    trades: Int64,
    sums: Words,
    signatures: Words,
) -> None:
    """Write the identities of C risk combinations of one variant: uint64[C, 2].

    `columns` int32[C, 3] are the columns of sl, tp and tsl of each combination, `ruin` uint32[C]
    the bar on which its last trade was ruined or `NEVER`, `trades` int64[C] how many of the runs it
    trades: the first ones. `sums` uint64[all combinations, 2] is working memory.
    """
    tps, tsls = levels.counts[1], levels.counts[2]
    apart = np.empty(trades.shape[0], np.int64)
    n = 0
    for c in range(trades.shape[0]):
        if trades.shape[0] <= FEW or trades[c] < runs or ruin[c] != NEVER:
            apart[n] = c
            n += 1
    if n < trades.shape[0]:
        sum_all(scratch, runs, market, costs, levels, hits, sums)
        for c in range(trades.shape[0]):
            sl, tp, tsl = places[columns[c, 0]], places[columns[c, 1]], places[columns[c, 2]]
            at = (sl * tps + tp) * tsls + tsl
            signatures[c, 0], signatures[c, 1] = sums[at, 0], sums[at, 1]
    some = apart[:n]
    sum_each(scratch, market, costs, levels, hits, columns, ruin, trades, some, signatures)
    for c in range(trades.shape[0]):
        signatures[c, 0], signatures[c, 1] = seal(signatures[c, 0], signatures[c, 1], trades[c])
