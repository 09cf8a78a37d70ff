"""Trend."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import talib

from tests.engine.indicators.oracles.series import Floats, from_first_value


def moves(s: SimpleNamespace) -> tuple[list[float], list[float], list[float]]:
    """+DM, -DM and true range of each bar but the first."""
    plus, minus, ranges = [], [], []
    high, low, close = s.high.tolist(), s.low.tolist(), s.close.tolist()
    for t in range(1, len(close)):
        up, down = high[t] - high[t - 1], low[t - 1] - low[t]
        plus.append(up if up > down and up > 0 else 0.0)
        minus.append(down if down > up and down > 0 else 0.0)
        before = close[t - 1]
        ranges.append(max(high[t], before) - min(low[t], before))
    return plus, minus, ranges


def di_diff(s: SimpleNamespace, window: int) -> Floats:
    result = talib.PLUS_DI(s.high, s.low, s.close, window)
    result = result - talib.MINUS_DI(s.high, s.low, s.close, window)
    return undefined_until(result, moves(s)[2])


def undefined_until(values: Floats, *causes: list[float]) -> Floats:
    """Take out what stands before the first bar (from 1 on) that has a cause other than 0."""
    values = values.copy()
    for t in range(1, values.size):
        if any(cause[t - 1] for cause in causes):
            break
        values[t] = np.nan
    return values


def adx(s: SimpleNamespace, window: int, smoothing: int) -> Floats:
    """TA-Lib seeds its ADX with a filler for every DX that is 0/0: then only its DX is compared."""
    plus, minus, _ = moves(s)
    dx = talib.DX(s.high, s.low, s.close, window)
    defined = undefined_until(dx, plus, minus)
    if smoothing == window and np.array_equal(dx, defined, equal_nan=True):
        return talib.ADX(s.high, s.low, s.close, window)
    return from_first_value(lambda x: talib.RMA(x, smoothing), defined)


def chandelier(s: SimpleNamespace, window: int, mult: float, side: str) -> Floats:
    reach = mult * talib.ATR(s.high, s.low, s.close, window)
    if side == "long":
        return talib.MAX(s.high, window) - reach
    return talib.MIN(s.low, window) + reach


def middle(s: SimpleNamespace, window: int) -> Floats:
    return talib.DONCHIAN(s.high, s.low, window)[1]


def delayed(values: Floats, bars: int) -> Floats:
    return np.append(np.full(bars, np.nan), values)[: values.size]


def span_a(s: SimpleNamespace, conversion: int, base: int, displacement: int, **_: int) -> Floats:
    return delayed((middle(s, conversion) + middle(s, base)) / 2.0, displacement)


def keltner(s: SimpleNamespace, window: int, mult: float) -> tuple[Floats, Floats, Floats]:
    """Upper, middle, lower."""
    upper, centre, lower = talib.KC(s.high, s.low, s.close, window, window, mult)
    return upper, centre, lower


def slope(s: SimpleNamespace, window: int) -> Floats:
    """TA-Lib's LINEARREG_SLOPE in extended precision: it subtracts large sums of the prices."""
    x = s.source.astype(np.longdouble)
    result = np.full(x.size, np.nan)
    if window > x.size:
        return result
    total = np.zeros(x.size - window + 1, dtype=np.longdouble)
    spread = np.longdouble(0.0)
    for lag in range(window):
        distance = np.longdouble(window - 1) / 2 - lag
        total += distance * x[window - 1 - lag : x.size - lag]
        spread += distance * distance
    result[window - 1 :] = total / spread
    return result


def vortex(s: SimpleNamespace, window: int) -> tuple[Floats, Floats]:
    ranges = np.array([1.0, *moves(s)[2]])
    plus, minus = talib.VORTEX(s.high, s.low, s.close, window)
    moves_within = np.cumsum(ranges != 0.0)
    moves_within[window:] -= moves_within[:-window].copy()
    plus[moves_within == 0] = minus[moves_within == 0] = np.nan
    return plus, minus


ORACLES: dict[str, Callable[..., Floats]] = {
    "trend.adx-di_diff": lambda s, window, **_: di_diff(s, window),
    "trend.adx-adx": adx,
    "trend.aroon-osc": lambda s, window: talib.AROONOSC(s.high, s.low, window),
    "trend.chandelier_exit-long_stop": lambda s, **p: chandelier(s, **p, side="long"),
    "trend.chandelier_exit-short_stop": lambda s, **p: chandelier(s, **p, side="short"),
    "trend.donchian-middle": middle,
    "trend.donchian-upper": lambda s, window: talib.DONCHIAN(s.high, s.low, window)[0],
    "trend.donchian-lower": lambda s, window: talib.DONCHIAN(s.high, s.low, window)[2],
    "trend.ichimoku-span_a": span_a,
    "trend.ichimoku-span_b": lambda s, span_b, displacement, **_: delayed(
        middle(s, span_b), displacement
    ),
    "trend.ichimoku-tk_diff": lambda s, conversion, base, **_: (
        middle(s, conversion) - middle(s, base)
    ),
    "trend.keltner-middle": lambda s, window, **_: keltner(s, window, 1.0)[1],
    "trend.keltner-upper": lambda s, window, mult: keltner(s, window, mult)[0],
    "trend.keltner-lower": lambda s, window, mult: keltner(s, window, mult)[2],
    "trend.linreg_slope-slope": slope,
    "trend.psar-psar": lambda s, accel_start, accel_step, accel_max: abs(
        talib.SAREXT(s.high, s.low, 0.0, 0.0, *(accel_start, accel_step, accel_max) * 2)
    ),
    "trend.supertrend-supertrend": lambda s, window, mult: talib.SUPERTREND(
        s.high, s.low, s.close, window, mult
    )[0],
    "trend.vortex-vi_plus": lambda s, window: vortex(s, window)[0],
    "trend.vortex-vi_diff": lambda s, window: np.subtract(*vortex(s, window)),
}

SLOW: frozenset[str] = frozenset()
