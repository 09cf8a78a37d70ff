"""Direction and strength of a trend: directional movement, aroon, vortex, regression slope."""

import numpy as np

from engine.compiled import Floats, Ints, kernel, part
from engine.indicators.kernels.extremes import latest_high_since_low
from engine.indicators.kernels.rows import ABREAST, window_bounds, windows_of
from engine.indicators.kernels.smoothing import smooth
from engine.indicators.kernels.volatility import true_range
from engine.indicators.kernels.windows import rolling_sum

DI_DIFF = VI_PLUS = 0  # outputs


@kernel
def adx(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: window, smoothing (adx only). Neighbouring rows of one window share its DX.

    Both outputs are the smoothed difference of the two movements: relative to the smoothed true
    range it is the difference of the DIs, relative to the smoothed sum of the movements the DX.
    """
    high, low, close = inputs
    difference, total = _movements(high, low)
    if output == DI_DIFF:
        total[1:] = true_range(high, low, close)[1:]
        windows = params[:, 0].astype(np.int64)
        for start in range(0, out.shape[0], ABREAST):
            rows = slice(start, start + ABREAST)
            _ratios(difference, total, windows[rows], out[rows])
        return
    bounds = window_bounds(params)
    ratios = np.empty((min(ABREAST, bounds.shape[0] - 1), close.shape[0]))
    for start in range(0, bounds.shape[0] - 1, ABREAST):
        runs = bounds[start : start + ABREAST + 1]
        windows = windows_of(params, runs)
        _ratios(difference, total, windows, ratios[: windows.shape[0]])
        for k in range(windows.shape[0]):
            for t in range(close.shape[0]):
                ratios[k, t] = abs(ratios[k, t])
            first = int(np.isnan(ratios[k]).sum())  # there are none behind the first value
            smoothings = params[runs[k] : runs[k + 1], 1].astype(np.int64)
            smooth(ratios[k], first, smoothings, True, out[runs[k] : runs[k + 1]])


@part
def _movements(high: Floats, low: Floats) -> tuple[Floats, Floats]:
    """Return +DM - -DM and +DM + -DM of each bar (one of the two is 0), 0 on bar 0."""
    difference = np.zeros(high.shape[0])
    total = np.zeros(high.shape[0])
    for t in range(1, high.shape[0]):
        up = high[t] - high[t - 1]
        down = low[t - 1] - low[t]
        if up > down and up > 0.0:
            difference[t] = up
            total[t] = up
        elif down > up and down > 0.0:
            difference[t] = -down
            total[t] = down
    return difference, total


@part
def _ratios(difference: Floats, total: Floats, windows: Ints, out: Floats) -> None:
    """Write 100 * smoothed difference / smoothed total of each window, from bar `window` on.

    Wilder seeds his sums by window - 1 movements and reads them one bar later: the average of a
    first window whose bar 0 counts 0. A bar without anything leaves the ratio as it is, to the bit.
    """
    bars = total.shape[0]
    totals = np.empty(out.shape)
    smooth(difference, 0, windows, True, out)
    smooth(total, 0, windows, True, totals)
    still = np.flatnonzero((total == 0.0) & (difference == 0.0))
    for k in range(windows.shape[0]):
        first = windows[k]
        out[k, : min(first, bars)] = np.nan
        for t in range(first, bars):
            out[k, t] = 100.0 * (out[k, t] / totals[k, t])
        for bar in still:
            if bar > first:
                out[k, bar] = out[k, bar - 1]


@kernel
def aroon(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    for p in range(out.shape[0]):
        window = int(params[p, 0])
        latest_high_since_low(inputs[0], inputs[1], window + 1, out[p])
        factor = 100.0 / window
        for t in range(out.shape[1]):
            out[p, t] *= factor


@kernel
def vortex(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: window. Movements and true range are computed once for all windows."""
    high, low, close = inputs
    movement = np.zeros(close.shape[0])
    for t in range(1, close.shape[0]):
        movement[t] = abs(high[t] - low[t - 1])
        if output != VI_PLUS:
            movement[t] -= abs(low[t] - high[t - 1])
    ranges = true_range(high, low, close)
    total = np.empty(close.shape[0])
    for p in range(out.shape[0]):
        window = int(params[p, 0])
        out[p, 0] = np.nan
        rolling_sum(movement[1:], window, out[p, 1:])
        rolling_sum(ranges[1:], window, total[1:])
        for t in range(1, close.shape[0]):
            out[p, t] = out[p, t] / total[t] if total[t] != 0.0 else np.nan


@kernel
def linreg_slope(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    for p in range(out.shape[0]):
        _rolling_slope(inputs[0], int(params[p, 0]), out[p])


@part
def _rolling_slope(x: Floats, window: int, out: Floats) -> None:
    """Write the slope per bar of the least-squares line through each window to out[t].

    A window is the end of one block and the beginning of the next. Values are taken relative to
    the first bar of the newer block and bars are counted from it, so that neither a high price
    level nor a long series costs digits, and a window of equal values has slope 0 exactly.
    """
    bars = x.shape[0]
    out[: min(window - 1, bars)] = np.nan
    if window > bars:
        return
    spread = window * (window * float(window) - 1.0) / 12.0  # sum of squared distances in bars
    end_totals = np.zeros(window + 1)
    end_moments = np.zeros(window + 1)
    for block in range(0, bars, window):
        total = 0.0
        moment = 0.0
        for j in range(min(window, bars - block)):
            value = x[block + j] - x[block]
            total += value
            moment += j * value
            middle = j - (window - 1) / 2.0
            joined = moment + end_moments[j + 1] - middle * (total + end_totals[j + 1])
            out[block + j] = joined / spread
        if block == 0:
            out[: window - 1] = np.nan
        if block + window < bars:
            total = 0.0
            moment = 0.0
            for j in range(window - 1, -1, -1):
                value = x[block + j] - x[block + window]
                total += value
                moment += (j - window) * value
                end_totals[j] = total
                end_moments[j] = moment
