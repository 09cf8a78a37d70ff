"""Stage A: a tile of base variants, every one scored without risk levels."""

from typing import Any, NamedTuple

import numpy as np

from engine.compiled import borrowing, kernel, part
from engine.kernels.account import Costs, Int64, Market
from engine.kernels.bits import Words
from engine.kernels.holding import ONES, Prefix, clear_from, holding_signature
from engine.kernels.ledger import new_ledger
from engine.kernels.measures import (
    Found,
    Order,
    Score,
    needs_ledger,
    offer,
)
from engine.kernels.reaching import NEVER
from engine.kernels.runs import (
    Scratch,
    multiply,
    new_scratch,
)
from engine.kernels.scoring import new_scores, put_positions, score_by_balance, score_by_trades
from engine.kernels.signature import plane_signature, product_signature
from engine.kernels.tally import Tally, count
from engine.kernels.twins import take_in

WORTH_COMPARING = 8  # prefixes for which rows are scored: finding like ones costs a tenth of that


class Tile(NamedTuple):
    """A box of base variants: a range of rows of the streamed block × a range of prefixes.

    Prefixes number the combinations of the other blocks, last one fastest. A base index is
    `offset` + Σ stride * (row within the block's part).
    """

    row: int  # first plane row of the streamed block's part
    rows: int
    stride: int
    prefix_start: int
    prefix_stop: int
    offset: int
    hold: bool = False  # positions are held until they are closed
    exits: bool = False  # the streamed block closes them
    entries: int = 0  # how many of the other blocks open them, the first ones
    pause: int = 0  # bars after a liquidation on which nothing is entered


class Stack(NamedTuple):
    """Products of the blocks that are not streamed, D of them: level d is of the first d.

    Exit blocks are ORed, on a stack of their own, which is as deep where there are some.
    """

    long: Words  # uint64[D + 1, W]
    short: Words
    exit_long: Words
    exit_short: Words
    digits: Int64  # int64[D], of the prefix that it holds


@part
def new_stack(tile: Tile, depth: int, allowed: Words) -> Stack:
    """Return a stack that holds no prefix yet."""
    words = allowed.shape[1]
    stack = Stack(
        np.empty((depth + 1, words), np.uint64),
        np.empty((depth + 1, words), np.uint64),
        np.zeros((depth + 1 if tile.hold else 1, words), np.uint64),
        np.zeros((depth + 1 if tile.hold else 1, words), np.uint64),
        np.full(depth, -1, np.int64),
    )
    ones = np.full(words, ONES)
    stack.long[0] = ones if tile.hold else allowed[0]
    stack.short[0] = ones if tile.hold else allowed[1]
    return stack


@part
def climb(
    stack: Stack,
    prefix: int,
    tile: Tile,
    others: Int64,
    longs: Words,
    shorts: Words,
    allowed: Words,
    bars: int,
) -> tuple[Prefix, int]:
    """Have the stack hold a prefix; return its planes, and the base index of its first row.

    Only the levels above the first digit that changed are made anew.
    """
    depth = others.shape[0]
    offset = tile.offset
    rest = prefix
    changed = depth
    for d in range(depth - 1, -1, -1):
        digit = rest % others[d, 1]
        rest //= others[d, 1]
        offset += digit * others[d, 2]
        if digit != stack.digits[d]:
            stack.digits[d] = digit
            changed = d
    for d in range(changed, depth):
        row = others[d, 0] + stack.digits[d]
        if tile.hold and d >= tile.entries:
            stack.long[d + 1], stack.short[d + 1] = stack.long[d], stack.short[d]
            stack.exit_long[d + 1] = stack.exit_long[d] | longs[row]
            stack.exit_short[d + 1] = stack.exit_short[d] | shorts[row]
            continue
        multiply(
            stack.long[d], stack.short[d], longs[row], shorts[row],
            stack.long[d + 1], stack.short[d + 1],
        )  # fmt: skip
        if tile.hold:
            stack.exit_long[d + 1] = stack.exit_long[d]
            stack.exit_short[d + 1] = stack.exit_short[d]
    last = depth if tile.hold else 0
    planes = Prefix(
        stack.long[depth], stack.short[depth], stack.exit_long[last], stack.exit_short[last],
        allowed, tile.hold, tile.exits, bars, tile.pause,
    )  # fmt: skip
    return planes, offset


