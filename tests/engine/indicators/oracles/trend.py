"""Trend."""

from collections.abc import Callable

import talib

from tests.engine.indicators.oracles.series import Floats

ORACLES: dict[str, Callable[..., Floats]] = {
    "trend.supertrend-supertrend": lambda s, window, mult: talib.SUPERTREND(
        s.high, s.low, s.close, window, mult
    )[0],
}

SLOW: frozenset[str] = frozenset()
