"""Exponential smoothing of one series with many windows at once."""

import numpy as np

from engine.compiled import Floats, Ints, kernel


@kernel
def smooth(x: Floats, first: int, windows: Ints, wilder: bool, out: Floats) -> None:
    """Write the exponential average of x[first:] with windows[p] to out[p].

    x: float64[T], windows: int64[P], out: float64[P, T]. Seeded by the mean of the first window, at
    bar first + window - 1; NaN before it. alpha is 1 / window if `wilder`, else 2 / (window + 1).
    The step is written e + alpha (x - e), which leaves a constant series exactly constant.
    """
    bars = x.shape[0]
    rows = windows.shape[0]
    alphas = np.empty(rows)
    for p in range(rows):
        alphas[p] = 1.0 / windows[p] if wilder else 2.0 / (windows[p] + 1.0)
        seed = first + windows[p] - 1
        out[p, : min(seed, bars)] = np.nan
        if seed < bars:
            out[p, seed] = mean_from(x, first, windows[p])
    p = 0
    while p < rows:
        if p + 4 <= rows and windows[p : p + 4].max() <= bars - first:
            common = first + windows[p : p + 4].max() - 1
            for q in range(p, p + 4):
                _advance(x, first + windows[q] - 1, common + 1, alphas[q], out[q])
            _advance_four(x, common, alphas[p : p + 4], out[p : p + 4])
            p += 4
        else:
            _advance(x, first + windows[p] - 1, bars, alphas[p], out[p])
            p += 1
    for p in range(rows):
        if windows[p] == 1:  # e + (x - e) would round
            out[p, first:] = x[first:]


@kernel
def mean_from(x: Floats, first: int, window: int) -> float:
    """Return the mean of x[first : first + window]; exactly the value where all are equal."""
    total = 0.0
    equal = True
    for t in range(first, first + window):
        total += x[t]
        equal = equal and x[t] == x[first]
    return x[first] if equal else total / window


@kernel
def _advance(x: Floats, seed: int, stop: int, alpha: float, out: Floats) -> None:
    if seed >= stop:
        return
    value = out[seed]
    for t in range(seed + 1, stop):
        value += (x[t] - value) * alpha
        out[t] = value


@kernel
def _advance_four(x: Floats, seed: int, alphas: Floats, out: Floats) -> None:
    """Four rows side by side: one row alone waits for its own additions most of the time."""
    a, b, c, d = out[0, seed], out[1, seed], out[2, seed], out[3, seed]
    alpha_a, alpha_b, alpha_c, alpha_d = alphas[0], alphas[1], alphas[2], alphas[3]
    for t in range(seed + 1, x.shape[0]):
        value = x[t]
        a += (value - a) * alpha_a
        b += (value - b) * alpha_b
        c += (value - c) * alpha_c
        d += (value - d) * alpha_d
        out[0, t] = a
        out[1, t] = b
        out[2, t] = c
        out[3, t] = d
