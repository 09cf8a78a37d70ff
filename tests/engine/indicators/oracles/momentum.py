"""Momentum."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tests.engine.indicators.oracles.series import (
    Floats,
    any_within,
    from_first_value,
    typical_price,
)


def rsi(s: SimpleNamespace, window: int) -> Floats:
    values = talib.RSI(s.source, window)
    values[~np.logical_or.accumulate(s.source != s.source[0])] = np.nan
    return values


def macd_line(s: SimpleNamespace, fast: int, slow: int, **_: int) -> Floats:
    return talib.EMA(s.source, fast) - talib.EMA(s.source, slow)


def ppo_line(s: SimpleNamespace, fast: int, slow: int, **_: int) -> Floats:
    return 100.0 * macd_line(s, fast, slow) / talib.EMA(s.source, slow)


def trix(s: SimpleNamespace, window: int, **_: int) -> Floats:
    return talib.TRIX(s.source, window)


def histogram(line: Callable[..., Floats]) -> Callable[..., Floats]:
    """The line less its exponential average."""

    def oracle(s: SimpleNamespace, signal: int, **windows: int) -> Floats:
        values = line(s, **windows)
        return values - from_first_value(lambda x: talib.EMA(x, signal), values)

    return oracle


def cci(s: SimpleNamespace, window: int) -> Floats:
    values = talib.CCI(s.high, s.low, s.close, window)
    typical = typical_price(s.high, s.low, s.close)
    moved = np.append(False, np.abs(np.diff(typical)) > 1e-13 * typical[1:])
    if window == 1:  # which holds no move
        return np.full(values.size, np.nan)
    return np.where(any_within(moved, window - 1), values, np.nan)


def of_windows(function: Callable[..., Floats], x: Floats, window: int) -> Floats:
    """A function of each full window, NaN before the first."""
    values = np.full(x.size, np.nan)
    if window <= x.size:
        values[window - 1 :] = function(sliding_window_view(x, window), axis=1)
    return values


def without_range(high: Floats, low: Floats, window: int) -> NDArray[np.bool_]:
    return np.asarray(of_windows(np.max, high, window) == of_windows(np.min, low, window))


def williams_r(s: SimpleNamespace, window: int) -> Floats:
    values = talib.WILLR(s.high, s.low, s.close, window)
    values[without_range(s.high, s.low, window)] = np.nan
    return values


def position(high: Floats, low: Floats, close: Floats, window: int) -> Floats:
    """Where the close stands in the range of the window, 0..100."""
    values, _ = talib.STOCHF(high, low, close, window, 1, 0)
    values[without_range(high, low, window)] = np.nan
    return values


def stoch_k(s: SimpleNamespace, k: int, smoothing: int, **_: int) -> Floats:
    return of_windows(np.mean, position(s.high, s.low, s.close, k), smoothing)


def stoch_d(s: SimpleNamespace, k: int, smoothing: int, d: int) -> Floats:
    return of_windows(np.mean, stoch_k(s, k, smoothing), d)


def stoch_rsi_k(s: SimpleNamespace, k: int, smoothing: int, **others: int) -> Floats:
    strength = rsi(s, others["rsi"])
    for t in np.flatnonzero(np.diff(s.source) == 0.0) + 1:
        if t > others["rsi"]:
            strength[t] = strength[t - 1]
    raw = from_first_value(lambda x: position(x, x, x, k), strength)
    return of_windows(np.mean, raw, smoothing)


def stoch_rsi_d(s: SimpleNamespace, d: int, **others: int) -> Floats:
    return of_windows(np.mean, stoch_rsi_k(s, **others), d)


def fisher(s: SimpleNamespace, window: int) -> Floats:
    middle = (s.high + s.low) / 2.0
    high, low = of_windows(np.max, middle, window), of_windows(np.min, middle, window)
    values = np.full(middle.size, np.nan)
    v = f = 0.0
    for t in range(window - 1, middle.size):
        x = 0.0
        if high[t] > low[t]:
            x = 2.0 * (middle[t] - low[t]) / (high[t] - low[t]) - 1.0
        v = 0.33 * x + 0.67 * v
        if abs(v) > 0.99:
            v = math.copysign(0.999, v)
        f = 0.5 * math.log((1.0 + v) / (1.0 - v)) + 0.5 * f
        values[t] = f
    return values


ORACLES: dict[str, Callable[..., Floats]] = {
    "momentum.rsi-rsi": rsi,
    "momentum.roc-roc": lambda s, window: talib.ROC(s.source, window),
    "momentum.cci-value": cci,
    "momentum.williams_r-value": williams_r,
    "momentum.macd-hist": histogram(macd_line),
    "momentum.macd-line": macd_line,
    "momentum.ppo-hist": histogram(ppo_line),
    "momentum.ppo-line": ppo_line,
    "momentum.trix-trix": trix,
    "momentum.trix-hist": histogram(trix),
    "momentum.stoch-k": stoch_k,
    "momentum.stoch-d": stoch_d,
    "momentum.stoch_rsi-k": stoch_rsi_k,
    "momentum.stoch_rsi-d": stoch_rsi_d,
    "momentum.fisher-fisher": fisher,
}

SLOW: frozenset[str] = frozenset()
