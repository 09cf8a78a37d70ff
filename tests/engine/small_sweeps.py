"""Small requests and candles for tests of the sweep."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from engine.candles import Candles
from engine.request import Defaults, Limits, Request, complete, parse
from engine.synthetic import bars

QUARTER_HOUR = 900_000
# 15 words and a remainder; more than seven days.
TRADED = 967
NO_RISK: dict[str, list[float | None]] = {"sl": [None], "tp": [None], "tsl": [None]}
RISK: dict[str, list[float | None]] = {
    "sl": [2.0, None, 0.5],
    "tp": [None, 3.0, 1.0, 0.25],
    "tsl": [None, 1.0],
}
DEFAULTS = Defaults(
    warmup_bars=30,
    top_k=50,
    preselect=1000,
    top_k_persisted=1000,
    top_trades_n=0,
    primary_metric="total_return_pct",
    secondary_metric=None,
    init_cash_quote=10_000.0,
    fixed_quote=500.0,
    safe_profit_percent=30.0,
    slippage_pct=0.01,
    fee_pct_by_market_id={1: 0.075},
    indicator_grids={},
)
LIMITS = Limits(max_variants_per_compute=10_000_000, max_compute_bytes_total=2**40)

AVERAGE = {
    "indicator_id": "ma.sma",
    "params": {"window": {"mode": "explicit", "values": [3, 5, 8, 20]}},
}
STRENGTH = {
    "indicator_id": "momentum.rsi",
    "params": {"window": {"mode": "range", "start": 3, "stop_incl": 9, "step": 1}},
    "signals": {
        "long_threshold": {"mode": "explicit", "values": [45, 52]},
        "short_threshold": {"mode": "explicit", "values": [40, 50, 48]},
    },
}
TREND = {
    "indicator_id": "ma.sma",
    "name": "trend",
    "params": {"window": {"mode": "explicit", "values": [10, 2, 25]}},
}
ONE, TWO, THREE = (AVERAGE,), (AVERAGE, STRENGTH), (AVERAGE, STRENGTH, TREND)


def request(*blocks: dict[str, Any], **changes: Any) -> Request:
    """Make a request; `changes` go to the template where it has the key, else to the request."""
    template: dict[str, Any] = {
        "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
        "timeframe": "15m",
        "indicator_grids": list(blocks or TWO),
        **{name: changes.pop(name) for name in ("position", "exit_grids") if name in changes},
        "direction_mode": changes.pop("direction_mode", "long-short"),
        "sizing_mode": changes.pop("sizing_mode", "all_in"),
        "execution": changes.pop("execution", {}),
        "risk_grid": {
            axis: {"mode": "explicit", "values": values}
            for axis, values in changes.pop("risk", NO_RISK).items()
        },
    }
    distinct = changes.pop("distinct", True)
    ranking = {
        "primary_metric": changes.pop("primary", "total_return_pct"),
        "secondary_metric": changes.pop("secondary", None),
        "min_trades": changes.pop("min_trades", 0),
    }
    document = {
        "time_range": {"start": "2024-01-01T00:00:00Z", "end": "2024-06-01T00:00:00Z"},
        "template": template,
        "warmup_bars": 30,
        "ranking": ranking,
        **changes,
    }
    wanted = parse(complete(document, DEFAULTS, LIMITS), LIMITS)
    return replace(wanted, ranking=replace(wanted.ranking, distinct=distinct))


@cache
def candles(traded: int = TRADED) -> Candles:
    return bars(11, traded, QUARTER_HOUR, warmup_bars=30)


@cache
def ruinous_candles() -> Candles:
    """Return candles whose price now and then doubles: shorts lose everything and more."""
    calm = candles()
    random = np.random.default_rng(5)
    jumps = np.where(random.random(len(calm.close)) < 0.01, 2.3, 0.992)
    close = 1000.0 * np.cumprod(jumps * np.exp(random.normal(0, 0.01, len(jumps))))
    return replace(calm, open=close, high=close * 1.01, low=close * 0.99, close=close)


@cache
def coarse_candles(traded: int = 300) -> Candles:
    """Return candles of few different prices: many variants make the same money otherwise."""
    fine = candles(traded)
    close = fine.close[0] * (1.0 + 0.01 * np.round(100.0 * (fine.close / fine.close[0] - 1.0)))
    return replace(fine, open=close, high=close, low=close, close=close)
