"""Volatility: ranges and deviations."""

import numpy as np

from engine.compiled import Floats, Ints, kernel
from engine.indicators.kernels.smoothing import smooth
from engine.indicators.kernels.windows import equal_runs, rolling_deviation, rolling_mean

MIDDLE, UPPER, LOWER, PERCENT_B, BANDWIDTH = 0, 1, 2, 3, 4


@kernel
def true_range(high: Floats, low: Floats, close: Floats) -> Floats:
    """Return float64[T]; NaN on bar 0, which has no previous close."""
    result = np.empty(close.shape[0])
    result[0] = np.nan
    for t in range(1, close.shape[0]):
        before = close[t - 1]
        result[t] = max(high[t] - low[t], abs(high[t] - before), abs(low[t] - before))
    return result


@kernel
def average_true_ranges(
    high: Floats, low: Floats, close: Floats, windows: Ints, out: Floats
) -> None:
    """Write the Wilder average of the true range for windows[p] to out[p], from bar windows[p]."""
    smooth(true_range(high, low, close), 1, windows, True, out)


@kernel
def atr(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. One true range for all windows."""
    average_true_ranges(inputs[0], inputs[1], inputs[2], params[:, 0].astype(np.int64), out)


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


@kernel
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
