"""Sliding windows whose result depends on the bars of the window only.

Running sums (add the new bar, subtract the old one) drag the rounding errors of the whole past
along. Here a window is the end of one block and the beginning of the next, both summed up from
nothing: for blocks as long as the window that is two additions per bar, no subtraction, and an
error relative to the values inside the window, whatever came before it.

On a window of equal inputs results are exact, by the run length of equal inputs: the mean is the
value and the deviation 0. All functions write NaN before the first full window.
"""

import numpy as np

from engine.compiled import Floats, Ints, kernel, part


@kernel
def equal_runs(x: Floats) -> Ints:
    """Return int64[T]: how many bars up to and including bar t have the value x[t]."""
    runs = np.empty(x.shape[0], np.int64)
    length = 0
    for t in range(x.shape[0]):
        length = length + 1 if t > 0 and x[t] == x[t - 1] else 1
        runs[t] = length
    return runs


@kernel
def rolling_sum(x: Floats, window: int, out: Floats) -> None:
    """Write the sum of x[t - window + 1 .. t] to out[t]."""
    bars = x.shape[0]
    out[: min(window - 1, bars)] = np.nan
    if window > bars:
        return
    ends = np.zeros(window + 1)  # ends[j] = sum of the previous block from its bar j on
    next_ends = np.zeros(window + 1)
    for block in range(0, bars, window):
        size = min(window, bars - block)
        head = 0.0
        if size == window:
            tail = 0.0
            for j in range(window):
                head += x[block + j]
                tail += x[block + window - 1 - j]
                next_ends[window - 1 - j] = tail
                out[block + j] = head + ends[j + 1]
        else:
            for j in range(size):
                head += x[block + j]
                out[block + j] = head + ends[j + 1]
        if block == 0:
            out[: window - 1] = np.nan
        ends, next_ends = next_ends, ends


@kernel
def rolling_mean(x: Floats, runs: Ints, window: int, out: Floats) -> None:
    """Write the mean of x[t - window + 1 .. t] to out[t]; `runs` are the `equal_runs` of x."""
    rolling_sum(x, window, out)
    for t in range(x.shape[0]):
        out[t] = x[t] if runs[t] >= window else out[t] / window


@kernel
def rolling_weighted_mean(x: Floats, runs: Ints, window: int, out: Floats) -> None:
    """Write the linearly weighted mean (newest bar: weight `window`) of each window to out[t]."""
    bars = x.shape[0]
    out[: min(window - 1, bars)] = np.nan
    if window > bars:
        return
    ends = np.zeros(window + 1)  # bars from j to the end of the previous block, weighted 1, 2, ...
    next_ends = np.zeros(window + 1)
    weights = window * (window + 1.0) / 2.0
    for block in range(0, bars, window):
        size = min(window, bars - block)
        head = 0.0
        weighted_head = 0.0
        for j in range(size):
            head += x[block + j]
            weighted_head += (j + 1.0) * x[block + j]
            total = (ends[j + 1] + weighted_head) + (window - 1 - j) * head
            out[block + j] = total / weights
        if size == window:
            tail = 0.0
            weighted_tail = 0.0
            for j in range(window - 1, -1, -1):
                tail += x[block + j]
                weighted_tail += tail
                next_ends[j] = weighted_tail
        if block == 0:
            out[: window - 1] = np.nan
        ends, next_ends = next_ends, ends
    for t in range(window - 1, bars):
        if runs[t] >= window:
            out[t] = x[t]


@kernel
def rolling_deviation(
    x: Floats, runs: Ints, window: int, deviation: Floats, offset: Floats
) -> None:
    """Write the population standard deviation of each window, and x[t] minus the window's mean.

    Youngs and Cramer's recurrence inside a block, the two parts joined by Chan's formula. Values
    are taken relative to one bar of the window (the first of the newer block), so that neither a
    high price level nor a small range costs digits.
    """
    bars = x.shape[0]
    deviation[: min(window - 1, bars)] = np.nan
    offset[: min(window - 1, bars)] = np.nan
    if window > bars:
        return
    share = 1.0 / np.arange(1, window + 1)
    end_squares = np.zeros(window + 1)  # of the previous block from its bar j on
    end_means = np.zeros(window + 1)
    next_squares = np.zeros(window + 1)
    next_means = np.zeros(window + 1)
    for block in range(0, bars, window):
        stop = min(block + window, bars)
        part, spread, middle = x[block:stop], deviation[block:stop], offset[block:stop]
        next_anchor = x[stop] if stop < bars else 0.0
        _grow_both_ways(part, next_anchor, share, spread, middle, next_squares, next_means)
        _join_halves(part, window, end_squares, end_means, spread, middle)
        if block == 0:
            deviation[: window - 1] = np.nan
            offset[: window - 1] = np.nan
        end_squares, next_squares = next_squares, end_squares
        end_means, next_means = next_means, end_means
    for t in range(window - 1, bars):
        if runs[t] >= window:
            deviation[t] = 0.0
            offset[t] = 0.0


@part
def _grow_both_ways(
    x: Floats,
    next_anchor: float,
    share: Floats,
    squares: Floats,
    means: Floats,
    end_squares: Floats,
    end_means: Floats,
) -> None:
    """Write mean and sum of squared deviations of every head x[:j + 1] and every tail x[j:].

    Heads are relative to x[0], tails to `next_anchor`; share[j] is 1 / (j + 1). Both in one loop:
    one alone waits for its own additions most of the time.
    """
    size = x.shape[0]
    anchor = x[0]
    head = head_mean = head_squares = 0.0
    tail = tail_mean = tail_squares = 0.0
    for j in range(size):
        growth = j * share[j]
        value = x[j] - anchor
        step = value - head_mean
        head += value
        head_mean = head * share[j]
        head_squares += step * step * growth
        means[j] = head_mean
        squares[j] = head_squares
        value = x[size - 1 - j] - next_anchor
        step = value - tail_mean
        tail += value
        tail_mean = tail * share[j]
        tail_squares += step * step * growth
        end_means[size - 1 - j] = tail_mean
        end_squares[size - 1 - j] = tail_squares


@part
def _join_halves(
    x: Floats,
    window: int,
    end_squares: Floats,
    end_means: Floats,
    squares: Floats,
    means: Floats,
) -> None:
    """Replace each head's sum of squares by its window's deviation, its mean by the offset."""
    part = 1.0 / window
    for j in range(x.shape[0]):
        older = (window - 1 - j) * part  # share of the window that belongs to the previous block
        gap = means[j] - end_means[j + 1]
        joined = squares[j] + end_squares[j + 1] + gap * gap * ((j + 1) * older)
        squares[j] = np.sqrt(joined * part)
        means[j] = (x[j] - x[0]) - (means[j] - gap * older)
