"""Positions that are held through neutral signals until something closes them.

A long *starts* on the first of the bars on which all entry blocks say LONG, and is held until a
*reset*: an exit block, or all entry blocks, say SHORT. A start on a reset is lost. Shorts mirror
this. While a position is held its starts change nothing; after a stop the next one opens again.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.compiled import borrowing, inlined, part
from engine.kernels.account import Int64
from engine.kernels.bits import U0, U1, U63, Words, trailing_zeros
from engine.kernels.runs import BIT_MASK, Scratch, multiply
from engine.kernels.signature import S0, S1, absorb, plane_signature, seal

ONES = np.uint64(0xFFFFFFFFFFFFFFFF)


class Prefix(NamedTuple):
    """What the blocks that are not streamed say together, uint64[W] each: entries AND, exits OR."""

    long: Words
    short: Words
    exit_long: Words
    exit_short: Words
    allowed: Words  # uint64[2, W], where positions may start
    hold: bool
    exits: bool  # whether the streamed block closes
    bars: int
    pause: int  # bars after a liquidation on which nothing is entered


def _add_carry(_typing: Any, _a: Any, _b: Any, _carry: Any) -> Any:
    """Return the sum of two uint64 and a carry of 0 or 1, and the carry out of it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = builder.uadd_with_overflow(args[0], args[1])
        second = builder.uadd_with_overflow(builder.extract_value(first, 0), args[2])
        over = builder.or_(builder.extract_value(first, 1), builder.extract_value(second, 1))
        carry = builder.zext(over, ir.IntType(64))
        both = (builder.extract_value(second, 0), carry)
        return context.make_tuple(builder, signature.return_type, both)

    both = types.UniTuple(types.uint64, 2)  # type: ignore[no-untyped-call]
    return both(types.uint64, types.uint64, types.uint64), codegen


add_carry: Any = intrinsic(_add_carry)


@inlined
def combine(
    long: Words,
    short: Words,
    more_long: Words,
    more_short: Words,
    out_long: Words,
    out_short: Words,
) -> None:
    """Write the OR of two pairs of planes."""
    for w in range(long.shape[0]):
        out_long[w] = long[w] | more_long[w]
        out_short[w] = short[w] | more_short[w]


@inlined
def mark_starts(asked: Words, keep: Words, allowed: Words, out: Words) -> None:
    """Write the bars on which a side is asked for anew, may start and is not reset.

    `asked` uint64[W + 1] has a word before the first bar.
    """
    for w in range(out.shape[0]):
        now = asked[w + 1]
        before = (now << U1) | (asked[w] >> U63)
        out[w] = now & ~before & keep[w] & allowed[w]


@inlined
def carry_on(keep: Words, start: Words, held: Words) -> None:
    """Write what one side holds: an addition carries a start through all bars that keep it."""
    carry = U0
    for w in range(start.shape[0]):
        total, carry = add_carry(keep[w], start[w], carry)
        held[w + 1] = (keep[w] & ~total) | start[w]


@borrowing
def latch(exit_long: Words, exit_short: Words, allowed: Words, bars: int, scratch: Scratch) -> None:
    """Turn what entry blocks ask for, in the planes of `scratch`, into what is held.

    `exit_long` and `exit_short` are what any exit block says. All but the additions are loops over
    few planes, which LLVM turns into vector code. A side that is not traded costs nothing more.
    """
    held_long, held_short = scratch.long, scratch.short
    keep_long, keep_short = scratch.changes, scratch.flips  # not in use before runs are looked for
    start_long, start_short = scratch.start_long, scratch.start_short
    for w in range(start_long.shape[0]):
        keep_long[w] = ~(exit_short[w] | held_short[w + 1])
        keep_short[w] = ~(exit_long[w] | held_long[w + 1])
    may_long, may_short = allowed[0, 0] != U0, allowed[1, 0] != U0
    if may_long:
        mark_starts(held_long, keep_long, allowed[0], start_long)
    if may_short:
        mark_starts(held_short, keep_short, allowed[1], start_short)
    if may_long and may_short:
        carry_both(scratch)
    elif may_long:
        carry_on(keep_long, start_long, held_long)
    elif may_short:
        carry_on(keep_short, start_short, held_short)
    if not may_long:
        held_long[1:] = U0
        start_long[:] = U0
    if not may_short:
        held_short[1:] = U0
        start_short[:] = U0
    # The last bar opens nothing and closes everything.
    last = bars - 1
    word, before_last = (last >> 6) + 1, (U1 << np.uint64(last & 63)) - U1
    held_long[word] &= before_last
    held_short[word] &= before_last


