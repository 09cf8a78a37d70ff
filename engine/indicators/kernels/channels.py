"""Channels: between the extremes of a window, or around an average."""

import numpy as np

from engine.compiled import Floats, kernel, part
from engine.indicators.kernels.extremes import highest, lowest
from engine.indicators.kernels.prices import hlc3
from engine.indicators.kernels.rows import ABREAST, window_bounds, windows_of
from engine.indicators.kernels.smoothing import smooth
from engine.indicators.kernels.volatility import true_range

MIDDLE, UPPER, LOWER = 0, 1, 2
SPAN_A, SPAN_B, TK_DIFF = 0, 1, 2


@kernel
def donchian(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: window."""
    top = np.empty(out.shape[1])
    for p in range(out.shape[0]):
        window = int(params[p, 0])
        if output == UPPER:
            highest(inputs[0], window, out[p])
        elif output == LOWER:
            lowest(inputs[1], window, out[p])
        else:
            _middle(inputs[0], inputs[1], window, top, out[p])


@part
def _middle(high: Floats, low: Floats, window: int, top: Floats, out: Floats) -> None:
    """Write the middle between highest high and lowest low; `top` is scratch, float64[T]."""
    highest(high, window, top)
    lowest(low, window, out)
    for t in range(out.shape[0]):
        out[t] = (top[t] + out[t]) / 2.0


@kernel
def ichimoku(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: conversion, base, span_b, displacement. Neighbouring rows share what they can."""
    high, low = inputs[0], inputs[1]
    bars = out.shape[1]
    conversion = np.empty(bars)
    line = np.empty(bars)
    top = np.empty(bars)
    for p in range(out.shape[0]):
        row = params[p]
        above = params[max(p - 1, 0)]
        same = p > 0 and row[0] == above[0]
        if output == SPAN_B:
            if p == 0 or row[2] != above[2]:
                _middle(high, low, int(row[2]), top, line)
        else:
            if not same:
                _middle(high, low, int(row[0]), top, conversion)
            if not same or row[1] != above[1]:
                _middle(high, low, int(row[1]), top, line)
                for t in range(bars):
                    if output == SPAN_A:
                        line[t] = (conversion[t] + line[t]) / 2.0
                    else:
                        line[t] = conversion[t] - line[t]
        shift = 0 if output == TK_DIFF else min(int(row[3]), bars)
        out[p, :shift] = np.nan
        out[p, shift:] = line[: bars - shift]


@kernel
def keltner(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: window, mult (not the middle). Neighbouring rows of one window share its series."""
    high, low, close = inputs
    typical = hlc3(high, low, close)
    if output == MIDDLE:
        smooth(typical, 1, params[:, 0].astype(np.int64), False, out)
        return
    sign = 1.0 if output == UPPER else -1.0
    ranges = true_range(high, low, close)
    bounds = window_bounds(params)
    middles = np.empty((min(ABREAST, bounds.shape[0] - 1), close.shape[0]))
    averages = np.empty(middles.shape)
    for start in range(0, bounds.shape[0] - 1, ABREAST):
        runs = bounds[start : start + ABREAST + 1]
        windows = windows_of(params, runs)
        smooth(typical, 1, windows, False, middles[: windows.shape[0]])
        smooth(ranges, 1, windows, True, averages[: windows.shape[0]])
        for k in range(windows.shape[0]):
            for p in range(runs[k], runs[k + 1]):
                reach = sign * params[p, 1]
                for t in range(close.shape[0]):
                    out[p, t] = middles[k, t] + reach * averages[k, t]
