"""Stage A: a tile of base variants, every one scored without risk levels."""

from typing import NamedTuple

import numpy as np

from engine.compiled import kernel
from engine.kernels.account import Costs, Int64, Market, final_balance, new_ledger
from engine.kernels.bits import Words
from engine.kernels.measures import Found, Order, balance_score, measure, needs_ledger, offer
from engine.kernels.runs import find_runs, find_trades, multiply, new_scratch


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
    base_start: int  # variants outside [base_start, base_stop) are left out
    base_stop: int


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
) -> tuple[int, int]:
    """Score a tile of base variants without risk levels; return how many were found and scored.

    `longs`, `shorts` are the plane rows uint64[R, W]; `allowed` uint64[2, W] the planes of the
    empty prefix; `others` int64[B, 3] gives row, count and stride of each block that is not
    streamed. `found` has room for one more than the tile.
    """
    words = allowed.shape[1]
    depth = others.shape[0]
    # Level d is the product of the first d blocks; it changes when one of their digits does.
    stack_long = np.empty((depth + 1, words), np.uint64)
    stack_short = np.empty((depth + 1, words), np.uint64)
    stack_long[0] = allowed[0]
    stack_short[0] = allowed[1]
    digits = np.full(depth, -1, np.int64)
    scratch = new_scratch(words)
    long, short = scratch.long[1:], scratch.short[1:]
    recorded = needs_ledger(order)
    ledger = new_ledger(64 * words if recorded else 0)
    n = 0
    scored = 0
    for prefix in range(tile.prefix_start, tile.prefix_stop):
        offset = tile.offset
        rest = prefix
        changed = depth
        for d in range(depth - 1, -1, -1):
            digit = rest % others[d, 1]
            rest //= others[d, 1]
            offset += digit * others[d, 2]
            if digit != digits[d]:
                digits[d] = digit
                changed = d
        for d in range(changed, depth):
            row = others[d, 0] + digits[d]
            multiply(
                stack_long[d], stack_short[d], longs[row], shorts[row],
                stack_long[d + 1], stack_short[d + 1],
            )  # fmt: skip
        start = max(0, -((offset - tile.base_start) // tile.stride))
        stop = min(tile.rows, -((offset - tile.base_stop) // tile.stride))
        for m in range(start, stop):
            row = tile.row + m
            multiply(stack_long[depth], stack_short[depth], longs[row], shorts[row], long, short)
            if recorded:
                runs = find_trades(scratch)
                score = measure(scratch, runs, market, costs, order, ledger)
            else:
                runs, step = find_runs(scratch)
                trades, balance, ruined = final_balance(scratch, runs, step, market, costs)
                score = balance_score(order, ruined, trades, balance, costs)
            n = offer(found, n, order, offset + m * tile.stride, score)
            scored += 1
    return n, scored