@inlined
def carry_both(scratch: Scratch) -> None:
    """Write what both sides hold: two chains of additions at once."""
    keep_long, start_long, held_long = scratch.changes, scratch.start_long, scratch.long
    keep_short, start_short, held_short = scratch.flips, scratch.start_short, scratch.short
    carry_long, carry_short = U0, U0
    for w in range(start_long.shape[0]):
        sum_long, carry_long = add_carry(keep_long[w], start_long[w], carry_long)
        sum_short, carry_short = add_carry(keep_short[w], start_short[w], carry_short)
        held_long[w + 1] = (keep_long[w] & ~sum_long) | start_long[w]
        held_short[w + 1] = (keep_short[w] & ~sum_short) | start_short[w]


@borrowing
def hold_row(prefix: Prefix, long: Words, short: Words, scratch: Scratch) -> None:
    """Put what a row of the streamed block and a prefix hold into `scratch`."""
    asked_long, asked_short = scratch.long[1:], scratch.short[1:]
    if prefix.exits:
        combine(prefix.long, prefix.short, prefix.long, prefix.short, asked_long, asked_short)
        closing_long, closing_short = scratch.closing_long, scratch.closing_short
        combine(prefix.exit_long, prefix.exit_short, long, short, closing_long, closing_short)
        latch(closing_long, closing_short, prefix.allowed, prefix.bars, scratch)
    else:
        multiply(prefix.long, prefix.short, long, short, asked_long, asked_short)
        latch(prefix.exit_long, prefix.exit_short, prefix.allowed, prefix.bars, scratch)


@borrowing
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
    asked_long, asked_short = scratch.long[1:], scratch.short[1:]
    closing_long, closing_short = scratch.closing_long, scratch.closing_short
    asked_long[:] = ONES
    asked_short[:] = ONES
    closing_long[:] = U0
    closing_short[:] = U0
    for b in range(rows.shape[0]):
        long, short = longs[rows[b]], shorts[rows[b]]
        if b < entries:
            multiply(asked_long, asked_short, long, short, asked_long, asked_short)
        else:
            combine(closing_long, closing_short, long, short, closing_long, closing_short)
    latch(closing_long, closing_short, allowed, bars, scratch)


@borrowing
def holding_signature(scratch: Scratch) -> tuple[Any, Any]:
    """Return the identity of what is held and of all starts: with a stop, these trade too."""
    s, t = plane_signature(scratch.long[1:], scratch.short[1:])
    s, t = absorb(S0, S1, s, t)  # or it would be undone where all holdings are of one bar
    more_s, more_t = plane_signature(scratch.start_long, scratch.start_short)
    s, t = absorb(s, t, more_s, more_t)
    return seal(s, t, scratch.start_long.shape[0])


@part
def list_starts(scratch: Scratch, holdings: int) -> int:
    """Replace the holdings that are listed in steps of 2 by all starts; return their number.

    Each comes with the bar on which its holding ends.
    """
    ends = scratch.events[1 : 2 * holdings : 2].copy()
    events, start_long, start_short = scratch.events, scratch.start_long, scratch.start_short
    n = np.int64(0)
    k = 0
    for w in range(start_long.shape[0]):
        bits = start_long[w] | start_short[w]
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
    scratch.start_long[word] &= kept
    scratch.start_short[word] &= kept
    scratch.start_long[word + 1 :] = U0
    scratch.start_short[word + 1 :] = U0
