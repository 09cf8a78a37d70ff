"""Stage B: shortlisted base variants, every one under all risk combinations."""

import numpy as np
from numpy.typing import NDArray

from engine.compiled import kernel, part
from engine.kernels.account import (
    Costs,
    Floats,
    Int64,
    Market,
    compounds,
    growth,
    new_ledger,
    settle,
)
from engine.kernels.bits import Words
from engine.kernels.hits import Hits, Levels, apply_risk, natural_exits, scan_runs
from engine.kernels.measures import Found, Order, balance_metric, measure, needs_ledger, offer
from engine.kernels.runs import Scratch, find_trades, is_long, load_variant, new_scratch

Numbers = NDArray[np.int32]


@part
def compound_pairs(
    outer_hit: Numbers,
    outer: Floats,
    inner_hit: Numbers,
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
            cash[at + i] = after if before > floor else before
            traded[at + i] += 1.0 if before > floor else 0.0


@part
def settle_pairs(
    outer_hit: Numbers,
    outer: Floats,
    inner_hit: Numbers,
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
            if cash[at] > costs.floor:
                factor = outer[o] if outer_hit[o] < inner_hit[i] else inner[i]
                cash[at], safe[at], _, _ = settle(costs, cash[at], safe[at], factor)
                traded[at] += 1.0


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
    traded: Floats,
) -> bool:
    """Compute cash, safe and the number of trades of every risk combination after all runs.

    Runs are the outer loop: each combination still folds its trades in time order, and the
    combinations side by side keep the processor busy. The longer of the sides sl and (tp, tsl) is
    the fast one in `cash`, `safe` and `traded`, float64[combinations]; returns whether that is sl.
    """
    closes, inverse = market.closes, market.inverse
    tps, tsls = levels.counts[1], levels.counts[2]
    first_tp, first_tsl = levels.counts[0], levels.counts[0] + tps
    factor = np.empty(hits.shape[1])
    target_hit = np.empty(tps * tsls, np.int32)
    target = np.empty(tps * tsls)
    stop = factor[sl_start:sl_stop]
    compounding = compounds(costs)
    sl_fast: bool = sl_stop - sl_start > tps * tsls
    cash[:] = costs.init_cash
    safe[:] = 0.0
    traded[:] = 0.0
    for k in range(runs):
        bar, end = scratch.events[2 * k], scratch.events[2 * k + 1]
        long, reciprocal = is_long(scratch, bar), inverse[bar]
        hit = hits[k]
        for c in range(hit.shape[0]):
            factor[c] = growth(costs, long, reciprocal, closes[min(np.uint32(hit[c]), end)])
        for i in range(tps):
            for j in range(tsls):
                earlier = hit[first_tp + i] < hit[first_tsl + j]
                column = first_tp + i if earlier else first_tsl + j
                target_hit[i * tsls + j] = hit[column]
                target[i * tsls + j] = factor[column]
        stop_hit = hit[sl_start:sl_stop]
        if not compounding and sl_fast:
            settle_pairs(target_hit, target, stop_hit, stop, costs, cash, safe, traded)
        elif not compounding:
            settle_pairs(stop_hit, stop, target_hit, target, costs, cash, safe, traded)
        elif sl_fast:
            compound_pairs(target_hit, target, stop_hit, stop, costs.floor, cash, traded)
        else:
            compound_pairs(stop_hit, stop, target_hit, target, costs.floor, cash, traded)
    return sl_fast


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
    sls = sl_stop - sl_start
    cash = np.empty(sls * targets)
    safe = np.empty(sls * targets)
    traded = np.empty(sls * targets)
    sl_fast = False
    hits = np.empty((0, first_tsl + tsls), np.int32)
    n = 0
    for v in range(rows.shape[0]):
        load_variant(longs, shorts, ground, rows[v], scratch)
        runs = find_trades(scratch)
        if hits.shape[0] < runs:
            hits = np.empty((runs + runs // 4, first_tsl + tsls), np.int32)
        scan_runs(scratch, runs, market, costs, levels, hits)
        if not recorded:
            sl_fast = grow_all(
                scratch, runs, market, costs, levels, hits, sl_start, sl_stop, cash, safe, traded
            )
        natural = natural_exits(scratch, runs)
        for s in range(sl_start, sl_stop):
            for q in range(targets):
                if recorded:
                    tp, tsl = levels.counts[0] + q // tsls, first_tsl + q % tsls
                    apply_risk(scratch, natural, hits, s, tp, tsl)
                    trades, primary, secondary = measure(
                        scratch, runs, market, costs, order, ledger
                    )
                else:
                    at = q * sls + s - sl_start if sl_fast else (s - sl_start) * targets + q
                    trades, balance = int(traded[at]), cash[at] + safe[at]
                    primary = balance_metric(order.primary, trades, balance, costs)
                    secondary = balance_metric(order.secondary, trades, balance, costs)
                index = bases[v] * (levels.counts[0] * targets) + s * targets + q
                n = offer(found, n, order, index, trades, primary, secondary)
    return n
