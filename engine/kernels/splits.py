"""Splits of blocks into halves: the best variant of one half, and its rank in the other.

A split is a mask: bit b is set where block b is in sample. Growth of blocks is a whole number that
adds (int32 holds any sum of the blocks), so nothing here depends on an order.

Every split of every variant would be `blocks` additions. Instead the sums of all subsets of the
first half of the blocks, and of the second, are written down for a tile of variants: any sum is one
of these plus one of those. A tile is as narrow as both tables stay in the cache, and as wide as the
pass over a row is longer than what is done once for it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.compiled import borrowing, kernel, part

Growths = NDArray[np.int32]
Masks = NDArray[np.uint32]
Rows = NDArray[np.int64]
Counts = NDArray[np.int64]

TILE = 256
LEAST = np.int32(-(2**31))


@part
def new_tables(blocks: int) -> tuple[Growths, Growths]:
    """Allocate the sums of all subsets of either half of the blocks: int32[2^(S/2), TILE]."""
    subsets = 1 << (blocks >> 1)
    return np.zeros((subsets, TILE), np.int32), np.zeros((subsets, TILE), np.int32)


@borrowing
def fill_table(table: Growths, growths: Growths, first: Any, width: Any, block: Any) -> None:
    """Write the sums of the subsets of the blocks from `block` on, of rows from `first` on.

    A subset is one with a block less, whose row is known, and the lowest block of the subset.
    """
    bits = growths.shape[1] >> 1
    for bit in range(bits):
        single = 1 << bit
        for i in range(width):
            table[single, i] = growths[first + i, block + bit]
    for subset in range(1, table.shape[0]):
        rest = subset & (subset - 1)
        single = subset ^ rest
        if rest:
            for i in range(width):
                table[subset, i] = np.int32(table[rest, i] + table[single, i])


@borrowing
def highest(left: Growths, right: Growths, low: Any, high: Any, width: Any) -> Any:
    """Return the largest sum of a tile."""
    top = LEAST
    for i in range(width):
        total = np.int32(left[low, i] + right[high, i])
        if total > top:
            top = total
    return top


@borrowing
def below_and_at(
    left: Growths, right: Growths, low: Any, high: Any, width: Any, mark: np.int32
) -> Any:
    """Return how many sums of a tile are less than `mark`, and how many equal it."""
    less, equal = np.int32(0), np.int32(0)
    for i in range(width):
        total = np.int32(left[low, i] + right[high, i])
        less = np.int32(less + np.int32(total < mark))
        equal = np.int32(equal + np.int32(total == mark))
    return less, equal


@kernel
def best_in_sample(growths: Growths, masks: Masks, best: Growths, row: Rows) -> None:
    """Write the largest sum in sample of each split, int32[splits], and the first row that has it.

    `growths` int32[N, S]. Splits that follow each other should share their upper bits.
    """
    variants, blocks = growths.shape
    half = blocks >> 1
    lower = (1 << half) - 1
    left, right = new_tables(blocks)
    best[:] = LEAST
    row[:] = 0
    for first in range(0, variants, TILE):
        width = min(TILE, variants - first)
        fill_table(left, growths, first, width, 0)
        fill_table(right, growths, first, width, half)
        for k in range(masks.shape[0]):
            low, high = np.int64(masks[k]) & lower, np.int64(masks[k]) >> half
            top = highest(left, right, low, high, width)
            if top > best[k]:
                best[k] = top
                at = 0
                while np.int32(left[low, at] + right[high, at]) != top:
                    at += 1
                row[k] = first + at


@kernel
def rank_out_of_sample(
    growths: Growths, masks: Masks, marks: Growths, less: Counts, equal: Counts
) -> None:
    """Count the variants whose sum out of sample is less than the mark of the split, or equals it.

    `growths` int32[N, S]; `marks` int32[splits]; the counts are int64[splits].
    """
    variants, blocks = growths.shape
    half = blocks >> 1
    lower = (1 << half) - 1
    left, right = new_tables(blocks)
    less[:] = 0
    equal[:] = 0
    for first in range(0, variants, TILE):
        width = min(TILE, variants - first)
        fill_table(left, growths, first, width, 0)
        fill_table(right, growths, first, width, half)
        for k in range(masks.shape[0]):
            out = ~np.int64(masks[k])
            low, high = out & lower, (out >> half) & lower
            below, at = below_and_at(left, right, low, high, width, marks[k])
            less[k] += below
            equal[k] += at
