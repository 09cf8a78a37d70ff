"""Comparisons of a series packed into bit planes: bit i % 64 of word i // 64 is bar i."""

from enum import IntEnum

import numpy as np

from engine.compiled import Floats, Ints, Words, kernel


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


@kernel
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


@kernel
def _pack_above(x: Floats, level: float, out: Words) -> None:
    words = x.shape[0] // 64
    for word in range(words):
        out[word] = _bits_above(x, level, word * 64, 64)
    if x.shape[0] % 64:
        out[words] = _bits_above(x, level, words * 64, x.shape[0] % 64)


@kernel
def _pack_below(x: Floats, level: float, out: Words) -> None:
    words = x.shape[0] // 64
    for word in range(words):
        out[word] = _bits_below(x, level, word * 64, 64)
    if x.shape[0] % 64:
        out[words] = _bits_below(x, level, words * 64, x.shape[0] % 64)


@kernel
def _pack_greater(left: Floats, right: Floats, out: Words) -> None:
    words = left.shape[0] // 64
    for word in range(words):
        out[word] = _bits_greater(left, right, word * 64, 64)
    if left.shape[0] % 64:
        out[words] = _bits_greater(left, right, words * 64, left.shape[0] % 64)


@kernel
def _bits_above(x: Floats, level: float, start: int, count: int) -> np.uint64:
    bits = np.uint64(0)
    for bit in range(count):
        bits |= np.uint64(x[start + bit] > level) << np.uint64(bit)
    return bits


@kernel
def _bits_below(x: Floats, level: float, start: int, count: int) -> np.uint64:
    bits = np.uint64(0)
    for bit in range(count):
        bits |= np.uint64(x[start + bit] < level) << np.uint64(bit)
    return bits


@kernel
def _bits_greater(left: Floats, right: Floats, start: int, count: int) -> np.uint64:
    bits = np.uint64(0)
    for bit in range(count):
        bits |= np.uint64(left[start + bit] > right[start + bit]) << np.uint64(bit)
    return bits
