"""Volatility."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view

from tests.engine.indicators.oracles.series import Floats, band


def percent_b(s: SimpleNamespace, window: int, mult: float) -> Floats:
    values = np.full(s.source.size, np.nan)
    if window <= values.size:
        parts = sliding_window_view(s.source.astype(np.longdouble), window)
        moved = (parts != parts[:, :1]).any(axis=1)
        parts = parts[moved]
        mean = parts.mean(axis=1)
        half = mult * np.sqrt(((parts - mean[:, None]) ** 2).mean(axis=1))
        values[window - 1 :][moved] = (parts[:, -1] - (mean - half)) / (2.0 * half)
    return values


def bandwidth(s: SimpleNamespace, window: int, **_: float) -> Floats:
    middle, _lower, _upper, deviation = band(s.source, window, 2.0)
    return 4.0 * deviation / middle


def natr(s: SimpleNamespace, window: int) -> Floats:
    if window == 1:  # here TA-Lib prints the true range itself
        return 100.0 * talib.ATR(s.high, s.low, s.close, 1) / s.close
    return talib.NATR(s.high, s.low, s.close, window)


def hv(s: SimpleNamespace, window: int) -> Floats:
    values = np.full(s.source.size, np.nan)
    x = s.source.astype(np.longdouble)
    returns = np.log(x[1:] / x[:-1])
    if window <= returns.size:
        parts = sliding_window_view(returns, window)
        values[window:] = 100.0 * np.sqrt(365.0) * parts.std(axis=1, ddof=1)
    return values


ORACLES: dict[str, Callable[..., Floats]] = {
    "volatility.tr-value": lambda s: talib.TRANGE(s.high, s.low, s.close),
    "volatility.atr-value": lambda s, window: talib.ATR(s.high, s.low, s.close, window),
    "volatility.natr-value": natr,
    "volatility.stddev-value": lambda s, window: talib.STDDEV(s.source, window),
    "volatility.hv-value": hv,
    "volatility.bbands-middle": lambda s, window, **_: talib.SMA(s.source, window),
    "volatility.bbands-upper": lambda s, window, mult: band(s.source, window, mult)[2],
    "volatility.bbands-lower": lambda s, window, mult: band(s.source, window, mult)[1],
    "volatility.bbands-percent_b": percent_b,
    "volatility.bbands-bandwidth": bandwidth,
}

SLOW: frozenset[str] = frozenset({"volatility.hv-value"}) | {
    f"volatility.bbands-{output}" for output in ("upper", "lower", "percent_b", "bandwidth")
}
