"""The pass over all base variants that records what questions about the whole search need.

Variants that hold the same positions are twins, whatever their prefix: of those of a tile one is
measured, and the others are told what it is. Which one that is changes nothing.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import borrowing, kernel, part
from engine.kernels.account import Costs, Int64, Market
from engine.kernels.bits import Words
from engine.kernels.holding import holding_signature
from engine.kernels.ledger import new_ledger
from engine.kernels.measures import Order
from engine.kernels.periods import Periods, Records, copy_record, write_record
from engine.kernels.runs import find_trades, new_scratch
from engine.kernels.scoring import put_positions
from engine.kernels.signature import plane_signature
from engine.kernels.tiles import Tile, climb, new_stack
from engine.kernels.walking import find_liquidated


class Seen(NamedTuple):
    """The positions that were measured already, at most half as many as slots."""

    slots: NDArray[np.int32]  # int32[2^k], numbers of what was measured, -1 = free
    signatures: Words  # uint64[measured, 2]
    places: Int64  # int64[measured], of their records


@borrowing
def seen_at(seen: Seen, measured: int, high: Any, low: Any, at: int) -> int:
    """Return the place of the record of these positions; the first ones to have them get `at`."""
    last = seen.slots.shape[0] - 1
    slot = np.int64(low & np.uint64(last))
    while seen.slots[slot] >= 0:
        other = seen.slots[slot]
        if seen.signatures[other, 0] == high and seen.signatures[other, 1] == low:
            return int(seen.places[other])
        slot = (slot + 1) & last
    seen.slots[slot] = measured
    seen.signatures[measured, 0], seen.signatures[measured, 1] = high, low
    seen.places[measured] = at
    return at


@part
def nothing_seen(variants: int) -> Seen:
    """Return room for the positions of so many variants."""
    slots = 2
    while slots < 2 * variants:
        slots *= 2
    return Seen(
        np.full(slots, -1, np.int32),
        np.empty((variants, 2), np.uint64),
        np.empty(variants, np.int64),
    )


@kernel
def record_tile(
    longs: Words,
    shorts: Words,
    allowed: Words,
    tile: Tile,
    others: Int64,
    market: Market,
    costs: Costs,
    order: Order,
    periods: Periods,
    records: Records,
) -> None:
    """Write the records of those base variants of a tile that are kept.

    The arguments are those of `score_tile`; the scores are, too.
    """
    stack = new_stack(tile, others.shape[0], allowed)
    scratch = new_scratch(allowed.shape[1])
    # A day without a bar is no period of its own, but has a mark where variants are ranked by days.
    marks = max(len(periods.ends), len(periods.days))
    ledger = new_ledger(64 * allowed.shape[1], marks)
    returns = np.empty(len(periods.days))
    seen = nothing_seen(tile.rows * (tile.prefix_stop - tile.prefix_start))
    measured = 0
    for prefix in range(tile.prefix_start, tile.prefix_stop):
        planes, offset = climb(
            stack, prefix, tile, others, longs, shorts, allowed, market.closes.shape[0]
        )
        for m in range(tile.rows):
            index = offset + m * tile.stride
            if index % records.stride != 0:
                continue
            at = index // records.stride
            row = tile.row + m
            put_positions(planes, longs[row], shorts[row], market, scratch)
            if tile.hold:
                high, low = holding_signature(scratch)
            else:
                high, low = plane_signature(scratch.long[1:], scratch.short[1:])
            first = seen_at(seen, measured, high, low, at)
            if first != at:
                copy_record(records, at, first)
                continue
            measured += 1
            if market.liquidated.shape[1] == 0:
                runs = find_trades(scratch)
            else:
                runs = find_liquidated(tile.hold, tile.pause, market, scratch)
            write_record(records, at, scratch, runs, market, costs, order, periods, ledger, returns)
