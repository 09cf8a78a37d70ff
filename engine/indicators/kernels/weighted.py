"""Sliding windows of values with weights, each window summed up from nothing like in `windows`.

A bar of weight zero takes no part; a window without weight is 0/0: NaN.
"""

import numpy as np

from engine.compiled import Floats, Ints, kernel, part


@kernel
def traded_prices(x: Floats, weights: Floats) -> Floats:
    """Return x, float64[T], with the price of the last bar of weight on each bar without any.

    The bars before the first one of weight get its price. Such bars take no part in any average,
    but their own prices would cost digits if they are far away.
    """
    traded = x.copy()
    first = 0
    while first < x.shape[0] and not weights[first] > 0.0:
        first += 1
    if first == x.shape[0]:
        return traded
    traded[:first] = x[first]
    for t in range(first + 1, x.shape[0]):
        if not weights[t] > 0.0:
            traded[t] = traded[t - 1]
    return traded


@kernel
def traded_runs(x: Floats, weights: Floats) -> Ints:
    """Return int64[T]: over how many bars up to bar t those of weight have one price.

    The counterpart of `equal_runs`: a bar without weight ends no run, whatever its price.
    """
    runs = np.empty(x.shape[0], np.int64)
    other = -1  # the latest bar of weight with another price
    latest = -1  # the latest bar of weight
    for t in range(x.shape[0]):
        if weights[t] > 0.0:
            if latest >= 0 and x[t] != x[latest]:
                other = latest
            latest = t
        runs[t] = t - other
    return runs


@kernel
def rolling_weighted_average(x: Floats, weights: Floats, windows: Ints, out: Floats) -> None:
    """Write sum(weight * x) / sum(weight) of each window to out[p, t].

    weights: float64[T], not negative; windows: int64[P]. Exactly the price where all bars of weight
    have the same.
    """
    traded = traded_prices(x, weights)
    runs = traded_runs(x, weights)
    products = traded * weights
    for p in range(windows.shape[0]):
        window = windows[p]
        _rolling_ratio(products, weights, window, out[p])
        for t in range(x.shape[0]):
            if runs[t] >= window and not np.isnan(out[p, t]):
                out[p, t] = traded[t]


@part
def _rolling_ratio(top: Floats, bottom: Floats, window: int, out: Floats) -> None:
    """Write sum of top / sum of bottom over bars t - window + 1 .. t to out[t].

    Both are summed as in `rolling_sum`, in one go.
    """
    bars = top.shape[0]
    out[: min(window - 1, bars)] = np.nan
    if window > bars:
        return
    ends = np.zeros((2, window + 1))  # ends[:, j]: sums of the previous block from its bar j on
    next_ends = np.zeros((2, window + 1))
    for block in range(0, bars, window):
        stop = min(block + window, bars)
        _divide_sums(top[block:stop], bottom[block:stop], ends, next_ends, out[block:stop])
        if block == 0:
            out[: window - 1] = np.nan
        ends, next_ends = next_ends, ends


@part
def _divide_sums(top: Floats, bottom: Floats, ends: Floats, next_ends: Floats, out: Floats) -> None:
    """Do one block: heads and tails in one loop, as each waits for its own additions."""
    size = out.shape[0]
    top_head = bottom_head = top_tail = bottom_tail = 0.0
    for j in range(size):
        top_head += top[j]
        bottom_head += bottom[j]
        out[j] = (top_head + ends[0, j + 1]) / (bottom_head + ends[1, j + 1])
        top_tail += top[size - 1 - j]
        bottom_tail += bottom[size - 1 - j]
        next_ends[0, size - 1 - j] = top_tail
        next_ends[1, size - 1 - j] = bottom_tail


@kernel
def rolling_weighted_deviation(
    x: Floats, weights: Floats, runs: Ints, window: int, mean: Floats, deviation: Floats
) -> None:
    """Write the weighted mean of each window and the weighted root mean square distance to it.

    As `rolling_deviation`: Youngs and Cramer's recurrence with weights (West 1979) inside a block,
    relative to one bar of the window, the two parts joined by Chan's formula. `x` are the
    `traded_prices`, `runs` the `traded_runs`.
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


@part
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


@part
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
