"""Sliding windows of values with weights, each window summed up from nothing like in `windows`.

A bar of weight zero takes no part; a window without weight is 0/0: NaN.
"""

import numpy as np

from engine.compiled import Floats, Ints, kernel
from engine.indicators.kernels.windows import rolling_sum


@kernel
def rolling_weighted_average(
    x: Floats, weights: Floats, runs: Ints, windows: Ints, out: Floats
) -> None:
    """Write sum(weight * x) / sum(weight) of each window to out[p, t].

    weights: float64[T], not negative; runs: the `equal_runs` of x; windows: int64[P].
    """
    products = x * weights
    total = np.empty(x.shape[0])
    for p in range(windows.shape[0]):
        rolling_sum(products, windows[p], out[p])
        rolling_sum(weights, windows[p], total)
        for t in range(x.shape[0]):
            flat = runs[t] >= windows[p] and total[t] > 0.0
            out[p, t] = x[t] if flat else out[p, t] / total[t]


@kernel
def rolling_weighted_deviation(
    x: Floats, weights: Floats, runs: Ints, window: int, mean: Floats, deviation: Floats
) -> None:
    """Write the weighted mean of each window and the weighted root mean square distance to it.

    As `rolling_deviation`: Youngs and Cramer's recurrence with weights (West 1979) inside a block,
    relative to one bar of the window, the two parts joined by Chan's formula.
    """
    bars = x.shape[0]
    mean[: min(window - 1, bars)] = np.nan
    deviation[: min(window - 1, bars)] = np.nan
    if window > bars:
        return
    head = np.empty(window)  # weight of the newer block up to its bar j
    end_weight = np.zeros(window + 1)  # of the previous block from its bar j on
    end_means = np.zeros(window + 1)
    end_squares = np.zeros(window + 1)
    for block in range(0, bars, window):
        stop = min(block + window, bars)
        part, load = x[block:stop], weights[block:stop]
        middle, spread = mean[block:stop], deviation[block:stop]
        _grow(part, load, 1, part[0], head, middle, spread)
        _join(part[0], head, end_weight, end_means, end_squares, middle, spread)
        if stop < bars:
            _grow(part, load, -1, x[stop], end_weight, end_means, end_squares)
        if block == 0:
            mean[: window - 1] = np.nan
            deviation[: window - 1] = np.nan
    for t in range(window - 1, bars):
        if runs[t] >= window and not np.isnan(mean[t]):
            mean[t] = x[t]
            deviation[t] = 0.0


@kernel
def _grow(
    x: Floats,
    weights: Floats,
    direction: int,
    anchor: float,
    weight: Floats,
    means: Floats,
    squares: Floats,
) -> None:
    """Write weight, mean and weighted squares of all heads (direction 1) or tails (-1) of x.

    Entry j is the head x[:j + 1] or the tail x[j:]; means are relative to `anchor`, 0 without any
    weight.
    """
    total = moment = middle = spread = 0.0
    j = 0 if direction > 0 else x.shape[0] - 1
    for _ in range(x.shape[0]):
        value = x[j] - anchor
        step = value - middle
        before = total
        total += weights[j]
        moment += weights[j] * value
        if weights[j] > 0.0:
            share = 1.0 / total
            middle = moment * share
            spread += step * step * (weights[j] * (before * share))
        weight[j] = total
        means[j] = middle
        squares[j] = spread
        j += direction


@kernel
def _join(
    anchor: float,
    head: Floats,
    end_weight: Floats,
    end_means: Floats,
    end_squares: Floats,
    means: Floats,
    squares: Floats,
) -> None:
    """Turn each head's mean and squares into mean and deviation of its window."""
    for j in range(means.shape[0]):
        share = 1.0 / (head[j] + end_weight[j + 1])
        older = end_weight[j + 1] * share
        gap = means[j] - end_means[j + 1]
        joined = squares[j] + end_squares[j + 1] + gap * gap * (head[j] * older)
        means[j] = anchor + (means[j] - gap * older)
        squares[j] = np.sqrt(joined * share)
