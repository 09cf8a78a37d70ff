"""Helpers of the oracles: series with leading NaNs, windows in extended precision."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def from_first_value(function: Callable[[Floats], Floats], x: Floats) -> Floats:
    """Apply a function to what follows the leading NaNs."""
    result = np.full(x.size, np.nan)
    begin = int(np.isnan(x).sum())
    if begin < x.size:
        result[begin:] = function(x[begin:])
    return result


def typical_price(high: Floats, low: Floats, close: Floats) -> Floats:
    """The mean of the three; of equal ones exactly that price."""
    flat = (high == low) & (close == low)
    return np.where(flat, close, (high + low + close) / 3.0)


def band(x: Floats, window: int, mult: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean, lower, upper and deviation of each window: two passes in extended precision."""
    columns = np.full((4, x.size), np.nan)
    for t in range(window - 1, x.size):
        part = x[t - window + 1 : t + 1].astype(np.longdouble)
        mean = part.mean()
        deviation = np.sqrt(((part - mean) ** 2).mean())
        if (part == part[0]).all():
            mean, deviation = part[0], np.longdouble(0.0)
        columns[:, t] = mean, mean - mult * deviation, mean + mult * deviation, deviation
    return columns[0], columns[1], columns[2], columns[3]
