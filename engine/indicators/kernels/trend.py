"""Trend following."""

import numpy as np

from engine.compiled import Floats, kernel
from engine.indicators.kernels.volatility import average_true_ranges


@kernel
def supertrend(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window, mult. Neighbouring rows of one window share its ATR."""
    high, low, close = inputs
    first_rows = [0]
    for p in range(1, out.shape[0]):
        if params[p, 0] != params[p - 1, 0]:
            first_rows.append(p)
    windows = np.empty(len(first_rows), np.int64)
    for k in range(len(first_rows)):
        windows[k] = int(params[first_rows[k], 0])
    ranges = np.empty((len(first_rows), close.shape[0]))
    average_true_ranges(high, low, close, windows, ranges)
    k = 0
    for p in range(out.shape[0]):
        if k + 1 < len(first_rows) and p == first_rows[k + 1]:
            k += 1
        _stop_line(high, low, close, ranges[k], windows[k], params[p, 1], out[p])


@kernel
def _stop_line(
    high: Floats, low: Floats, close: Floats, atr: Floats, first: int, mult: float, out: Floats
) -> None:
    """Write the band on the losing side of the trend, which turns when a close crosses it."""
    bars = close.shape[0]
    out[: min(first, bars)] = np.nan
    upper = np.inf
    lower = -np.inf
    up = True
    for t in range(first, bars):
        middle = (high[t] + low[t]) / 2.0
        before = close[t - 1]
        band = middle + mult * atr[t]
        if band < upper or before > upper:
            upper = band
        band = middle - mult * atr[t]
        if band > lower or before < lower:
            lower = band
        if t == first:
            up = True
        elif up:
            up = close[t] >= lower
        else:
            up = close[t] > upper
        out[t] = lower if up else upper
