"""Means of windows of a few bars, over series with undefined values."""

import numpy as np

from engine.compiled import Floats, part
from engine.indicators.kernels.windows import equal_runs, rolling_mean

SHORT = 24  # up to this many bars adding up each window from nothing is faster
STRIP = 256  # bars whose sums stay in the nearest cache


@part
def moving_mean(x: Floats, window: int, out: Floats) -> None:
    """Write the mean of x[t - window + 1 .. t] to out[t]; NaN for the windows that hold a NaN.

    Exactly the value on a window of equal ones.
    """
    if window > SHORT:
        rolling_mean(x, equal_runs(x), window, out)
        return
    bars = x.shape[0]
    out[: min(window - 1, bars)] = np.nan
    for start in range(window - 1, bars, STRIP):
        stop = min(start + STRIP, bars)
        _mean_strip(x, window, start, out[start:stop])


@part
def _mean_strip(x: Floats, window: int, start: int, out: Floats) -> None:
    """Write x[t] plus the mean distance to it, which is exactly 0 where all are equal."""
    count = out.shape[0]
    now = x[start : start + count]
    out[:] = 0.0
    for lag in range(1, window):
        before = x[start - lag : start - lag + count]
        for i in range(count):
            out[i] += before[i] - now[i]
    for i in range(count):
        out[i] = now[i] + out[i] / window
