"""Trailing stops: lines that follow the price and wait to be crossed."""

import numpy as np

from engine.compiled import Floats, kernel, part
from engine.indicators.kernels.extremes import highest, lowest
from engine.indicators.kernels.fused import fused_multiply_add
from engine.indicators.kernels.prices import middle_price
from engine.indicators.kernels.rows import ABREAST, window_bounds, windows_of
from engine.indicators.kernels.smoothing import smooth
from engine.indicators.kernels.volatility import true_range

LONG_STOP = 0  # output of the chandelier exit


@kernel
def supertrend(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window, mult. Neighbouring rows of one window share its ATR."""
    high, low, close = inputs
    ranges = true_range(high, low, close)
    bounds = window_bounds(params)
    averages = np.empty((min(ABREAST, bounds.shape[0] - 1), close.shape[0]))
    for start in range(0, bounds.shape[0] - 1, ABREAST):
        runs = bounds[start : start + ABREAST + 1]
        windows = windows_of(params, runs)
        smooth(ranges, 1, windows, True, averages[: windows.shape[0]])
        for k in range(windows.shape[0]):
            for p in range(runs[k], runs[k + 1]):
                _stop_line(high, low, close, averages[k], windows[k], params[p, 1], out[p])


@part
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
        middle = middle_price(high[t], low[t])
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


@kernel
def chandelier_exit(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: window, mult. Neighbouring rows of one window share its extreme and its ATR."""
    high, low, close = inputs
    ranges = true_range(high, low, close)
    extreme = np.empty(close.shape[0])
    bounds = window_bounds(params)
    averages = np.empty((min(ABREAST, bounds.shape[0] - 1), close.shape[0]))
    for start in range(0, bounds.shape[0] - 1, ABREAST):
        runs = bounds[start : start + ABREAST + 1]
        windows = windows_of(params, runs)
        smooth(ranges, 1, windows, True, averages[: windows.shape[0]])
        for k in range(windows.shape[0]):
            if output == LONG_STOP:
                highest(high, windows[k], extreme)
            else:
                lowest(low, windows[k], extreme)
            for p in range(runs[k], runs[k + 1]):
                reach = -params[p, 1] if output == LONG_STOP else params[p, 1]
                for t in range(close.shape[0]):
                    out[p, t] = extreme[t] + reach * averages[k, t]


@kernel
def psar(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: acceleration at the start, its step, its maximum."""
    for p in range(out.shape[0]):
        _parabola(inputs[0], inputs[1], params[p, 0], params[p, 1], params[p, 2], out[p])


@part
def _parabola(
    high: Floats, low: Floats, start: float, step: float, most: float, out: Floats
) -> None:
    """Write Wilder's stop and reverse, from bar 1 on; it never enters the last two bars.

    The step is rounded once, as in TA-Lib: where a price touches the line exactly, the last bit
    decides whether it turns.
    """
    bars = high.shape[0]
    out[0] = np.nan
    if bars == 1:
        return
    down = low[0] - low[1]
    long = not (down > 0.0 and down > high[1] - high[0])
    stop = low[0] if long else high[0]
    best = high[1] if long else low[1]
    speed = start
    for t in range(1, bars):
        top = max(high[t], high[max(t - 1, 1)])
        bottom = min(low[t], low[max(t - 1, 1)])
        if low[t] <= stop if long else high[t] >= stop:
            long = not long
            stop = min(best, bottom) if long else max(best, top)
            best = high[t] if long else low[t]
            speed = start
        out[t] = stop
        if long:
            if high[t] > best:
                best = high[t]
                speed = min(speed + step, most)
            stop = min(fused_multiply_add(speed, best - stop, stop), bottom)
        else:
            if low[t] < best:
                best = low[t]
                speed = min(speed + step, most)
            stop = max(fused_multiply_add(speed, best - stop, stop), top)
