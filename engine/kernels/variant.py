"""One variant written out: its trades and its equity curve."""

import numpy as np

from engine.compiled import kernel
from engine.kernels.account import (
    Costs,
    Flags,
    Floats,
    Int64,
    Ledger,
    Market,
    new_ledger,
    record_trades,
)
from engine.kernels.bits import U1, Numbers32, Words
from engine.kernels.equity import fill_equity
from engine.kernels.hits import Hits, Levels, apply_risk, natural_exits, scan_runs
from engine.kernels.runs import find_trades, is_long, multiply, new_scratch


@kernel
def trade_variant(
    long: Words, short: Words, allowed: Words, levels: Levels, market: Market, costs: Costs
) -> tuple[Numbers32, Numbers32, Flags, Hits, Ledger]:
    """Return entry bars, exit bars, directions, hits and ledger of one variant.

    There is one level, or none, of each kind; `hits` int32[trades, 3] are the bars of sl, tp, tsl.
    """
    words = allowed.shape[1]
    scratch = new_scratch(words)
    multiply(allowed[0], allowed[1], long, short, scratch.long[1:], scratch.short[1:])
    runs = find_trades(scratch)
    hits = np.empty((runs, 3), np.int32)
    scan_runs(scratch, runs, market, costs, levels, hits)
    apply_risk(scratch, natural_exits(scratch, runs), hits, 0, 1, 2)
    ledger = new_ledger(runs)
    trades, _, _ = record_trades(scratch, runs, market, costs, ledger)
    is_up = np.empty(trades, np.bool_)
    for k in range(trades):
        is_up[k] = is_long(scratch, scratch.events[2 * k])
    events = scratch.events[: 2 * trades]
    return events[::2].copy(), events[1::2].copy(), is_up, hits[:trades], ledger


@kernel
def curve_of(entry: Int64, exit_: Int64, is_up: Flags, market: Market, costs: Costs) -> Floats:
    """Return the equity float64[n] at every close of a variant whose trades are given."""
    bars = market.closes.shape[0]
    scratch = new_scratch((bars + 63) // 64)
    for k in range(entry.shape[0]):
        scratch.events[2 * k] = entry[k]
        scratch.events[2 * k + 1] = exit_[k]
        if is_up[k]:
            scratch.long[(entry[k] >> 6) + 1] |= U1 << np.uint64(entry[k] & 63)
    ledger = new_ledger(bars)
    trades, _, _ = record_trades(scratch, entry.shape[0], market, costs, ledger)
    fill_equity(scratch, trades, market, costs, ledger, True)
    return ledger.marks
