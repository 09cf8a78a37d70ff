"""Momentum: oscillators of one price series."""

import numpy as np

from engine.compiled import Floats, Ints, kernel
from engine.indicators.kernels.smoothing import smooth

HIST, LINE = 0, 1


@kernel
def rsi(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. Rises and falls are split once for all windows."""
    x = inputs[0]
    windows = params[:, 0].astype(np.int64)
    rises = np.zeros(x.shape[0])
    falls = np.zeros(x.shape[0])
    for t in range(1, x.shape[0]):
        rises[t] = max(x[t] - x[t - 1], 0.0)
        falls[t] = max(x[t - 1] - x[t], 0.0)
    fall = np.empty(out.shape)
    smooth(rises, 1, windows, True, out)
    smooth(falls, 1, windows, True, fall)
    for p in range(out.shape[0]):
        for t in range(out.shape[1]):
            out[p, t] = 100.0 * (out[p, t] / (out[p, t] + fall[p, t]))


@kernel
def macd(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: fast, slow, signal (histogram only). Neighbouring rows share what they can."""
    x = inputs[0]
    windows = params.astype(np.int64)
    row = 0
    while row < windows.shape[0]:
        shared = 1 if output == LINE else 2  # leading parameters the rows of a group agree on
        stop = row + 1
        while stop < windows.shape[0] and _agree(windows[row], windows[stop], shared):
            stop += 1
        if output == LINE:
            _lines(x, windows[row, 0], windows[row:stop, 1].copy(), out[row:stop])
        else:
            slow = windows[row, 1]
            line = np.empty((1, x.shape[0]))
            _lines(x, windows[row, 0], np.full(1, slow), line)
            _histograms(line[0], slow, windows[row:stop, 2].copy(), out[row:stop])
        row = stop


@kernel
def _agree(left: Ints, right: Ints, columns: int) -> bool:
    equal = True
    for k in range(columns):
        equal = equal and left[k] == right[k]
    return equal


@kernel
def _lines(x: Floats, fast: int, slow: Ints, out: Floats) -> None:
    """Write ema(fast) - ema(slow[p]) to out[p]."""
    fast_average = np.empty((1, x.shape[0]))
    smooth(x, 0, np.full(1, fast), False, fast_average)
    smooth(x, 0, slow, False, out)
    for p in range(out.shape[0]):
        for t in range(x.shape[0]):
            out[p, t] = fast_average[0, t] - out[p, t]


@kernel
def _histograms(line: Floats, slow: int, signals: Ints, out: Floats) -> None:
    """Write line - ema(line, signals[p]) to out[p]; the line starts at bar slow - 1."""
    smooth(line, slow - 1, signals, False, out)
    for p in range(out.shape[0]):
        for t in range(line.shape[0]):
            out[p, t] = line[t] - out[p, t]