@part
def distinct_rows(
    longs: Words, shorts: Words, allowed: Words, tile: Tile, order: Order, scratch: Scratch
) -> tuple[Int64, Int64]:
    """Return int64[D], int64[D]: rows of the tile that differ where it counts, how often each is.

    The lowest row stands for those like it: with any prefix they are twins, so one is scored.
    """
    if not order.distinct or tile.prefix_stop - tile.prefix_start < WORTH_COMPARING:
        return np.arange(tile.rows), np.ones(tile.rows, np.int64)
    rows = np.empty((tile.rows, 4), np.uint64)
    long, short = scratch.long[1:], scratch.short[1:]
    for m in range(tile.rows):
        row = tile.row + m
        multiply(allowed[0], allowed[1], longs[row], shorts[row], long, short)
        rows[m, 0], rows[m, 1] = plane_signature(long, short)
        rows[m, 2], rows[m, 3] = m, 1
    slots = 2
    while slots < 2 * tile.rows:
        slots *= 2
    folded = np.empty((tile.rows, 4), np.uint64)
    _, used = take_in(folded, 0, rows, 0, np.zeros(slots, np.int32))
    return folded[:used, 2].astype(np.int64), folded[:used, 3].astype(np.int64)


@borrowing
def position_signature(
    prefix: Prefix,
    long: Words,
    short: Words,
    until: np.uint32,
    market: Market,
    scratch: Scratch,
) -> tuple[Any, Any]:
    """Return the identity of the positions of a variant that trades until bar `until`.

    Variants that differ only in what they would hold once the account is gone trade alike: from
    there on the planes are cleared.
    """
    if until == NEVER and not (prefix.hold or market.delay):
        return product_signature(prefix.long, prefix.short, long, short)
    put_positions(prefix, long, short, market, scratch)
    if until != NEVER:
        clear_from(until, scratch)
    if prefix.hold:
        return holding_signature(scratch)
    return plane_signature(scratch.long[1:], scratch.short[1:])


@kernel
def score_tile(
    longs: Words,
    shorts: Words,
    allowed: Words,
    tile: Tile,
    others: Int64,
    market: Market,
    costs: Costs,
    order: Order,
    found: Found,
    tally: Tally,
) -> tuple[int, int]:
    """Score a tile of base variants without risk levels; return how many were found and scored.

    `longs`, `shorts` are the plane rows uint64[R, W]; `allowed` uint64[2, W] the planes of the
    empty prefix; `others` int64[B, 3] gives row, count and stride of each block that is not
    streamed. `found` has room for one more than the tile; `tally` counts every
    variant.
    """
    words = allowed.shape[1]
    stack = new_stack(tile, others.shape[0], allowed)
    ones = np.full(words, ONES)
    scratch = new_scratch(words)
    recorded = needs_ledger(order)
    ledger = new_ledger(64 * words, len(market.day_ends)) if recorded else new_ledger(0, 0)
    counting = np.stack((ones, ones)) if tile.hold else allowed
    distinct, weights = distinct_rows(longs, shorts, counting, tile, order, scratch)
    scores = new_scores(tile.rows)
    n = 0
    scored = 0
    for prefix in range(tile.prefix_start, tile.prefix_stop):
        prefix_planes, offset = climb(
            stack, prefix, tile, others, longs, shorts, allowed, market.closes.shape[0]
        )
        if recorded:
            score_by_trades(
                prefix_planes, longs, shorts, tile.row, distinct,
                scratch, market, costs, order, ledger, scores,
            )  # fmt: skip
        else:
            score_by_balance(
                prefix_planes, longs, shorts, tile.row, distinct,
                scratch, market, costs, order, scores,
            )  # fmt: skip
        scored += count(tally, order, scores, distinct.shape[0], weights)
        for i in range(distinct.shape[0]):
            m = distinct[i]
            score = Score(
                scores.ruined[i], scores.trades[i], scores.primary[i], scores.secondary[i],
                scores.total_return[i],
            )  # fmt: skip
            after = offer(found, n, order, offset + m * tile.stride, score)
            if after > n:
                found.signature[n, 0], found.signature[n, 1] = position_signature(
                    prefix_planes, longs[tile.row + m], shorts[tile.row + m],
                    scores.until[i], market, scratch,
                )  # fmt: skip
                found.weight[n] = weights[i]
            n = after
    return n, scored
