"""Helpers of the oracles: series with leading NaNs, windows in extended precision."""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def from_first_value(function: Callable[[Floats], Floats], x: Floats) -> Floats:
    """Apply a function to what follows the leading NaNs."""
    result = np.full(x.size, np.nan)
    begin = int(np.isnan(x).sum())
    if begin < x.size:
        result[begin:] = function(x[begin:])
    return result


def any_within(flags: NDArray[np.bool_], window: int) -> NDArray[np.bool_]:
    """Whether any flag is set in the window that ends at each bar."""
    return np.convolve(flags, np.ones(window))[: flags.size] > 0.0


def typical_price(high: Floats, low: Floats, close: Floats) -> Floats:
    """The mean of the three; of equal ones exactly that price."""
    flat = (high == low) & (close == low)
    return np.where(flat, close, (high + low + close) / 3.0)


def band(x: Floats, window: int, mult: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean, lower, upper and deviation of each window: two passes in extended precision."""
    columns = np.full((4, x.size), np.nan)
    if window <= x.size:
        parts = sliding_window_view(x.astype(np.longdouble), window)
        mean = parts.mean(axis=1)
        deviation = np.sqrt(((parts - mean[:, None]) ** 2).mean(axis=1))
        still = (parts == parts[:, :1]).all(axis=1)
        mean[still], deviation[still] = parts[still, 0], 0.0
        rows = mean, mean - mult * deviation, mean + mult * deviation, deviation
        columns[:, window - 1 :] = rows
    return columns[0], columns[1], columns[2], columns[3]
