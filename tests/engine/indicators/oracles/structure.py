"""Structure of candles and prices."""

from collections.abc import Callable
from decimal import Decimal, localcontext
from types import SimpleNamespace

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view

from tests.engine.indicators.oracles.series import Floats

DIGITS = 150


def body(s: SimpleNamespace) -> Floats:
    return np.abs(s.close - s.open)


def candle_body(s: SimpleNamespace) -> Floats:
    width = s.high - s.low
    return np.divide(body(s), width, out=np.full(width.size, np.nan), where=width > 0.0)


def in_units_of(unit: Floats, x: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return x / unit


def distance_to_ma(s: SimpleNamespace, window: int) -> Floats:
    """With 150 digits: in an outage price and average come as close as that."""
    distance = np.full(s.source.size, np.nan)
    with localcontext() as context:
        context.prec = DIGITS
        x = [Decimal(value) for value in s.source.tolist()]
        average = sum(x[:window]) / window
        alpha = Decimal(2) / (window + 1)
        for t in range(window, len(x)):
            average += alpha * (x[t] - average)
            distance[t] = x[t] - average
    return in_units_of(talib.ATR(s.high, s.low, s.close, window), distance)


def zscore(s: SimpleNamespace, window: int) -> Floats:
    values = np.full(s.source.size, np.nan)
    if window <= values.size:
        parts = sliding_window_view(s.source.astype(np.longdouble), window)
        moved = (parts != parts[:, :1]).any(axis=1)
        parts = parts[moved]
        scores = (parts[:, -1] - parts.mean(axis=1)) / parts.std(axis=1)
        values[window - 1 :][moved] = scores
    return values


def percent_rank(s: SimpleNamespace, window: int) -> Floats:
    """Undefined where a price equals all those before it: an outage is not a low."""
    values = talib.PERCENTRANK(s.source, window)
    if window < values.size:
        before = sliding_window_view(s.source, window)[:-1]
        values[window:][(before == s.source[window:, None]).all(axis=1)] = np.nan
    return values


def pivots(s: SimpleNamespace, left: int, right: int) -> Floats:
    """TA-Lib reports a pivot on the bar that confirms it."""
    tops, bottoms = talib.FRACTAL(s.high, s.low, left, right)
    values = np.full(s.high.size, np.nan)
    last = 0.0
    for t in range(left + right, values.size):
        if (tops[t] != 0) != (bottoms[t] != 0):
            last = 1.0 if bottoms[t] != 0 else -1.0
        values[t] = last
    return values


ORACLES: dict[str, Callable[..., Floats]] = {
    "structure.candle_body-body_pct": candle_body,
    "structure.candle_body_atr-body_atr": lambda s, atr_window: in_units_of(
        talib.ATR(s.high, s.low, s.close, atr_window), body(s)
    ),
    "structure.distance_to_ma-distance": distance_to_ma,
    "structure.zscore-zscore": zscore,
    "structure.percent_rank-rank": percent_rank,
    "structure.pivots-last_pivot": pivots,
}

SLOW = frozenset({"structure.zscore-zscore"})
