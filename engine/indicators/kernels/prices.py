"""One price for a bar: the mean of some of its prices, and of equal ones exactly that price.

`(x + x + x) / 3` differs from x for a quarter of all doubles: an average of it would trade every
bar of an outage. Whoever needs such a price takes it from here.
"""

import numpy as np

from engine.compiled import Floats, inlined, kernel


@inlined
def middle_price(high: float, low: float) -> float:
    """Return (high + low) / 2."""
    return high if high == low else (high + low) / 2.0


@inlined
def typical_price(high: float, low: float, close: float) -> float:
    """Return (high + low + close) / 3."""
    flat = (high == close) & (low == close)
    return close if flat else (high + low + close) / 3.0


@kernel
def hl2(high: Floats, low: Floats) -> Floats:
    """Return the middle price of each bar, float64[T]."""
    result = np.empty(high.shape[0])
    for t in range(high.shape[0]):
        result[t] = middle_price(high[t], low[t])
    return result


@kernel
def hlc3(high: Floats, low: Floats, close: Floats) -> Floats:
    """Return the typical price of each bar, float64[T]."""
    result = np.empty(high.shape[0])
    for t in range(high.shape[0]):
        result[t] = typical_price(high[t], low[t], close[t])
    return result


@kernel
def ohlc4(opened: Floats, high: Floats, low: Floats, close: Floats) -> Floats:
    """Return (open + high + low + close) / 4 of each bar, float64[T]."""
    result = np.empty(high.shape[0])
    for t in range(high.shape[0]):
        flat = (opened[t] == close[t]) & (high[t] == close[t]) & (low[t] == close[t])
        result[t] = close[t] if flat else (opened[t] + high[t] + low[t] + close[t]) / 4.0
    return result
