"""Moving averages of one series. A window of one bar is the series itself."""

import numpy as np

from engine.compiled import Floats, Ints, kernel
from engine.indicators.kernels.rows import ABREAST
from engine.indicators.kernels.smoothing import smooth, smooth_again
from engine.indicators.kernels.weighted import rolling_weighted_average
from engine.indicators.kernels.windows import equal_runs, rolling_mean, rolling_weighted_mean

SMA, EMA, WMA = 0, 1, 2
KINDS = 3


@kernel
def sma(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    averages(SMA, inputs[0], params[:, 0].astype(np.int64), out)


@kernel
def ema(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    averages(EMA, inputs[0], params[:, 0].astype(np.int64), out)


@kernel
def wma(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    averages(WMA, inputs[0], params[:, 0].astype(np.int64), out)


@kernel
def rma(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    smooth(inputs[0], 0, params[:, 0].astype(np.int64), True, out)


@kernel
def dema(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    once = np.empty((ABREAST, out.shape[1]))
    for start in range(0, out.shape[0], ABREAST):
        rows = out[start : start + ABREAST]
        windows = params[start : start + ABREAST, 0].astype(np.int64)
        smooth(inputs[0], 0, windows, False, rows)
        once[: rows.shape[0]] = rows
        smooth_again(rows, windows - 1, windows)
        for q in range(rows.shape[0]):
            for t in range(rows.shape[1]):
                rows[q, t] = once[q, t] + (once[q, t] - rows[q, t])


@kernel
def tema(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    lead = np.empty((ABREAST, out.shape[1]))  # of the first smoothing over the second
    for start in range(0, out.shape[0], ABREAST):
        rows = out[start : start + ABREAST]
        windows = params[start : start + ABREAST, 0].astype(np.int64)
        smooth(inputs[0], 0, windows, False, rows)
        lead[: rows.shape[0]] = rows
        smooth_again(rows, windows - 1, windows)
        for q in range(rows.shape[0]):
            for t in range(rows.shape[1]):
                lead[q, t] -= rows[q, t]
        smooth_again(rows, 2 * (windows - 1), windows)
        for q in range(rows.shape[0]):
            for t in range(rows.shape[1]):
                rows[q, t] += 3.0 * lead[q, t]


@kernel
def hma(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. Neighbouring rows share the average of half the window."""
    x = inputs[0]
    runs = equal_runs(x)
    half = np.empty(x.shape[0])
    whole = np.empty(x.shape[0])
    held = 0  # the window that `half` is of
    for p in range(out.shape[0]):
        window = int(params[p, 0])
        if window == 1:
            out[p] = x
            continue
        if held != window // 2:
            held = window // 2
            rolling_weighted_mean(x, runs, held, half)
        rolling_weighted_mean(x, runs, window, whole)
        for t in range(x.shape[0]):
            whole[t] = half[t] + (half[t] - whole[t])
        first = min(window - 1, x.shape[0])
        out[p, :first] = np.nan
        root = int(np.sqrt(window))
        rolling_weighted_mean(whole[first:], equal_runs(whole[first:]), root, out[p, first:])


@kernel
def zlema(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    x = inputs[0]
    windows = params[:, 0].astype(np.int64)
    lags = (windows - 1) // 2
    for p in range(out.shape[0]):
        lag = min(lags[p], x.shape[0])
        out[p, :lag] = np.nan
        now, before, row = x[lag:], x[: x.shape[0] - lag], out[p, lag:]
        for i in range(row.shape[0]):
            row[i] = 2.0 * now[i] - before[i]
    smooth_again(out, lags, windows)


@kernel
def vwma(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. Undefined where a whole window has no volume."""
    rolling_weighted_average(inputs[0], inputs[1], params[:, 0].astype(np.int64), out)


@kernel
def averages(kind: int, x: Floats, windows: Ints, out: Floats) -> None:
    """Write the average of x of each window to its row of `out`."""
    if kind == EMA:
        smooth(x, 0, windows, False, out)
        return
    runs = equal_runs(x)
    for p in range(windows.shape[0]):
        if kind == SMA:
            rolling_mean(x, runs, windows[p], out[p])
        else:
            rolling_weighted_mean(x, runs, windows[p], out[p])
