"""Where a price stands in the range of a window: Williams %R, stochastics, Fisher transform."""

import math

import numpy as np

from engine.compiled import Floats, Ints, kernel, part
from engine.indicators.kernels.extremes import highest, lowest
from engine.indicators.kernels.momentum import relative_strength
from engine.indicators.kernels.prices import hl2
from engine.indicators.kernels.short_windows import moving_mean

K = 0  # output of both stochastics
SATURATED = 99.0  # of an RSI
SCRATCH = 64  # RSI series held at a time, each float64[T]
LARGE = 0.99  # the Fisher transform is infinite at 1: what is beyond this ...
LARGEST = 0.999  # ... counts as this


@kernel
def williams_r(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    high, low, close = inputs
    top = np.empty(close.shape[0])
    for p in range(out.shape[0]):
        highest(high, int(params[p, 0]), top)
        lowest(low, int(params[p, 0]), out[p])
        for t in range(close.shape[0]):
            out[p, t] = 100.0 * ((close[t] - top[t]) / (top[t] - out[p, t]))


@kernel
def stoch(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: k, smoothing, d (output d only). Neighbouring rows share what they can."""
    high, low, close = inputs
    windows = params.astype(np.int64)
    raw = np.empty(close.shape[0])
    smoothed = np.empty(close.shape[0])
    top = np.empty(close.shape[0])
    for p in range(out.shape[0]):
        same = 0 if p == 0 else _agreement(windows[p - 1], windows[p])
        if same < 1:
            _position(high, low, close, windows[p, 0], top, raw)
        _smooth(raw, windows[p, 1:], same < 2, output, smoothed, out[p])


@kernel
def stoch_rsi(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: rsi, k, smoothing, d (output d only). The rows of a call share RSI series."""
    x = inputs[0]
    windows = params.astype(np.int64)
    raw = np.empty(x.shape[0])
    smoothed = np.empty(x.shape[0])
    start = 0
    while start < out.shape[0]:
        stop = out.shape[0]
        lengths = np.unique(windows[start:stop, 0].copy())
        while lengths.shape[0] > SCRATCH:
            stop = start + (stop - start) // 2
            lengths = np.unique(windows[start:stop, 0].copy())
        strengths = np.empty((lengths.shape[0], x.shape[0]))
        relative_strength(x, lengths, strengths)
        for p in range(start, stop):
            same = 0 if p == start else _agreement(windows[p - 1], windows[p])
            if same < 2:
                strength = strengths[np.searchsorted(lengths, windows[p, 0])]
                _position_of_rsi(x, strength, windows[p, :2], raw)
            _smooth(raw, windows[p, 2:], same < 3, output, smoothed, out[p])
        start = stop


@kernel
def fisher(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    middle = hl2(inputs[0], inputs[1])
    top = np.empty(middle.shape[0])
    for p in range(out.shape[0]):
        window = int(params[p, 0])
        highest(middle, window, top)
        lowest(middle, window, out[p])
        _transform(middle, top, window - 1, out[p])


@part
def _agreement(left: Ints, right: Ints) -> int:
    """Return how many leading parameters are the same."""
    same = 0
    while same < left.shape[0] and left[same] == right[same]:
        same += 1
    return same


@part
def _position(
    high: Floats, low: Floats, close: Floats, window: int, top: Floats, out: Floats
) -> None:
    """Write where the close stands between lowest low and highest high, 0..100; 0/0 without range.

    `top` is scratch, float64[T].
    """
    highest(high, window, top)
    lowest(low, window, out)
    for t in range(close.shape[0]):
        bottom = out[t]
        out[t] = 100.0 * ((close[t] - bottom) / (top[t] - bottom))


@part
def _position_of_rsi(x: Floats, strength: Floats, windows: Ints, out: Floats) -> None:
    """Write where the RSI of x (`strength`) stands in its range; windows: rsi, k.

    Near 100 an RSI has no digits left to tell values apart, so there its distance to 100 is used,
    which is the RSI of the series upside down.
    """
    window = windows[1]
    first = int(np.isnan(strength).sum())  # there are none behind the first value
    out[:first] = np.nan
    top = np.empty(x.shape[0] - first)
    values = strength[first:]
    _position(values, values, values, window, top, out[first:])
    if not (values >= SATURATED).any():
        return
    distance = np.empty((1, x.shape[0]))
    relative_strength(-x, windows[:1], distance)
    values = distance[0, first:]
    position = np.empty(top.shape[0])
    _position(values, values, values, window, top, position)
    for t in range(top.shape[0]):
        if top[t] < 100.0 - SATURATED:
            out[first + t] = 100.0 - position[t]


@part
def _smooth(
    raw: Floats, windows: Ints, fresh: bool, output: int, smoothed: Floats, out: Floats
) -> None:
    """Write k or d of a stochastic; windows: smoothing, d.

    `smoothed` holds k for the rows of d that share it; it is computed anew if `fresh`.
    """
    if output == K:
        moving_mean(raw, windows[0], out)
        return
    if fresh:
        moving_mean(raw, windows[0], smoothed)
    moving_mean(smoothed, windows[1], out)


@part
def _transform(middle: Floats, top: Floats, first: int, row: Floats) -> None:
    """Replace the lowest prices in `row` by the Fisher transform; it starts at bar `first`."""
    for t in range(first, row.shape[0]):
        width = top[t] - row[t]
        row[t] = 2.0 * ((middle[t] - row[t]) / width) - 1.0 if width > 0.0 else 0.0
    value = 0.0
    result = 0.0
    for t in range(first, row.shape[0]):
        value = 0.33 * row[t] + 0.67 * value
        if abs(value) > LARGE:
            value = LARGEST if value > 0.0 else -LARGEST
        result = 0.5 * math.log((1.0 + value) / (1.0 - value)) + 0.5 * result
        row[t] = result
