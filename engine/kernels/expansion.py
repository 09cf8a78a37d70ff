"""Stage B: shortlisted base variants, every one under a tile of risk combinations.

A tile is a part of each risk axis. What a call keeps depends on the tile and on the bars, never on
the whole grid. Where the balance is all that is wanted, hits are needed for one run at a time; as
many as fit a cache are kept for those combinations that are signed.
"""

from typing import NamedTuple

import numpy as np

from engine.compiled import kernel, part
from engine.kernels.account import Costs, Int64, Market
from engine.kernels.balances import grow_all, new_balances, new_sides
from engine.kernels.bits import Numbers32, Words
from engine.kernels.closing import cut_liquidated
from engine.kernels.hits import (
    Hits,
    Levels,
    apply_risk,
    kept_rows,
    natural_exits,
    new_hits,
    scan_runs,
)
from engine.kernels.holding import hold_variant, list_starts
from engine.kernels.ledger import Ledger, new_ledger
from engine.kernels.measures import Found, Order, balance_score, measure, needs_ledger, offer
from engine.kernels.reaching import NEVER
from engine.kernels.runs import Scratch, drop_last_entry, find_trades, load_variant, new_scratch
from engine.kernels.signature import trade_signature
from engine.kernels.signing import places_of, sign_combinations
from engine.kernels.walking import grow_walks, sign_walks, walk_risk


class RiskTile(NamedTuple):
    """Where a tile lies in the risk grid, the size of the grid, and how positions are held.

    The first three are its first axis positions; all of it is of one `size`. With `hold` the first
    `entries` blocks open positions, and the others close them. Nothing is entered for `pause` bars
    after a risk exit.
    """

    sl: int
    tp: int
    tsl: int
    tps: int  # length of the whole tp axis
    tsls: int
    total: int  # combinations of the whole grid
    hold: bool = False
    entries: int = 0
    pause: int = 0
    size: int = 0
    sizes: int = 1  # length of the axis of sizes


@part
def list_runs(
    longs: Words,
    shorts: Words,
    allowed: Words,
    rows: Int64,
    tile: RiskTile,
    market: Market,
    scratch: Scratch,
) -> tuple[int, int]:
    """List the runs of a variant in steps of 2, or all starts of its holdings.

    Returns how many runs there are, and how many are listed.
    """
    bars = market.closes.shape[0]
    if tile.hold:
        hold_variant(longs, shorts, allowed, rows, tile.entries, bars, scratch)
    else:
        load_variant(longs, shorts, allowed, rows, scratch)
        if market.delay:
            drop_last_entry(scratch, bars)
    runs = find_trades(scratch)
    starts = list_starts(scratch, runs) if tile.hold else runs
    cut_liquidated(scratch, starts, market)
    return runs, starts


@part
def trades_of(
    listed: Numbers32,
    starts: int,
    hits: Hits,
    sl: int,
    tp: int,
    tsl: int,
    walks: bool,
    tile: RiskTile,
    natural: Numbers32,
    scratch: Scratch,
    market: Market,
    ledger: Ledger,
) -> int:
    """List the trades of one risk combination in steps of 2; return their number."""
    if walks:
        return walk_risk(listed, starts, hits, sl, tp, tsl, tile.pause, scratch, market, ledger)
    apply_risk(scratch, natural, hits, sl, tp, tsl, market, ledger)
    return starts


@kernel
def expand_risk(
    longs: Words,
    shorts: Words,
    allowed: Words,
    rows: Int64,
    bases: Int64,
    tile: RiskTile,
    levels: Levels,
    market: Market,
    costs: Costs,
    order: Order,
    found: Found,
) -> int:
    """Score a tile of risk combinations of base variants `bases` int64[V]; return how many stay.

    `rows` int64[V, B] are their plane rows; `levels` are those of the tile. `found` has room for
    one more than V * combinations of the tile.
    """
    words = allowed.shape[1]
    sls, tps, tsls = levels.counts[0], levels.counts[1], levels.counts[2]
    targets = tps * tsls
    scratch = new_scratch(words)
    recorded = needs_ledger(order)
    ledger = new_ledger(64 * words, len(market.day_ends)) if recorded else new_ledger(0, 0)
    kept = kept_rows(64 * words, sls + tps + tsls, recorded, market.inside)
    hits = new_hits(kept, sls + tps + tsls, market.inside)
    combinations = 0 if recorded else sls * targets
    balances = new_balances(combinations)
    sides = new_sides(sls, targets, sls + tps + tsls)
    busy = np.empty(combinations if tile.hold or tile.pause > 0 else 0, np.int64)
    natural = listed = scratch.events[:0]
    columns = np.empty((combinations, 3), np.int32)  # of those that pass the cut
    ruin = np.empty(combinations, np.uint32)
    sums = np.empty((combinations, 2), np.uint64)
    places = places_of(levels)
    sl_fast = False
    n = 0
    for v in range(rows.shape[0]):
        runs, starts = list_runs(longs, shorts, allowed, rows[v], tile, market, scratch)
        walks = starts > runs or tile.pause > 0
        if recorded:
            scan_runs(scratch, starts, market, costs, levels, hits)
            natural = natural_exits(scratch, starts)
            listed = scratch.events[: 2 * starts].copy() if walks else natural
        elif walks:
            sl_fast = grow_walks(
                scratch, starts, tile.pause, market, costs, levels, hits, sides, balances, busy
            )
        else:
            sl_fast = grow_all(scratch, runs, market, costs, levels, hits, sides, balances)
        first = n
        for s in range(sls):
            for q in range(targets):
                tp, tsl = q // tsls, q % tsls
                if recorded:
                    trades = trades_of(
                        listed, starts, hits, s, sls + tp, sls + tps + tsl, walks, tile, natural,
                        scratch, market, ledger,
                    )  # fmt: skip
                    score = measure(scratch, trades, market, costs, order, ledger, market.inside)
                else:
                    at = q * sls + s if sl_fast else s * targets + q
                    balance = balances.cash[at] + balances.safe[at]
                    ruined = balances.ruin[at] != NEVER or balance <= 0.0
                    trades = int(balances.traded[at])
                    score = balance_score(order, ruined, trades, balance, costs)
                risk = ((tile.sl + s) * tile.tps + tile.tp + tp) * tile.tsls + tile.tsl + tsl
                index = bases[v] * tile.total + risk * tile.sizes + tile.size
                after = offer(found, n, order, index, score)
                if after > n and recorded:
                    found.signature[n, 0], found.signature[n, 1] = trade_signature(
                        scratch, score.trades, market, ledger
                    )
                elif after > n:
                    columns[n - first, 0] = s
                    columns[n - first, 1] = sls + tp
                    columns[n - first, 2] = sls + tps + tsl
                    ruin[n - first] = balances.ruin[at]
                n = after
        if n > first and not recorded and walks:
            sign_walks(
                scratch, starts, tile.pause, market, costs, levels, hits, columns[: n - first],
                ruin, found.trades[first:n], found.signature[first:n],
            )  # fmt: skip
        elif n > first and not recorded:
            sign_combinations(
                scratch, runs, market, costs, levels, places, hits, columns, ruin,
                found.trades[first:n], sums, found.signature[first:n],
            )  # fmt: skip
    return n
