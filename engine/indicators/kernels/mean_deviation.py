"""The commodity channel index, and the mean absolute deviation it is measured in."""

import numpy as np

from engine.compiled import Floats, Ints, kernel, part
from engine.indicators.kernels.prices import hlc3
from engine.indicators.kernels.windows import equal_runs

LAMBERT = 0.015  # puts most values between -100 and 100
ROUNDING = 1e-14  # relative; the mean of three prices is rounded, so nearer ones are equal
STRIP = 256  # bars whose sums stay in the nearest cache


@kernel
def cci(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. Undefined (0/0) where the typical price has not moved for a window."""
    typical = _typical(inputs[0], inputs[1], inputs[2])
    runs = equal_runs(typical)
    offset = np.empty(typical.shape[0])
    for p in range(out.shape[0]):
        window = int(params[p, 0])
        rolling_offset(typical, runs, window, offset)
        rolling_mean_deviation(typical, offset, runs, window, out[p])
        for t in range(offset.shape[0]):
            out[p, t] = offset[t] / (LAMBERT * out[p, t])


@part
def _typical(high: Floats, low: Floats, close: Floats) -> Floats:
    """Return the typical price; the same sum added up from other prices is the same."""
    typical = hlc3(high, low, close)
    for t in range(1, typical.shape[0]):
        if abs(typical[t] - typical[t - 1]) <= ROUNDING * typical[t]:
            typical[t] = typical[t - 1]
    return typical


@part
def rolling_offset(x: Floats, runs: Ints, window: int, out: Floats) -> None:
    """Write x[t] minus the mean of x[t - window + 1 .. t] to out[t]; `runs`: `equal_runs` of x.

    Summed as in `rolling_sum`, but relative to one bar of the window (the first of the newer
    block), so that a small range on a high price keeps its digits.
    """
    bars = x.shape[0]
    out[: min(window - 1, bars)] = np.nan
    if window > bars:
        return
    ends = np.zeros(window + 1)  # ends[j] = sum of the previous block from its bar j on
    next_ends = np.zeros(window + 1)
    for block in range(0, bars, window):
        stop = min(block + window, bars)
        next_anchor = x[stop] if stop < bars else 0.0
        _offsets(x[block:stop], next_anchor, window, ends, next_ends, out[block:stop])
        if block == 0:
            out[: window - 1] = np.nan
        ends, next_ends = next_ends, ends
    for t in range(window - 1, bars):
        if runs[t] >= window:
            out[t] = 0.0


@part
def _offsets(
    x: Floats, next_anchor: float, window: int, ends: Floats, next_ends: Floats, out: Floats
) -> None:
    """Do one block: heads relative to x[0], tails to `next_anchor`."""
    size = x.shape[0]
    anchor = x[0]
    head = tail = 0.0
    for j in range(size):
        value = x[j] - anchor
        head += value
        out[j] = value - (head + ends[j + 1]) / window
        tail += x[size - 1 - j] - next_anchor
        next_ends[size - 1 - j] = tail


@part
def rolling_mean_deviation(x: Floats, offset: Floats, runs: Ints, window: int, out: Floats) -> None:
    """Write the mean of abs(x[i] - mean) over i = t - window + 1 .. t to out[t].

    `offset` is x[t] minus the mean, `runs` are the `equal_runs` of x. Takes `window` steps per bar,
    on many bars at a time: no sum can be carried over, because every bar has a mean of its own.
    """
    bars = x.shape[0]
    out[: min(window - 1, bars)] = np.nan
    for start in range(window - 1, bars, STRIP):
        stop = min(start + STRIP, bars)
        _add_distances(x, offset[start:stop], window, start, out[start:stop])
        for t in range(start, stop):
            out[t] = 0.0 if runs[t] >= window else out[t] / window


@part
def _add_distances(x: Floats, offset: Floats, window: int, start: int, out: Floats) -> None:
    """Write the sum of abs(x[t - lag] - mean) over the lags 0 .. window - 1 to each bar of out."""
    count = out.shape[0]
    now = x[start : start + count]
    for i in range(count):
        out[i] = abs(offset[i])
    lag = 1
    while lag + 3 < window:  # four lags at a time: the sums are loaded and stored less often
        a, b = _lagged(x, start - lag, count), _lagged(x, start - lag - 1, count)
        c, d = _lagged(x, start - lag - 2, count), _lagged(x, start - lag - 3, count)
        for i in range(count):
            value = now[i]
            gap = offset[i]
            out[i] += (abs((a[i] - value) + gap) + abs((b[i] - value) + gap)) + (
                abs((c[i] - value) + gap) + abs((d[i] - value) + gap)
            )
        lag += 4
    while lag < window:
        a = _lagged(x, start - lag, count)
        for i in range(count):
            out[i] += abs((a[i] - now[i]) + offset[i])
        lag += 1


@part
def _lagged(x: Floats, start: int, count: int) -> Floats:
    return x[start : start + count]
