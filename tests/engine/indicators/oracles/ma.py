"""Moving averages."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import talib

from tests.engine.indicators.oracles.series import Floats, any_within


def cross(s: SimpleNamespace, ma: str, fast: int, slow: int) -> Floats:
    average = {"sma": talib.SMA, "ema": talib.EMA, "wma": talib.WMA}[ma]
    return average(s.source, fast) - average(s.source, slow)


def vwma(s: SimpleNamespace, window: int) -> Floats:
    values = talib.VWMA(s.source, s.volume, window)
    return np.where(any_within(s.volume != 0.0, window), values, np.nan)


ORACLES: dict[str, Callable[..., Floats]] = {
    "ma.sma-ma": lambda s, window: talib.SMA(s.source, window),
    "ma.ema-ma": lambda s, window: talib.EMA(s.source, window),
    "ma.wma-ma": lambda s, window: talib.WMA(s.source, window),
    "ma.rma-ma": lambda s, window: talib.RMA(s.source, window),
    "ma.dema-ma": lambda s, window: talib.DEMA(s.source, window),
    "ma.tema-ma": lambda s, window: talib.TEMA(s.source, window),
    "ma.kama-ma": lambda s, window: talib.KAMA(s.source, window),
    "ma.hma-ma": lambda s, window: talib.HMA(s.source, window),
    "ma.zlema-ma": lambda s, window: talib.ZLEMA(s.source, window),
    "ma.vwma-vwma": vwma,
    "ma.cross-diff": cross,
}

SLOW: frozenset[str] = frozenset()
