"""Positions that are held through neutral signals until something closes them.

A long *starts* on the first of the bars on which all entry blocks say LONG, and is held until a
*reset*: an exit block, or all entry blocks, say SHORT. A start on a reset is lost. Shorts mirror
this. While a position is held its starts change nothing; after a stop the next one opens again.
"""

from typing import Any, NamedTuple

import numpy as np

from engine.compiled import borrowing, part
from engine.kernels.account import Int64
from engine.kernels.bits import U0, U1, U63, Words, trailing_zeros
from engine.kernels.runs import BIT_MASK, Scratch
from engine.kernels.signature import absorb, plane_signature, seal

ONES = np.uint64(0xFFFFFFFFFFFFFFFF)


class Prefix(NamedTuple):
    """What the blocks that are not streamed say together, uint64[W] each, and how it is combined.

    Entry blocks are ANDed, exit blocks ORed. `ones` and `zeros` say nothing in either way.
    """

    long: Words
    short: Words
    exit_long: Words
    exit_short: Words
    ones: Words
    zeros: Words
    allowed: Words  # uint64[2, W], where positions may start
    hold: bool
    exits: bool  # whether the streamed block closes
    bars: int


@borrowing
def latch(
    long: Words,
    short: Words,
    factor_long: Words,
    factor_short: Words,
    exit_long: Words,
    exit_short: Words,
    more_long: Words,
    more_short: Words,
    allowed: Words,
    bars: int,
    scratch: Scratch,
) -> None:
    """Write what is held, and where it may start, to the planes of `scratch`.

    Entries are `long & factor_long`, exits `exit_long | more_long`, shorts likewise. An addition
    carries a start through all bars that do not reset it, as far as the next word.
    """
    held_long, held_short, starts = scratch.long, scratch.short, scratch.starts
    before_long, before_short = U0, U0
    carry_long, carry_short = U0, U0
    for w in range(starts.shape[0]):
        now_long = long[w] & factor_long[w]
        now_short = short[w] & factor_short[w]
        keep_long = ~(exit_short[w] | more_short[w] | now_short)
        keep_short = ~(exit_long[w] | more_long[w] | now_long)
        start_long = now_long & ~((now_long << U1) | before_long) & keep_long & allowed[0, w]
        start_short = now_short & ~((now_short << U1) | before_short) & keep_short & allowed[1, w]
        before_long, before_short = now_long >> U63, now_short >> U63
        sum_long = keep_long + start_long
        over_long = np.uint64(sum_long < keep_long)
        sum_long += carry_long
        carry_long = over_long | np.uint64(sum_long < carry_long)
        sum_short = keep_short + start_short
        over_short = np.uint64(sum_short < keep_short)
        sum_short += carry_short
        carry_short = over_short | np.uint64(sum_short < carry_short)
        held_long[w + 1] = (keep_long & ~sum_long) | start_long
        held_short[w + 1] = (keep_short & ~sum_short) | start_short
        starts[w] = start_long | start_short
    # The last bar opens nothing and closes everything.
    last = bars - 1
    word, before_last = (last >> 6) + 1, (U1 << np.uint64(last & 63)) - U1
    held_long[word] &= before_last
    held_short[word] &= before_last


@borrowing
def hold_row(prefix: Prefix, long: Words, short: Words, scratch: Scratch) -> None:
    """Put what a row of the streamed block and a prefix hold into `scratch`."""
    if prefix.exits:
        latch(
            prefix.long, prefix.short, prefix.ones, prefix.ones, prefix.exit_long,
            prefix.exit_short, long, short, prefix.allowed, prefix.bars, scratch,
        )  # fmt: skip
    else:
        latch(
            prefix.long, prefix.short, long, short, prefix.exit_long,
            prefix.exit_short, prefix.zeros, prefix.zeros, prefix.allowed, prefix.bars, scratch,
        )  # fmt: skip


@part
def hold_variant(
    longs: Words,
    shorts: Words,
    allowed: Words,
    rows: Int64,
    entries: int,
    bars: int,
    scratch: Scratch,
) -> None:
    """Put what one plane row per block holds into `scratch`; the first `entries` rows open."""
    words = allowed.shape[1]
    long, short = np.full(words, ONES), np.full(words, ONES)
    exit_long, exit_short = np.zeros(words, np.uint64), np.zeros(words, np.uint64)
    for b in range(rows.shape[0]):
        row = rows[b]
        for w in range(words):
            if b < entries:
                long[w] &= longs[row, w]
                short[w] &= shorts[row, w]
            else:
                exit_long[w] |= longs[row, w]
                exit_short[w] |= shorts[row, w]
    latch(
        long, short, long, short, exit_long, exit_short, exit_long, exit_short,
        allowed, bars, scratch,
    )  # fmt: skip


@borrowing
def holding_signature(scratch: Scratch) -> tuple[Any, Any]:
    """Return the identity of what is held and of all starts: with a stop, these trade too."""
    s, t = plane_signature(scratch.long[1:], scratch.short[1:])
    more_s, more_t = plane_signature(scratch.starts, scratch.starts)
    s, t = absorb(s, t, more_s, more_t)
    return seal(s, t, scratch.starts.shape[0])


@part
def list_starts(scratch: Scratch, holdings: int) -> int:
    """Replace the holdings that are listed in steps of 2 by all starts; return their number.

    Each comes with the bar on which its holding ends.
    """
    ends = scratch.events[1 : 2 * holdings : 2].copy()
    events, starts = scratch.events, scratch.starts
    n = np.int64(0)
    k = 0
    for w in range(starts.shape[0]):
        bits = starts[w]
        while bits != U0:
            bar = np.uint32(64 * w) + np.uint32(trailing_zeros(bits))
            bits &= bits - U1
            while bar >= ends[k]:
                k += 1
            events[2 * n] = bar
            events[2 * n + 1] = ends[k]
            n += 1
    return int(n)


@borrowing
def clear_from(bar: np.uint32, scratch: Scratch) -> None:
    """Clear the planes from a bar on: what an account would hold that is gone."""
    word = np.int64(bar >> np.uint32(6))
    kept = (U1 << np.uint64(bar & BIT_MASK)) - U1
    scratch.long[word + 1] &= kept
    scratch.short[word + 1] &= kept
    scratch.long[word + 2 :] = U0
    scratch.short[word + 2 :] = U0
    scratch.starts[word] &= kept
    scratch.starts[word + 1 :] = U0
