"""Comparisons and signals packed into bit planes: bit i % 64 of word i // 64 is bar i."""

from enum import IntEnum

import numpy as np

from engine.compiled import Floats, Ints, Signals, Words, inlined, kernel, part


class Test(IntEnum):
    """What a comparison asks of the value x[t]; `level` and `lag` are its parameters."""

    ABOVE = 0  # x > level
    BELOW = 1  # x < level
    UNDER_REFERENCE = 2  # reference > x
    OVER_REFERENCE = 3  # reference < x
    RISEN = 4  # x[t] > x[t - lag]
    FALLEN = 5  # x[t] < x[t - lag]
    ABOVE_AND_UP = 6  # x > level and reference > 0
    ABOVE_AND_DOWN = 7  # x > level and reference < 0


BELOW, UNDER_REFERENCE, OVER_REFERENCE, RISEN, FALLEN, ABOVE_AND_UP, ABOVE_AND_DOWN = range(1, 8)


@kernel
def pack_block(
    values: Floats,
    first: int,
    reference: Floats,
    tests: Ints,
    levels: Floats,
    lags: Ints,
    long_of: Ints,
    short_of: Ints,
    long: Words,
    short: Words,
    base: Ints,
) -> None:
    """Write the planes of all signal variants of some indicator series.

    values: float64[P, T], reference: float64[T]; bars from `first` on are traded. Comparison u is
    tests[u] with levels[u] and lags[u]; signal variant s is LONG where comparison long_of[s] holds
    and SHORT where short_of[s] holds, but neither where both do. Its planes for series p go to row
    base[p] + s of `long` and `short` (uint64[..., W]).
    """
    traded = reference[first:]
    held = np.empty((tests.shape[0], long.shape[1]), np.uint64)
    for p in range(values.shape[0]):
        for u in range(tests.shape[0]):
            _pack_test(values[p], first, traded, tests[u], levels[u], lags[u], held[u])
        for s in range(long_of.shape[0]):
            ups = held[long_of[s]]
            downs = held[short_of[s]]
            row = base[p] + s
            for word in range(held.shape[1]):
                up = ups[word]
                down = downs[word]
                long[row, word] = up & ~down
                short[row, word] = down & ~up


@kernel
def pack_signals(signals: Signals, first: int, long: Words, short: Words, base: Ints) -> int:
    """Write the planes of signals that are known already, int8[P, T]: 1 LONG, -1 SHORT, 0 neither.

    Those of series p go to row base[p] of `long` and `short` (uint64[..., W]). Returns how many
    series hold no other number: behind it the planes are not all written.
    """
    for p in range(signals.shape[0]):
        low, high = np.int8(0), np.int8(0)
        for signal in signals[p]:
            low, high = min(low, signal), max(high, signal)
        if low < -1 or high > 1:
            return p
        traded = signals[p, first:]
        words = traded.shape[0] // 64
        for word in range(words):
            long[base[p], word], short[base[p], word] = _bits_of(traded[word * 64 :], 64)
        if traded.shape[0] % 64:
            last = _bits_of(traded[words * 64 :], traded.shape[0] % 64)
            long[base[p], words], short[base[p], words] = last
    return len(signals)


@inlined
def _bits_of(signals: Signals, count: int) -> tuple[np.uint64, np.uint64]:
    up, down = np.uint64(0), np.uint64(0)
    for bit in range(count):
        up |= np.uint64(signals[bit] > 0) << np.uint64(bit)
        down |= np.uint64(signals[bit] < 0) << np.uint64(bit)
    return up, down


@part
def _pack_test(
    series: Floats, first: int, reference: Floats, test: int, level: float, lag: int, out: Words
) -> None:
    x = series[first:]
    if test == UNDER_REFERENCE:
        _pack_greater(reference, x, out)
    elif test == OVER_REFERENCE:
        _pack_greater(x, reference, out)
    elif test == RISEN:
        _pack_greater(x, _lagged(series, first, lag), out)
    elif test == FALLEN:
        _pack_greater(_lagged(series, first, lag), x, out)
    elif test == BELOW:
        _pack_below(x, level, out)
    else:
        _pack_above(x, level, out)
        if test in (ABOVE_AND_UP, ABOVE_AND_DOWN):
            moved = np.empty_like(out)
            if test == ABOVE_AND_UP:
                _pack_above(reference, 0.0, moved)
            else:
                _pack_below(reference, 0.0, moved)
            for word in range(out.shape[0]):
                out[word] &= moved[word]


@part
def _lagged(series: Floats, first: int, lag: int) -> Floats:
    """Return series[t - lag] for the traded bars, NaN where there is no such bar."""
    if lag <= first:
        return series[first - lag : series.shape[0] - lag]
    result = np.empty(series.shape[0] - first)
    missing = min(lag - first, result.shape[0])
    result[:missing] = np.nan
    for i in range(missing, result.shape[0]):
        result[i] = series[first + i - lag]
    return result


@part
def _pack_above(x: Floats, level: float, out: Words) -> None:
    words = x.shape[0] // 64
    for word in range(words):
        out[word] = _bits_above(x, level, word * 64, 64)
    if x.shape[0] % 64:
        out[words] = _bits_above(x, level, words * 64, x.shape[0] % 64)


@part
def _pack_below(x: Floats, level: float, out: Words) -> None:
    words = x.shape[0] // 64
    for word in range(words):
        out[word] = _bits_below(x, level, word * 64, 64)
    if x.shape[0] % 64:
        out[words] = _bits_below(x, level, words * 64, x.shape[0] % 64)


@part
def _pack_greater(left: Floats, right: Floats, out: Words) -> None:
    words = left.shape[0] // 64
    for word in range(words):
        out[word] = _bits_greater(left, right, word * 64, 64)
    if left.shape[0] % 64:
        out[words] = _bits_greater(left, right, words * 64, left.shape[0] % 64)


@part
def _bits_above(x: Floats, level: float, start: int, count: int) -> np.uint64:
    bits = np.uint64(0)
    for bit in range(count):
        bits |= np.uint64(x[start + bit] > level) << np.uint64(bit)
    return bits


@part
def _bits_below(x: Floats, level: float, start: int, count: int) -> np.uint64:
    bits = np.uint64(0)
    for bit in range(count):
        bits |= np.uint64(x[start + bit] < level) << np.uint64(bit)
    return bits


@part
def _bits_greater(left: Floats, right: Floats, start: int, count: int) -> np.uint64:
    bits = np.uint64(0)
    for bit in range(count):
        bits |= np.uint64(left[start + bit] > right[start + bit]) << np.uint64(bit)
    return bits
