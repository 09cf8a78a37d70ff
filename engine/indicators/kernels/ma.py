"""Moving averages and their crossing."""

import numpy as np

from engine.compiled import Floats, Ints, kernel
from engine.indicators.kernels.smoothing import smooth
from engine.indicators.kernels.windows import equal_runs, rolling_mean, rolling_weighted_mean

SMA, EMA, WMA = 0, 1, 2


@kernel
def sma(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    averages(SMA, inputs[0], params[:, 0].astype(np.int64), out)


@kernel
def ema(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    averages(EMA, inputs[0], params[:, 0].astype(np.int64), out)


@kernel
def cross(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: kind of average, fast, slow. Neighbouring rows share their fast average."""
    x = inputs[0]
    slow = params[:, 2].astype(np.int64)
    fast = np.empty((1, x.shape[0]))
    row = 0
    while row < params.shape[0]:
        kind, window = params[row, 0], params[row, 1]
        stop = row + 1
        while stop < params.shape[0] and params[stop, 0] == kind and params[stop, 1] == window:
            stop += 1
        averages(int(kind), x, np.full(1, int(window)), fast)
        averages(int(kind), x, slow[row:stop], out[row:stop])
        for p in range(row, stop):
            for t in range(x.shape[0]):
                out[p, t] = fast[0, t] - out[p, t]
        row = stop


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
