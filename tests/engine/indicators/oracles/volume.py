"""Volume."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import talib

from tests.engine.indicators.oracles.series import Floats, any_within, typical_price


def mfi(s: SimpleNamespace, window: int) -> Floats:
    values = talib.MFI(s.high, s.low, s.close, s.volume, window)
    typical = typical_price(s.high, s.low, s.close)
    moves = np.abs(np.diff(typical)) > 1e-13 * typical[1:]
    moved = np.append(False, moves & (s.volume[1:] > 0.0))
    return np.where(any_within(moved, window), values, np.nan)


def cmf(s: SimpleNamespace, window: int) -> Floats:
    values = talib.CMF(s.high, s.low, s.close, s.volume, window)
    return np.where(any_within(s.volume > 0.0, window), values, np.nan)


def vwap(s: SimpleNamespace, window: int) -> Floats:
    values = talib.VWMA(typical_price(s.high, s.low, s.close), s.volume, window)
    return np.where(any_within(s.volume > 0.0, window), values, np.nan)


def vwap_band(s: SimpleNamespace, window: int, mult: float) -> Floats:
    """Two passes over each window in extended precision."""
    typical = typical_price(s.high, s.low, s.close).astype(np.longdouble)
    values = np.full(typical.size, np.nan)
    for t in range(window - 1, typical.size):
        x, v = typical[t - window + 1 : t + 1], s.volume[t - window + 1 : t + 1]
        if v.any():
            mean = (v * x).sum() / v.sum()
            values[t] = mean + mult * np.sqrt((v * (x - mean) ** 2).sum() / v.sum())
    return values


ORACLES: dict[str, Callable[..., Floats]] = {
    "volume.ad_line-value": lambda s: talib.AD(s.high, s.low, s.close, s.volume),
    "volume.cmf-value": cmf,
    "volume.mfi-value": mfi,
    "volume.obv-value": lambda s: talib.OBV(s.close, s.volume),
    "volume.volume_sma-sma": lambda s, window: talib.SMA(s.volume, window),
    "volume.vwap-vwap": vwap,
    "volume.vwap_deviation-upper": lambda s, window, mult: vwap_band(s, window, mult),
    "volume.vwap_deviation-lower": lambda s, window, mult: vwap_band(s, window, -mult),
}

SLOW = frozenset({"volume.vwap_deviation-upper", "volume.vwap_deviation-lower"})
