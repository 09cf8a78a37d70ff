"""Metrics of one variant, by the same compiled functions that rank variants in the sweep."""

import math

import numpy as np
from numpy.typing import NDArray

from engine.kernels import ExecutionRules, Trades
from engine.kernels.account import Market
from engine.kernels.inputs import costs_of, day_ends, market_of
from engine.kernels.measures import all_metrics
from engine.kernels.variant import curve_of
from engine.metric_names import METRICS

__all__ = ["METRICS", "equity_curve", "variant_metrics"]

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


def equity_curve(
    trades: Trades, closes: Float64, rules: ExecutionRules, *, market: Market | None = None
) -> Float64:
    """Return float64[n]: cash, safe and position value at each traded close, after its actions.

    `market` is `market_of(closes, costs)`: whoever needs many curves makes it once.
    """
    costs = costs_of(rules)
    curve: Float64 = curve_of(
        trades.entry_bar,
        trades.exit_bar,
        trades.direction > 0,
        trades.exit_price,
        trades.way,
        market or market_of(closes, costs),
        costs,
    )
    return curve[: len(closes)]


def variant_metrics(
    trades: Trades, equity: Float64, open_times_ms: Int64, rules: ExecutionRules
) -> dict[str, float | None]:
    """Return every metric of `METRICS`, bit for bit the numbers the sweep ranks by.

    `equity` is `equity_curve(...)`, `open_times_ms` int64[n] when the traded bars open. Undefined
    is None; a positive numerator over zero is +inf.
    """
    costs = costs_of(rules)
    balance = trades.available[-1] + trades.safe[-1] if len(trades) else costs.init_cash
    values = np.empty(len(METRICS))
    all_metrics(
        trades.net, trades.quote, float(balance), equity, day_ends(open_times_ms), costs, values
    )
    listed: list[float] = values.tolist()
    return {
        name: None if math.isnan(value) else value
        for name, value in zip(METRICS, listed, strict=True)
    }
