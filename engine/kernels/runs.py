"""Runs of a signal: where positions are opened and closed.

A *run* is a maximal stretch of equal non-neutral signal, which is one trade (bars `entry`..`exit`)
unless the cash is gone or a risk level ends it earlier. Bars are traded-bar numbers; planes hold
bar i in bit i % 64 of word i // 64. They are ANDed with *allowed* planes: the directions
that may be traded, without the last bar's bit. So a run always ends, at the latest on the last bar,
and none starts there.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import borrowing, inlined, part
from engine.kernels.bits import (
    U0,
    U1,
    U63,
    Numbers32,
    Words,
    list_bits,
    list_bits_doubled,
    population,
)

Int64 = NDArray[np.int64]

U2 = np.uint64(2)
WORD_SHIFT, BIT_MASK = np.uint32(6), np.uint32(63)


class Scratch(NamedTuple):
    """Working memory of one variant: W words, at most n runs, and bars of the whole range."""

    long: Words  # uint64[W + 1], word 0 is the neutral time before the first bar
    short: Words
    start_long: Words  # uint64[W], of holdings: bits of bars on which one may be entered
    start_short: Words
    closing_long: Words  # uint64[W], what exit blocks say, while holdings are found
    closing_short: Words
    changes: Words  # uint64[W], bits of bars on which a run ends or starts
    flips: Words  # uint64[W], bits of bars on which one ends and the next one starts
    busy: Numbers32  # uint32[W + 1], numbers of words that are not 0
    events: Numbers32  # uint32[128 W + 64], with room for unconditional writes past the end


@part
def new_scratch(words: int) -> Scratch:
    """Allocate what finding the runs of one variant takes."""
    return Scratch(
        np.zeros(words + 1, np.uint64),
        np.zeros(words + 1, np.uint64),
        np.empty(words, np.uint64),
        np.empty(words, np.uint64),
        np.empty(words, np.uint64),
        np.empty(words, np.uint64),
        np.empty(words, np.uint64),
        np.empty(words, np.uint64),
        np.empty(words + 1, np.uint32),
        np.empty(128 * words + 64, np.uint32),
    )


@inlined
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


@borrowing
def load_variant(
    longs: Words, shorts: Words, allowed: Words, rows: Int64, scratch: Scratch
) -> None:
    """Put the product of the allowed planes and one plane row per block into `scratch`."""
    words = allowed.shape[1]
    for w in range(words):
        long, short = allowed[0, w], allowed[1, w]
        for b in range(rows.shape[0]):
            long &= longs[rows[b], w]
            short &= shorts[rows[b], w]
        scratch.long[w + 1] = long
        scratch.short[w + 1] = short


@inlined
def drop_last_entry(scratch: Scratch, bars: int) -> None:
    """Take away a run that starts on the last bar but one: it would fill at the last open."""
    at = bars - 2
    if at < 0:
        return
    word, bit = (at >> 6) + 1, np.uint64(at & 63)
    for plane in (scratch.long, scratch.short):
        before = ((plane[word] << U1) | (plane[word - 1] >> U63)) >> bit
        plane[word] &= ~((~before & U1) << bit)


@inlined
def mark_edges(scratch: Scratch) -> tuple[np.uint64, np.uint64]:
    """Fill `changes` and `flips`; return the numbers of runs and of changes.

    One branchless pass that LLVM turns into vector code.
    """
    long, short, changes, flips = scratch.long, scratch.short, scratch.changes, scratch.flips
    runs = U0
    changed = U0
    for w in range(changes.shape[0]):
        now_long = long[w + 1]
        now_short = short[w + 1]
        was_long = (now_long << U1) | (long[w] >> U63)
        was_short = (now_short << U1) | (short[w] >> U63)
        start = (now_long & ~was_long) | (now_short & ~was_short)
        end = (was_long & ~now_long) | (was_short & ~now_short)
        changes[w] = start | end
        flips[w] = start & end
        runs += population(start)
        changed += population(start | end)
    return runs, changed


@inlined
def find_runs(scratch: Scratch) -> Any:
    """List the events of the planes in `scratch`; return the number of runs and the step.

    Run k begins at `events[k * step]` and ends at the event after that. The step is 2: entries and
    exits take turns, a bar that is both is there twice. But where every exit except the last is the
    next entry, each bar is there once and the step is 1.
    """
    runs, changed = mark_edges(scratch)
    flips = U2 * runs - changed
    always_in = runs > U1 and flips == runs - U1
    if flips == U0 or always_in:
        list_bits(scratch.changes, changed, scratch.busy, scratch.events)
    else:
        list_bits_doubled(scratch.changes, scratch.flips, scratch.busy, scratch.events)
    return np.int64(runs), U1 if always_in else U2


@borrowing
def find_trades(scratch: Scratch) -> Any:
    """List runs with an exit of their own each, always in steps of 2; return their number."""
    runs, step = find_runs(scratch)
    events = scratch.events
    if step == U1:
        for k in range(runs - 1, -1, -1):
            events[2 * k + 1] = events[k + 1]
            events[2 * k] = events[k]
    return runs


@inlined
def is_long(scratch: Scratch, bar: np.uint32) -> Any:
    """Whether the run that starts on `bar` is long."""
    word = scratch.long[(bar >> WORD_SHIFT) + np.uint32(1)]
    return (word >> np.uint64(bar & BIT_MASK)) & U1 != U0


@inlined
def was_held(scratch: Scratch, bar: np.uint32, long: bool) -> Any:
    """Whether a position of that direction is there on the bar before `bar`."""
    plane = scratch.long if long else scratch.short
    at = bar + BIT_MASK  # the first word is the time before the first bar
    return (plane[at >> WORD_SHIFT] >> np.uint64(at & BIT_MASK)) & U1 != U0
