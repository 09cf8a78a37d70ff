"""Volatility."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import talib

from tests.engine.indicators.oracles.series import Floats, band


def percent_b(s: SimpleNamespace, window: int, mult: float) -> Floats:
    values = np.full(s.source.size, np.nan)
    for t in range(window - 1, values.size):
        part = s.source[t - window + 1 : t + 1].astype(np.longdouble)
        half = mult * np.sqrt(((part - part.mean()) ** 2).mean())
        if (part != part[0]).any():
            values[t] = (part[-1] - (part.mean() - half)) / (2.0 * half)
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
    for t in range(window, values.size):
        values[t] = 100.0 * np.sqrt(365.0) * returns[t - window : t].std(ddof=1)
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
