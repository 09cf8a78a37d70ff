"""Runs of a signal: where positions are opened and closed.

A *run* is a maximal stretch of equal non-neutral signal, which is one trade (bars `entry`..`exit`)
unless the cash is gone or a risk level ends it earlier. Bars are traded-bar numbers; planes hold
bar i in bit i % 64 of word i // 64. Planes are multiplied by *ground* planes without the last bar's
bit, so a run always ends, at the latest on the last bar, and none starts there.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import inlined, part
from engine.kernels.bits import (
    U0,
    U1,
    U63,
    Numbers32,
    Words,
    list_bits,
    population,
    trailing_zeros,
)

Int64 = NDArray[np.int64]

WORD_SHIFT, BIT_MASK = np.uint32(6), np.uint32(63)


class Scratch(NamedTuple):
    """Working memory of one variant: W words, at most n runs, and bars of the whole range."""

    long: Words  # uint64[W + 1], word 0 is the neutral time before the first bar
    short: Words
    starts: Words  # uint64[W], bits of bars on which a run starts
    ends: Words  # uint64[W]
    busy: Numbers32  # uint32[W + 1], numbers of words that are not 0
    entry: Numbers32  # uint32[64 W + 64], with room for unconditional writes past the end
    exit: Numbers32


@part
def new_scratch(words: int) -> Scratch:
    """Allocate what finding the runs of one variant takes."""
    room = 64 * words + 64
    return Scratch(
        np.zeros(words + 1, np.uint64),
        np.zeros(words + 1, np.uint64),
        np.empty(words, np.uint64),
        np.empty(words, np.uint64),
        np.empty(words + 1, np.uint32),
        np.empty(room, np.uint32),
        np.empty(room, np.uint32),
    )


@part
def multiply(
    long: Words,
    short: Words,
    factor_long: Words,
    factor_short: Words,
    out_long: Words,
    out_short: Words,
) -> None:
    """Write the AND of two pairs of planes."""
    for w in range(long.shape[0]):
        out_long[w] = long[w] & factor_long[w]
        out_short[w] = short[w] & factor_short[w]


@part
def load_variant(longs: Words, shorts: Words, ground: Words, rows: Int64, scratch: Scratch) -> None:
    """Put the product of the ground planes and one plane row per block into `scratch`."""
    words = ground.shape[1]
    for w in range(words):
        long, short = ground[0, w], ground[1, w]
        for b in range(rows.shape[0]):
            long &= longs[rows[b], w]
            short &= shorts[rows[b], w]
        scratch.long[w + 1] = long
        scratch.short[w + 1] = short


@part
def mark_edges(scratch: Scratch) -> tuple[np.uint64, np.uint64]:
    """Fill `starts` and `ends`; return the number of runs and of bars on which anything changes.

    One branchless pass that LLVM turns into vector code.
    """
    long, short, starts, ends = scratch.long, scratch.short, scratch.starts, scratch.ends
    runs = U0
    changes = U0
    for w in range(starts.shape[0]):
        now_long = long[w + 1]
        now_short = short[w + 1]
        was_long = (now_long << U1) | (long[w] >> U63)
        was_short = (now_short << U1) | (short[w] >> U63)
        start = (now_long & ~was_long) | (now_short & ~was_short)
        end = (was_long & ~now_long) | (was_short & ~now_short)
        starts[w] = start
        ends[w] = end
        runs += population(start)
        changes += population(start | end)
    return runs, changes


@part
def find_runs(scratch: Scratch) -> Any:
    """List entry and exit bars of the planes in `scratch`; return the number of runs."""
    runs, changes = mark_edges(scratch)
    if runs == U0:
        return 0
    starts, ends, entry, exit_ = scratch.starts, scratch.ends, scratch.entry, scratch.exit
    list_bits(starts, runs, scratch.busy, entry)
    if changes == runs + U1:
        # Always in the market: every exit but the last is the next entry.
        for k in range(np.int64(runs) - 1):
            exit_[k] = entry[k + 1]
        w = starts.shape[0] - 1
        while ends[w] & ~starts[w] == U0:
            w -= 1
        last = trailing_zeros(ends[w] & ~starts[w])
        exit_[np.int64(runs) - 1] = np.uint32(64 * w) + np.uint32(last)
    else:
        list_bits(ends, runs, scratch.busy, exit_)
    return np.int64(runs)


@inlined
def is_long(scratch: Scratch, bar: np.uint32) -> Any:
    """Whether the run that starts on `bar` is long."""
    word = scratch.long[(bar >> WORD_SHIFT) + np.uint32(1)]
    return (word >> np.uint64(bar & BIT_MASK)) & U1 != U0
