"""Stage B: shortlisted base variants, every one under all risk combinations."""

import numpy as np

from engine.compiled import kernel, part
from engine.kernels.account import (
    Costs,
    Floats,
    Int64,
    Market,
    compounds,
    final_balance,
    growth,
    new_ledger,
    settle,
)
from engine.kernels.bits import Words
from engine.kernels.hits import NO_HIT, Hits, Levels, apply_risk, natural_exits, scan_runs
from engine.kernels.measures import Found, Order, balance_metric, measure, needs_ledger, offer
from engine.kernels.runs import U2, Scratch, find_trades, is_long, load_variant, new_scratch


@part
def grow_all(
    scratch: Scratch,
    runs: int,
    market: Market,
    costs: Costs,
    levels: Levels,
    hits: Hits,
    sl_start: int,
    sl_stop: int,
    cash: Floats,
    safe: Floats,
) -> None:
    """Compute cash and safe of every risk combination float64[sl, tp * tsl] after all runs.

    Runs are the outer loop: each combination still folds its trades in time order, and the
    combinations side by side keep the processor busy.
    """
    closes, inverse, floor = market.closes, market.inverse, costs.floor
    tps, tsls = levels.counts[1], levels.counts[2]
    first_tp, first_tsl = levels.counts[0], levels.counts[0] + tps
    columns = hits.shape[1]
    factor = np.empty(columns)
    target_hit = np.empty(tps * tsls, np.int32)
    target = np.empty(tps * tsls)
    compounding = compounds(costs)
    cash[:] = costs.init_cash
    safe[:] = 0.0
    for k in range(runs):
        bar, end = scratch.events[2 * k], scratch.events[2 * k + 1]
        long, reciprocal = is_long(scratch, bar), inverse[bar]
        unhit = growth(costs, long, reciprocal, closes[end])
        for c in range(columns):
            hit = hits[k, c]
            factor[c] = unhit if hit == NO_HIT else growth(costs, long, reciprocal, closes[hit])
        for i in range(tps):
            for j in range(tsls):
                earlier = hits[k, first_tp + i] < hits[k, first_tsl + j]
                column = first_tp + i if earlier else first_tsl + j
                target_hit[i * tsls + j] = hits[k, column]
                target[i * tsls + j] = factor[column]
        for s in range(sl_start, sl_stop):
            stop_hit, stop = hits[k, s], factor[s]
            if compounding:
                for q in range(tps * tsls):
                    before = cash[s - sl_start, q]
                    after = before * (stop if stop_hit < target_hit[q] else target[q])
                    cash[s - sl_start, q] = after if before > floor else before
            else:
                for q in range(tps * tsls):
                    before = cash[s - sl_start, q]
                    if before > floor:
                        chosen = stop if stop_hit < target_hit[q] else target[q]
                        cash[s - sl_start, q], safe[s - sl_start, q], _, _ = settle(
                            costs, before, safe[s - sl_start, q], chosen
                        )


@kernel
def expand_risk(
    longs: Words,
    shorts: Words,
    ground: Words,
    rows: Int64,
    bases: Int64,
    sl_start: int,
    sl_stop: int,
    levels: Levels,
    market: Market,
    costs: Costs,
    order: Order,
    found: Found,
) -> int:
    """Score the risk combinations of base variants `bases` int64[V]; return how many were found.

    `rows` int64[V, B] are their plane rows; of the sl axis only [sl_start, sl_stop) is expanded.
    `found` has room for one more than V * combinations.
    """
    words = ground.shape[1]
    tps, tsls = levels.counts[1], levels.counts[2]
    targets = tps * tsls
    first_tsl = levels.counts[0] + tps
    scratch = new_scratch(words)
    recorded = needs_ledger(order)
    ledger = new_ledger(64 * words if recorded else 0)
    cash = np.empty((sl_stop - sl_start, targets))
    safe = np.empty((sl_stop - sl_start, targets))
    hits = np.empty((0, first_tsl + tsls), np.int32)
    n = 0
    for v in range(rows.shape[0]):
        load_variant(longs, shorts, ground, rows[v], scratch)
        runs = find_trades(scratch)
        if hits.shape[0] < runs:
            hits = np.empty((runs + runs // 4, first_tsl + tsls), np.int32)
        scan_runs(scratch, runs, market, costs, levels, hits)
        if not recorded:
            grow_all(scratch, runs, market, costs, levels, hits, sl_start, sl_stop, cash, safe)
        natural = natural_exits(scratch, runs)
        for s in range(sl_start, sl_stop):
            for q in range(targets):
                tp, tsl = levels.counts[0] + q // tsls, first_tsl + q % tsls
                if recorded:
                    apply_risk(scratch, natural, hits, s, tp, tsl)
                    trades, primary, secondary = measure(
                        scratch, runs, market, costs, order, ledger
                    )
                else:
                    trades = runs
                    balance = cash[s - sl_start, q] + safe[s - sl_start, q]
                    if cash[s - sl_start, q] <= costs.floor:  # ruined: at which trade?
                        apply_risk(scratch, natural, hits, s, tp, tsl)
                        trades, balance = final_balance(scratch, runs, U2, market, costs)
                    primary = balance_metric(order.primary, trades, balance, costs)
                    secondary = balance_metric(order.secondary, trades, balance, costs)
                index = bases[v] * (levels.counts[0] * targets) + s * targets + q
                n = offer(found, n, order, index, trades, primary, secondary)
    return n
