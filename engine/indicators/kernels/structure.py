"""Structure: bodies of candles, distances of prices in units of their volatility."""

import numpy as np

from engine.compiled import Floats, Ints, kernel, part
from engine.indicators.kernels.volatility import average_true_ranges
from engine.indicators.kernels.windows import equal_runs, rolling_deviation

NOTHING = 1e-290  # a distance that has faded so far is 0: below 1e-308 floats stop shrinking


@kernel
def candle_body(inputs: tuple[Floats, ...], _params: Floats, _output: int, out: Floats) -> None:
    """No params."""
    opened, high, low, close = inputs
    for p in range(out.shape[0]):
        for t in range(out.shape[1]):
            out[p, t] = abs(close[t] - opened[t]) / (high[t] - low[t])


@kernel
def candle_body_atr(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window of the ATR. One true range for all windows."""
    opened, high, low, close = inputs
    average_true_ranges(high, low, close, params[:, 0].astype(np.int64), out)
    for p in range(out.shape[0]):
        for t in range(out.shape[1]):
            out[p, t] = abs(close[t] - opened[t]) / out[p, t]


@kernel
def distance_to_ma(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window, of the average and of the ATR. One true range for all windows."""
    x, high, low, close = inputs
    windows = params[:, 0].astype(np.int64)
    average_true_ranges(high, low, close, windows, out)
    distance = np.empty((4, x.shape[0]))
    row = 0
    while row < out.shape[0]:
        count = min(4, out.shape[0] - row)
        _distances(x, windows[row : row + count], distance)
        for p in range(count):
            for t in range(windows[row + p], x.shape[0]):
                out[row + p, t] = distance[p, t] / out[row + p, t]
        row += count


@part
def _distances(x: Floats, windows: Ints, out: Floats) -> None:
    """Write x[t] - ema[t] of each of up to four windows to out[p, t], from bar windows[p] - 1 on.

    The distance has a recurrence of its own, d = (1 - alpha) (d + x[t] - x[t - 1]). Subtracting an
    average from the price would leave its rounding, which does not fade in an outage as the ATR
    does. Four rows side by side: one alone waits for its own arithmetic most of the time.
    """
    bars = x.shape[0]
    common = windows.max()
    if windows.shape[0] < 4 or common > bars:
        for p in range(windows.shape[0]):
            _follow(x, windows[p], bars, out[p])
        return
    keep = (windows - 1.0) / (windows + 1.0)
    for p in range(4):
        _follow(x, windows[p], common, out[p])
    a, b, c, d = out[0, common - 1], out[1, common - 1], out[2, common - 1], out[3, common - 1]
    for t in range(common, bars):
        step = x[t] - x[t - 1]
        a = _faded((a + step) * keep[0])
        b = _faded((b + step) * keep[1])
        c = _faded((c + step) * keep[2])
        d = _faded((d + step) * keep[3])
        out[0, t] = a
        out[1, t] = b
        out[2, t] = c
        out[3, t] = d


@part
def _follow(x: Floats, window: int, stop: int, out: Floats) -> None:
    if window > stop:
        return
    distance = 0.0
    for t in range(window - 1):
        distance += x[window - 1] - x[t]
    distance /= window
    out[window - 1] = distance
    keep = (window - 1.0) / (window + 1.0)
    for t in range(window, stop):
        distance = _faded((distance + (x[t] - x[t - 1])) * keep)
        out[t] = distance


@part
def _faded(distance: float) -> float:
    return distance if abs(distance) >= NOTHING else 0.0


@kernel
def zscore(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    x = inputs[0]
    runs = equal_runs(x)
    deviation = np.empty(x.shape[0])
    for p in range(out.shape[0]):
        rolling_deviation(x, runs, int(params[p, 0]), deviation, out[p])
        for t in range(out.shape[1]):
            out[p, t] /= deviation[t]
