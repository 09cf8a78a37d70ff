"""Momentum of one price series: strength and rate of change."""

import numpy as np

from engine.compiled import Floats, Ints, kernel, part
from engine.indicators.kernels.rows import ABREAST
from engine.indicators.kernels.smoothing import smooth, smooth_again, subtract_smoothed

HIST = 1  # output of trix


@kernel
def rsi(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    relative_strength(inputs[0], params[:, 0].astype(np.int64), out)


@kernel
def roc(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    x = inputs[0]
    for p in range(out.shape[0]):
        window = min(int(params[p, 0]), x.shape[0])
        out[p, :window] = np.nan
        now, before, row = x[window:], x[: x.shape[0] - window], out[p, window:]
        for i in range(row.shape[0]):
            row[i] = 100.0 * ((now[i] - before[i]) / before[i])


@kernel
def trix(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: window, signal (histogram only)."""
    windows = params[:, 0].astype(np.int64)
    smooth(inputs[0], 0, windows, False, out)
    smooth_again(out, windows - 1, windows)
    smooth_again(out, 2 * (windows - 1), windows)
    for p in range(out.shape[0]):
        before = np.nan
        for t in range(out.shape[1]):
            now = out[p, t]
            out[p, t] = 100.0 * ((now - before) / before)
            before = now
    if output == HIST:
        subtract_smoothed(out, 3 * windows - 2, params[:, 1].astype(np.int64))


@part
def relative_strength(x: Floats, windows: Ints, out: Floats) -> None:
    """Write the RSI of windows[p] to out[p]; NaN until something has moved.

    Rises and falls are split once for all windows. A bar without a move leaves the index as it was,
    to the last bit, even after so many of them that both averages have faded to nothing.
    """
    rises = np.zeros(x.shape[0])
    falls = np.zeros(x.shape[0])
    for t in range(1, x.shape[0]):
        rises[t] = max(x[t] - x[t - 1], 0.0)
        falls[t] = max(x[t - 1] - x[t], 0.0)
    still = np.flatnonzero(rises == falls)
    fall = np.empty((ABREAST, x.shape[0]))
    for start in range(0, out.shape[0], ABREAST):
        rows = out[start : start + ABREAST]
        own = windows[start : start + ABREAST]
        smooth(rises, 1, own, True, rows)
        smooth(falls, 1, own, True, fall[: rows.shape[0]])
        for q in range(rows.shape[0]):
            for t in range(rows.shape[1]):
                rows[q, t] = _share(rows[q, t], fall[q, t])
            for bar in still:
                if bar > own[q]:
                    rows[q, bar] = rows[q, bar - 1]


@part
def _share(rise: float, fall: float) -> float:
    """Return 100 rise / (rise + fall), from its smaller part: near 100 it must not jitter."""
    smaller = rise if rise < fall else fall
    share = 100.0 * (smaller / (rise + fall))
    return share if rise < fall else 100.0 - share
