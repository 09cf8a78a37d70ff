"""Statistics of the search: every variant that stage A scores is counted."""

from typing import Any, NamedTuple

import numpy as np

from engine.compiled import inlined
from engine.kernels.account import Int64
from engine.kernels.bits import U0, U63
from engine.kernels.measures import TOTAL_RETURN, Order
from engine.kernels.scoring import Scores
from engine.kernels.signature import float_bits
from engine.outcomes import (
    BEAT_BENCHMARK,
    ELIGIBLE,
    INFINITE,
    KEY_SHIFT,
    PROFITABLE,
    RUINED,
    TRIED,
    UNDEFINED,
)

SHIFT = np.uint64(KEY_SHIFT)
SIGN = np.uint64(1 << 63)


class Tally(NamedTuple):
    """Where one thread counts; sums over threads are the same whatever the division of work."""

    benchmark: float  # total return of buy and hold in percent, NaN if it is not finite
    counts: Int64  # int64[COUNTS]
    returns: Int64  # int64[BINS + 2], total returns by bin, then undefined and infinite ones
    primaries: Int64  # int64[BINS + 2], the primary metric likewise


@inlined
def place(value: float) -> Any:
    """Return where a value is counted: its bin, or one of the two places behind the bins.

    The bin is the top of a key with the order of the numbers: of negative ones all bits are turned
    over, of the others the sign. -0 is 0.
    """
    if np.isfinite(value):
        bits = float_bits(value + 0.0)
        key = ~bits if bits >> U63 != U0 else bits | SIGN
        return np.int64(key >> SHIFT)
    return np.int64(UNDEFINED if value != value else INFINITE)


@inlined
def count(tally: Tally, order: Order, scores: Scores, rows: int, weights: Int64) -> int:
    """Count the first `rows` scores of a prefix, each `weights` times; return the sum.

    Sums are kept aside until the end: an array would be written for every variant.
    """
    tried = eligible = profitable = beat = ruined = 0
    single = order.primary == TOTAL_RETURN  # of which there is one distribution
    for i in range(rows):
        weight = weights[i]
        value = scores.total_return[i]
        tried += weight
        eligible += weight if scores.trades[i] >= order.min_trades else 0
        profitable += weight if value > 0.0 else 0
        beat += weight if value > tally.benchmark else 0
        ruined += weight if scores.ruined[i] else 0
        tally.returns[place(value)] += weight
        if not single:
            tally.primaries[place(scores.primary[i])] += weight
    tally.counts[TRIED] += tried
    tally.counts[ELIGIBLE] += eligible
    tally.counts[PROFITABLE] += profitable
    tally.counts[BEAT_BENCHMARK] += beat
    tally.counts[RUINED] += ruined
    return tried
