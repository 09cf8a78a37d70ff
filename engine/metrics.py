"""Metrics of one variant, by the same compiled functions that rank variants in the sweep."""

import math

import numpy as np
from numpy.typing import NDArray

from engine.kernels import ExecutionRules, Trades
from engine.kernels.inputs import costs_of, day_ends, market_of
from engine.kernels.measures import all_metrics
from engine.kernels.variant import curve_of
from engine.metric_names import METRICS

__all__ = ["METRICS", "defined", "equity_curve", "variant_metrics"]

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


def equity_curve(trades: Trades, closes: Float64, rules: ExecutionRules) -> Float64:
    """Return float64[n]: cash, safe and position value at each traded close, after its actions."""
    costs = costs_of(rules)
    curve: Float64 = curve_of(
        trades.entry_bar,
        trades.exit_bar,
        trades.direction > 0,
        market_of(closes, costs),
        costs,
    )
    return curve[: len(closes)]


def variant_metrics(
    trades: Trades, equity: Float64, close_times_ms: Int64, rules: ExecutionRules
) -> dict[str, float | None]:
    """Return every metric of `METRICS`, bit for bit the numbers the sweep ranks by.

    `equity` is `equity_curve(...)`, `close_times_ms` int64[n] the close times of the traded bars.
    Undefined is None; so is an infinite ratio (positive numerator, zero denominator), which
    nevertheless ranks first.
    """
    costs = costs_of(rules)
    balance = trades.available[-1] + trades.safe[-1] if len(trades) else costs.init_cash
    values = np.empty(len(METRICS))
    all_metrics(
        trades.net, trades.quote, float(balance), equity, day_ends(close_times_ms), costs, values
    )
    return {name: defined(value) for name, value in zip(METRICS, values.tolist(), strict=True)}


def defined(value: float | None) -> float | None:
    """Return a figure as it is stored: None unless it is a finite number."""
    return value if value is not None and math.isfinite(value) else None
