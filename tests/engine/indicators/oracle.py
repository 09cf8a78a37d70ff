"""What every output has to be: TA-Lib where it has the function, else a slow plain formula.

A new output needs one line in `ORACLES`: its series of one stretch without holes (`s.source`,
`s.high`, …) and its parameters by name to float64[T]. A `filler` of TA-Lib, printed where the
value is 0/0, is taken out by the formula here.
"""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import talib
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sma(x: Floats, window: int) -> Floats:
    return talib.SMA(x, window)


def from_first_value(function: Callable[[Floats], Floats], x: Floats) -> Floats:
    """Apply a function to what follows the leading NaNs."""
    result = np.full(x.size, np.nan)
    begin = int(np.isnan(x).sum())
    if begin < x.size:
        result[begin:] = function(x[begin:])
    return result


def cross(s: SimpleNamespace, ma: str, fast: int, slow: int) -> Floats:
    average = {"sma": talib.SMA, "ema": talib.EMA, "wma": talib.WMA}[ma]
    return average(s.source, fast) - average(s.source, slow)


def rsi(s: SimpleNamespace, window: int) -> Floats:
    values = talib.RSI(s.source, window)
    values[~np.logical_or.accumulate(s.source != s.source[0])] = np.nan
    return values


def macd_line(s: SimpleNamespace, fast: int, slow: int, **_: int) -> Floats:
    return talib.EMA(s.source, fast) - talib.EMA(s.source, slow)


def macd_hist(s: SimpleNamespace, fast: int, slow: int, signal: int) -> Floats:
    line = macd_line(s, fast, slow)
    return line - from_first_value(lambda x: talib.EMA(x, signal), line)


def mfi(s: SimpleNamespace, window: int) -> Floats:
    values = talib.MFI(s.high, s.low, s.close, s.volume, window)
    typical = (s.high + s.low + s.close) / 3.0
    moves = np.abs(np.diff(typical)) > 1e-13 * typical[1:]
    moved = np.append(False, moves & (s.volume[1:] > 0.0))
    for t in range(window, values.size):
        if not moved[t - window + 1 : t + 1].any():
            values[t] = np.nan
    return values


def band(x: Floats, window: int, mult: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean, lower, upper and deviation of each window: two passes in extended precision."""
    columns = np.full((4, x.size), np.nan)
    for t in range(window - 1, x.size):
        part = x[t - window + 1 : t + 1].astype(np.longdouble)
        mean = part.mean()
        deviation = np.sqrt(((part - mean) ** 2).mean())
        if (part == part[0]).all():
            mean, deviation = part[0], np.longdouble(0.0)
        columns[:, t] = mean, mean - mult * deviation, mean + mult * deviation, deviation
    return columns[0], columns[1], columns[2], columns[3]


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


ORACLES: dict[str, Callable[..., Floats]] = {
    "ma.sma-ma": lambda s, window: talib.SMA(s.source, window),
    "ma.ema-ma": lambda s, window: talib.EMA(s.source, window),
    "ma.cross-diff": cross,
    "momentum.rsi-rsi": rsi,
    "momentum.macd-hist": macd_hist,
    "momentum.macd-line": macd_line,
    "trend.supertrend-supertrend": lambda s, window, mult: talib.SUPERTREND(
        s.high, s.low, s.close, window, mult
    )[0],
    "volatility.atr-value": lambda s, window: talib.ATR(s.high, s.low, s.close, window),
    "volatility.bbands-middle": lambda s, window, **_: talib.SMA(s.source, window),
    "volatility.bbands-upper": lambda s, window, mult: band(s.source, window, mult)[2],
    "volatility.bbands-lower": lambda s, window, mult: band(s.source, window, mult)[1],
    "volatility.bbands-percent_b": percent_b,
    "volatility.bbands-bandwidth": bandwidth,
    "volume.mfi-value": mfi,
}
