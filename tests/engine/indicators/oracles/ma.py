"""Moving averages."""

from collections.abc import Callable
from types import SimpleNamespace

import talib

from tests.engine.indicators.oracles.series import Floats


def cross(s: SimpleNamespace, ma: str, fast: int, slow: int) -> Floats:
    average = {"sma": talib.SMA, "ema": talib.EMA, "wma": talib.WMA}[ma]
    return average(s.source, fast) - average(s.source, slow)


ORACLES: dict[str, Callable[..., Floats]] = {
    "ma.sma-ma": lambda s, window: talib.SMA(s.source, window),
    "ma.ema-ma": lambda s, window: talib.EMA(s.source, window),
    "ma.cross-diff": cross,
}

SLOW: frozenset[str] = frozenset()
