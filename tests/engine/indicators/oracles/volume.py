"""Volume."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import talib

from tests.engine.indicators.oracles.series import Floats


def mfi(s: SimpleNamespace, window: int) -> Floats:
    values = talib.MFI(s.high, s.low, s.close, s.volume, window)
    typical = (s.high + s.low + s.close) / 3.0
    moves = np.abs(np.diff(typical)) > 1e-13 * typical[1:]
    moved = np.append(False, moves & (s.volume[1:] > 0.0))
    for t in range(window, values.size):
        if not moved[t - window + 1 : t + 1].any():
            values[t] = np.nan
    return values


ORACLES: dict[str, Callable[..., Floats]] = {
    "volume.mfi-value": mfi,
}

SLOW: frozenset[str] = frozenset()
