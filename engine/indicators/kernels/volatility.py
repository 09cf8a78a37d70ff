"""Volatility: ranges and deviations."""

import numpy as np

from engine.compiled import Floats, Ints, kernel, part
from engine.indicators.kernels.smoothing import smooth
from engine.indicators.kernels.windows import equal_runs, rolling_deviation, rolling_mean

MIDDLE, UPPER, LOWER, PERCENT_B, BANDWIDTH = 0, 1, 2, 3, 4
YEAR = np.sqrt(365.0)


@part
def true_range(high: Floats, low: Floats, close: Floats) -> Floats:
    """Return float64[T]; NaN on bar 0, which has no previous close."""
    result = np.empty(close.shape[0])
    result[0] = np.nan
    for t in range(1, close.shape[0]):
        before = close[t - 1]
        result[t] = max(high[t] - low[t], abs(high[t] - before), abs(low[t] - before))
    return result


@part
def average_true_ranges(
    high: Floats, low: Floats, close: Floats, windows: Ints, out: Floats
) -> None:
    """Write the Wilder average of the true range for windows[p] to out[p], from bar windows[p]."""
    smooth(true_range(high, low, close), 1, windows, True, out)


@kernel
def tr(inputs: tuple[Floats, ...], _params: Floats, _output: int, out: Floats) -> None:
    """No params."""
    for p in range(out.shape[0]):
        out[p] = true_range(inputs[0], inputs[1], inputs[2])


@kernel
def atr(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. One true range for all windows."""
    average_true_ranges(inputs[0], inputs[1], inputs[2], params[:, 0].astype(np.int64), out)


@kernel
def natr(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. One true range for all windows."""
    close = inputs[2]
    average_true_ranges(inputs[0], inputs[1], close, params[:, 0].astype(np.int64), out)
    for p in range(out.shape[0]):
        for t in range(out.shape[1]):
            out[p, t] = 100.0 * (out[p, t] / close[t])


@kernel
def stddev(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    x = inputs[0]
    runs = equal_runs(x)
    offset = np.empty(x.shape[0])
    for p in range(out.shape[0]):
        rolling_deviation(x, runs, int(params[p, 0]), out[p], offset)


@kernel
def hv(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. The returns are computed once for all windows."""
    x = inputs[0]
    returns = np.log(x[1:] / x[:-1])
    runs = equal_runs(returns)
    offset = np.empty(returns.shape[0])
    for p in range(out.shape[0]):
        window = int(params[p, 0])
        out[p, 0] = np.nan
        rolling_deviation(returns, runs, window, out[p, 1:], offset)
        scale = 100.0 * YEAR * np.sqrt(window / (window - 1.0))  # sample deviation
        for t in range(1, out.shape[1]):
            out[p, t] *= scale


@kernel
def bbands(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: window, mult. Neighbouring rows of one window share its mean and deviation."""
    x = inputs[0]
    runs = equal_runs(x)
    mean = np.empty(x.shape[0])
    deviation = np.empty(x.shape[0])
    offset = np.empty(x.shape[0])
    for p in range(out.shape[0]):
        if p == 0 or params[p, 0] != params[p - 1, 0]:
            window = int(params[p, 0])
            rolling_mean(x, runs, window, mean)
            if output != MIDDLE:
                rolling_deviation(x, runs, window, deviation, offset)
        _band(output, mean, deviation, offset, params[p, 1], out[p])


@part
def _band(
    output: int, mean: Floats, deviation: Floats, offset: Floats, mult: float, out: Floats
) -> None:
    for t in range(out.shape[0]):
        if output == MIDDLE:
            out[t] = mean[t]
        elif output == UPPER:
            out[t] = mean[t] + mult * deviation[t]
        elif output == LOWER:
            out[t] = mean[t] - mult * deviation[t]
        elif output == PERCENT_B:  # (x - lower) / (upper - lower) without its cancellation
            width = mult * deviation[t]
            out[t] = (offset[t] + width) / (2.0 * width)
        else:
            out[t] = 4.0 * deviation[t] / mean[t]
