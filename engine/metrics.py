"""Metrics of one variant, by the same compiled functions that rank variants in the sweep."""

import numpy as np
from numpy.typing import NDArray

from engine.kernels import ExecutionRules, Trades
from engine.metric_names import METRICS

__all__ = ["METRICS", "equity_curve", "variant_metrics"]

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


def equity_curve(trades: Trades, closes: Float64, rules: ExecutionRules) -> Float64:
    """float64[n]: available cash + safe + position value at each traded close, after its actions."""
    raise NotImplementedError


def variant_metrics(
    trades: Trades, equity: Float64, close_times_ms: Int64, rules: ExecutionRules
) -> dict[str, float | None]:
    """Every metric of `METRICS`, bit for bit the numbers the sweep ranks by.

    `equity` is `equity_curve(...)`, `close_times_ms` int64[n] the close times of the traded bars.
    Undefined is None; so is an infinite ratio (positive numerator, zero denominator), which
    nevertheless ranks first.
    """
    raise NotImplementedError
