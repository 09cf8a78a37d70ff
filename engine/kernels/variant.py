"""One variant written out: its trades and its equity curve."""

from typing import NamedTuple

import numpy as np

from engine.compiled import kernel
from engine.kernels.account import Costs, Flags, Floats, Int64, Kinds, Market
from engine.kernels.bits import U1, Numbers32, Words
from engine.kernels.closing import cut_liquidated
from engine.kernels.equity import fill_equity
from engine.kernels.hits import Bars, Levels, new_hits, scan_runs
from engine.kernels.holding import latch, list_starts
from engine.kernels.ledger import Ledger, new_ledger, record_trades
from engine.kernels.runs import drop_last_entry, find_trades, is_long, multiply, new_scratch
from engine.kernels.walking import walk_risk


class Ends(NamedTuple):
    """The bars on which each trade would have ended for one reason alone."""

    hits: Bars  # int32[trades, 3]: sl, tp, tsl
    natural: Numbers32  # uint32[trades], the signal changes, or the last bar


@kernel
def trade_variant(
    long: Words,
    short: Words,
    exits: Words,
    allowed: Words,
    levels: Levels,
    market: Market,
    costs: Costs,
    hold: bool,
    pause: int,
) -> tuple[Numbers32, Numbers32, Flags, Ends, Ledger]:
    """Return entry bars, exit bars, directions, what could end each trade, and the ledger.

    There is one level, or none, of each kind. `exits` uint64[2, W] are what exit blocks say
    together, of whom there are some only with `hold`.
    """
    words = allowed.shape[1]
    scratch = new_scratch(words)
    bars = market.closes.shape[0]
    if hold:
        scratch.long[1:] = long
        scratch.short[1:] = short
        latch(exits[0], exits[1], allowed, bars, scratch)
    else:
        multiply(allowed[0], allowed[1], long, short, scratch.long[1:], scratch.short[1:])
        if market.delay:
            drop_last_entry(scratch, bars)
    runs = find_trades(scratch)
    starts = list_starts(scratch, runs) if hold else runs
    cut_liquidated(scratch, starts, market)
    hits = new_hits(starts, 3, market.inside)
    scan_runs(scratch, starts, market, costs, levels, hits)
    ledger = new_ledger(starts, 0)
    listed = scratch.events[: 2 * starts].copy()
    walked = walk_risk(listed, starts, hits, 0, 1, 2, pause, scratch, market, ledger)
    trades, _, _ = record_trades(scratch, walked, market, costs, ledger, market.inside)
    is_up = np.empty(trades, np.bool_)
    for k in range(trades):
        is_up[k] = is_long(scratch, scratch.events[2 * k])
    events = scratch.events[: 2 * trades]
    ends = Ends(np.empty((trades, 3), np.int32), np.empty(trades, np.uint32))
    at = 0
    for k in range(trades):
        while listed[2 * at] != events[2 * k]:
            at += 1
        ends.hits[k] = hits.bar[at]
        ends.natural[k] = listed[2 * at + 1]
    return events[::2].copy(), events[1::2].copy(), is_up, ends, ledger


@kernel
def curve_of(
    entry: Int64,
    exit_: Int64,
    is_up: Flags,
    price: Floats,
    way: Kinds,
    market: Market,
    costs: Costs,
) -> Floats:
    """Return the equity float64[n] at every close of a variant whose trades are given.

    `price` float64[trades] and `way` int8[trades] are those of the ledger.
    """
    bars = market.closes.shape[0]
    scratch = new_scratch((bars + 63) // 64)
    for k in range(entry.shape[0]):
        scratch.events[2 * k] = entry[k]
        scratch.events[2 * k + 1] = exit_[k]
        if is_up[k]:
            scratch.long[(entry[k] >> 6) + 1] |= U1 << np.uint64(entry[k] & 63)
    ledger = new_ledger(bars, 0)
    ledger.price[: price.shape[0]] = price
    ledger.way[: way.shape[0]] = way
    trades, _, _ = record_trades(scratch, entry.shape[0], market, costs, ledger, True)
    fill_equity(scratch, trades, market, costs, ledger, True)
    return ledger.marks
