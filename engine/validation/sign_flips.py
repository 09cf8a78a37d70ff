"""Bars without an edge that are like the bars of a search: returns by random signs.

A bar's *ratios* are its open, high, low and close divided by the close before it, and g is the mean
growth of the traded bars: the logarithm of the last close over the close before them, by the number
of bars. Each bar keeps its ratios or, with the same chance, has those that lie as far
on the other side of the mean: the logarithm x of a ratio becomes 2 g − x. So the ratio r becomes
exp(2 g) / r, and high and low change places. Sizes of moves, and when they come, remain; so does
volume; which way a move goes can no longer be known from what was before it.

A rotation or a shuffle of returns is no such thing: volatility comes in spells, and signals that
are timed by volatility would then meet other moves than those they were timed by.

Signs are of a seed and the number of a draw, never of the candles. All else is products and
quotients, which are rounded alike on every machine; and rounding keeps order, so high and low
enclose open and close as before.

Edge cases: the first bar stays, for there is no close before it. A bar that was filled repeats the
close before it in each draw, as it is no observation. Bars of the warm-up are drawn like others.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.candles import Candles
from engine.validation.seeding import words

Bools = NDArray[np.bool_]
Float64 = NDArray[np.float64]

_TOP_BIT = np.uint64(63)


def without_edge(candles: Candles, seed: int, draw: int) -> Candles:
    """Return bars of the same times whose moves have random signs, the same for the same draw."""
    before = candles.close[:-1]
    flips = _flips(candles, seed, draw)
    middle = math.exp(2.0 * _mean_growth(candles))

    def ratios(column: Float64, mirrored: Float64) -> Float64:
        return np.where(flips, middle / (mirrored[1:] / before), column[1:] / before)

    steps = np.concatenate((candles.close[:1], ratios(candles.close, candles.close)))

    def prices(column: Float64, mirrored: Float64) -> Float64:
        return np.concatenate((column[:1], ratios(column, mirrored) * close[:-1]))

    with np.errstate(over="ignore"):
        close: Float64 = np.cumprod(steps, dtype=np.float64)
        return replace(
            candles,
            open=prices(candles.open, candles.open),
            high=prices(candles.high, candles.low),
            low=prices(candles.low, candles.high),
            close=close,
        )


def tradable(candles: Candles) -> bool:
    """Tell whether no price of a draw has left what floating-point numbers can hold."""
    prices = (candles.open, candles.high, candles.low, candles.close)
    return all(bool(np.isfinite(price).all() and (price > 0.0).all()) for price in prices)


def _flips(candles: Candles, seed: int, draw: int) -> Bools:
    """Return bool[T - 1]: which bars, from the second on, have the opposite sign."""
    drawn = words(seed, f"signs of draw {draw}", len(candles.close)) >> _TOP_BIT == 1
    drawn[candles.filled] = False
    return np.asarray(drawn[1:])


def _mean_growth(candles: Candles) -> float:
    """Return g; 0 where one bar is traded and nothing is before it."""
    traded = len(candles.close) - max(1, candles.first)
    steps = traded - int(np.count_nonzero(candles.filled >= max(1, candles.first)))
    if steps < 1:
        return 0.0
    start = max(0, candles.first - 1)
    return math.log(float(candles.close[-1]) / float(candles.close[start])) / steps
