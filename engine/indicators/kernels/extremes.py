"""Highest and lowest values of sliding windows, and how far the latest two lie apart.

A window is the end of one block and the beginning of the next: two running extremes, one back from
the end of the older block and one forward through the newer, cover it in three comparisons per bar
whatever its length (van Herk, Gil and Werman). A monotonic queue needs as many on average but
mispredicts a branch every few bars: it took ten times as long.

Series must be finite. All functions write NaN before the first full window.
"""

import numpy as np

from engine.compiled import Floats, inlined, kernel, part


@kernel
def highest(x: Floats, window: int, out: Floats) -> None:
    """Write the highest of x[t - window + 1 .. t] to out[t]."""
    _extreme(x, window, 1.0, out)


@kernel
def lowest(x: Floats, window: int, out: Floats) -> None:
    """Write the lowest of x[t - window + 1 .. t] to out[t]."""
    _extreme(x, window, -1.0, out)


@part
def _extreme(x: Floats, window: int, sign: float, out: Floats) -> None:
    """Write sign times the highest of sign * x."""
    bars = x.shape[0]
    out[: min(window - 1, bars)] = np.nan
    if window > bars:
        return
    ends = np.full(window + 1, -np.inf)  # ends[j] = highest of the previous block from bar j on
    next_ends = np.full(window + 1, -np.inf)
    for block in range(0, bars, window):
        size = min(window, bars - block)
        head = -np.inf
        if size == window:
            tail = -np.inf
            for j in range(window):
                head = _higher(head, sign * x[block + j])
                tail = _higher(tail, sign * x[block + window - 1 - j])
                next_ends[window - 1 - j] = tail
                out[block + j] = sign * _higher(head, ends[j + 1])
        else:
            for j in range(size):
                head = _higher(head, sign * x[block + j])
                out[block + j] = sign * _higher(head, ends[j + 1])
        if block == 0:
            out[: window - 1] = np.nan
        ends, next_ends = next_ends, ends


@inlined
def _higher(left: float, right: float) -> float:
    """`max`, in the form that is one machine instruction."""
    return left if left > right else right


@kernel
def latest_high_since_low(high: Floats, low: Floats, window: int, out: Floats) -> None:
    """Write by how many bars the latest highest high of a window follows its latest lowest low."""
    bars = high.shape[0]
    out[: min(window - 1, bars)] = np.nan
    if window > bars:
        return
    tops = np.full(window + 1, -np.inf)  # extremes of the previous block from bar j on ...
    bottoms = np.full(window + 1, np.inf)
    top_bars = np.zeros(window + 1)  # ... and their latest bars, counted from the newer block
    bottom_bars = np.zeros(window + 1)
    for block in range(0, bars, window):
        size = min(window, bars - block)
        top, bottom, top_bar, bottom_bar = -np.inf, np.inf, 0.0, 0.0
        for j in range(size):
            top_bar = float(j) if high[block + j] >= top else top_bar
            top = _higher(top, high[block + j])
            bottom_bar = float(j) if low[block + j] <= bottom else bottom_bar
            bottom = bottom if bottom < low[block + j] else low[block + j]
            latest_top = top_bar if top >= tops[j + 1] else top_bars[j + 1]
            latest_bottom = bottom_bar if bottom <= bottoms[j + 1] else bottom_bars[j + 1]
            out[block + j] = latest_top - latest_bottom
        if block == 0:
            out[: window - 1] = np.nan
        if size == window:
            top, bottom, top_bar, bottom_bar = -np.inf, np.inf, 0.0, 0.0
            for j in range(window - 1, -1, -1):
                top_bar = float(j - window) if high[block + j] > top else top_bar
                top = _higher(top, high[block + j])
                bottom_bar = float(j - window) if low[block + j] < bottom else bottom_bar
                bottom = bottom if bottom < low[block + j] else low[block + j]
                tops[j], bottoms[j] = top, bottom
                top_bars[j], bottom_bars[j] = top_bar, bottom_bar
