"""Exponential smoothing: one series with many windows at once, or many series in place.

Every step is written e + alpha (x - e), which leaves a constant series exactly constant. Rows are
worked on four abreast, because one row alone waits for its own additions most of the time.
"""

import numpy as np

from engine.compiled import Floats, Ints, kernel, part


@kernel
def smooth(x: Floats, first: int, windows: Ints, wilder: bool, out: Floats) -> None:
    """Write the exponential average of x[first:] with windows[p] to out[p].

    x: float64[T], windows: int64[P], out: float64[P, T]. Seeded by the mean of the first window, at
    bar first + window - 1; NaN before it. alpha is 1 / window if `wilder`, else 2 / (window + 1).
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


@part
def smooth_again(rows: Floats, firsts: Ints, windows: Ints) -> None:
    """Replace rows[p] (float64[P, T]), defined from bar firsts[p] on, by its exponential average.

    As `smooth` with alpha = 2 / (window + 1): the first average stands at bar
    firsts[p] + windows[p] - 1.
    """
    _replace(rows, firsts, windows, False)


@part
def subtract_smoothed(rows: Floats, firsts: Ints, windows: Ints) -> None:
    """Subtract from rows[p] its own exponential average; otherwise as `smooth_again`."""
    _replace(rows, firsts, windows, True)


@part
def mean_from(x: Floats, first: int, window: int) -> float:
    """Return the mean of x[first : first + window]; exactly the value where all are equal."""
    total = 0.0
    equal = True
    for t in range(first, first + window):
        total += x[t]
        equal = equal and x[t] == x[first]
    return x[first] if equal else total / window


@part
def _advance(x: Floats, seed: int, stop: int, alpha: float, out: Floats) -> None:
    if seed >= stop:
        return
    value = out[seed]
    for t in range(seed + 1, stop):
        value += (x[t] - value) * alpha
        out[t] = value


@part
def _advance_four(x: Floats, seed: int, alphas: Floats, out: Floats) -> None:
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


@part
def _replace(rows: Floats, firsts: Ints, windows: Ints, distance: bool) -> None:
    """Put into each row its average, or its distance to it; window 1 is the row itself."""
    bars = rows.shape[1]
    averages = np.empty(rows.shape[0])  # where each row has got to
    seeds = firsts + windows - 1
    p = 0
    while p < rows.shape[0]:
        abreast = 4 if p + 4 <= rows.shape[0] and windows[p : p + 4].min() > 1 else 1
        common = seeds[p : p + abreast].max()
        stop = common + 1 if abreast == 4 and common < bars else bars
        for q in range(p, p + abreast):
            averages[q] = _replace_one(rows[q], firsts[q], windows[q], stop, distance)
        if stop < bars:
            _replace_four(
                rows[p : p + 4], common, averages[p : p + 4], windows[p : p + 4], distance
            )
        p += abreast


@part
def _replace_one(x: Floats, first: int, window: int, stop: int, distance: bool) -> float:
    """Replace x[:stop] and return the average of its last bar."""
    seed = first + window - 1
    if window == 1:  # e + (x - e) would round
        if distance:
            x[min(first, stop) : stop] = 0.0
        return np.nan
    average = mean_from(x, first, window) if seed < stop else np.nan
    x[min(first, stop) : min(seed, stop)] = np.nan
    alpha = 2.0 / (window + 1.0)
    for t in range(seed, stop):
        value = x[t]
        if t > seed:
            average += (value - average) * alpha
        x[t] = value - average if distance else average
    return average


@part
def _replace_four(rows: Floats, seed: int, averages: Floats, windows: Ints, distance: bool) -> None:
    a, b, c, d = averages[0], averages[1], averages[2], averages[3]
    alphas = 2.0 / (windows + 1.0)
    alpha_a, alpha_b, alpha_c, alpha_d = alphas[0], alphas[1], alphas[2], alphas[3]
    for t in range(seed + 1, rows.shape[1]):
        x, y, z, u = rows[0, t], rows[1, t], rows[2, t], rows[3, t]
        a += (x - a) * alpha_a
        b += (y - b) * alpha_b
        c += (z - c) * alpha_c
        d += (u - d) * alpha_d
        rows[0, t] = x - a if distance else a
        rows[1, t] = y - b if distance else b
        rows[2, t] = z - c if distance else c
        rows[3, t] = u - d if distance else d
