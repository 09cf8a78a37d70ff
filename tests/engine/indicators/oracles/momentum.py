"""Momentum."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import talib

from tests.engine.indicators.oracles.series import Floats, from_first_value


def rsi(s: SimpleNamespace, window: int) -> Floats:
    values = talib.RSI(s.source, window)
    values[~np.logical_or.accumulate(s.source != s.source[0])] = np.nan
    return values


def macd_line(s: SimpleNamespace, fast: int, slow: int, **_: int) -> Floats:
    return talib.EMA(s.source, fast) - talib.EMA(s.source, slow)


def macd_hist(s: SimpleNamespace, fast: int, slow: int, signal: int) -> Floats:
    line = macd_line(s, fast, slow)
    return line - from_first_value(lambda x: talib.EMA(x, signal), line)


ORACLES: dict[str, Callable[..., Floats]] = {
    "momentum.rsi-rsi": rsi,
    "momentum.macd-hist": macd_hist,
    "momentum.macd-line": macd_line,
}

SLOW: frozenset[str] = frozenset()
