"""Kaufman's adaptive moving average: fast where prices go somewhere, slow where they do not."""

import numpy as np

from engine.compiled import Floats, kernel, part
from engine.indicators.kernels.windows import rolling_sum

FASTEST = 2.0 / (2.0 + 1.0)  # alpha of an EMA(2)
SLOWEST = 2.0 / (30.0 + 1.0)  # alpha of an EMA(30)


@kernel
def kama(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. The way that prices went is added up from moves common to all windows."""
    x = inputs[0]
    windows = params[:, 0].astype(np.int64)
    moves = np.zeros(x.shape[0])
    for t in range(1, x.shape[0]):
        moves[t] = abs(x[t] - x[t - 1])
    for p in range(out.shape[0]):
        _alphas(x, moves, windows[p], out[p])
    p = 0
    while p < out.shape[0]:
        if p + 4 <= out.shape[0] and windows[p : p + 4].max() < x.shape[0]:
            common = windows[p : p + 4].max()
            for q in range(p, p + 4):
                _adapt(x, windows[q], common + 1, out[q])
            _adapt_four(x, common, out[p : p + 4])
            p += 4
        else:
            _adapt(x, windows[p], x.shape[0], out[p])
            p += 1
    for p in range(out.shape[0]):
        if windows[p] == 1:
            out[p] = x


@part
def _alphas(x: Floats, moves: Floats, window: int, out: Floats) -> None:
    """Write the smoothing factor of each bar, from the efficiency ratio of its last moves.

    A window without moves counts as efficient, as in TA-Lib: the average goes to the price fast.
    """
    out[: min(window, x.shape[0])] = np.nan
    if window >= x.shape[0]:
        return
    rolling_sum(moves[1:], window, out[1:])
    now, before, way = x[window:], x[: x.shape[0] - window], out[window:]
    for i in range(way.shape[0]):
        distance = abs(now[i] - before[i])
        efficiency = distance / way[i] if distance < way[i] else 1.0
        alpha = efficiency * (FASTEST - SLOWEST) + SLOWEST
        way[i] = alpha * alpha


@part
def _adapt(x: Floats, window: int, stop: int, row: Floats) -> None:
    """Replace the smoothing factors of row[window:stop] by averages; starts from x[window - 1]."""
    if window >= stop:
        return
    value = x[window - 1]
    for t in range(window, stop):
        value += (x[t] - value) * row[t]
        row[t] = value


@part
def _adapt_four(x: Floats, last: int, rows: Floats) -> None:
    """Go on after bar `last` with four rows abreast: one alone waits for its own additions."""
    a, b, c, d = rows[0, last], rows[1, last], rows[2, last], rows[3, last]
    for t in range(last + 1, x.shape[0]):
        value = x[t]
        a += (value - a) * rows[0, t]
        b += (value - b) * rows[1, t]
        c += (value - c) * rows[2, t]
        d += (value - d) * rows[3, t]
        rows[0, t] = a
        rows[1, t] = b
        rows[2, t] = c
        rows[3, t] = d
