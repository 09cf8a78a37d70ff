"""A small valid request, and the defaults that complete it."""

import copy
from typing import Any

from engine.request import Defaults, Limits

LIMITS = Limits(max_variants_per_compute=600_000, max_compute_bytes_total=5 * 2**30)


def explicit(*values: Any) -> dict[str, Any]:
    return {"mode": "explicit", "values": list(values)}


def ranged(start: float, stop: float, step: float) -> dict[str, Any]:
    return {"mode": "range", "start": start, "stop_incl": stop, "step": step}


DEFAULTS = Defaults(
    warmup_bars=200,
    top_k=300,
    preselect=20_000,
    top_k_persisted=300,
    top_trades_n=3,
    primary_metric="total_return_pct",
    secondary_metric=None,
    init_cash_quote=10_000.0,
    fixed_quote=100.0,
    safe_profit_percent=30.0,
    slippage_pct=0.01,
    fee_pct_by_market_id={1: 0.075, 2: 0.1},
    indicator_grids={
        "ma.sma": {"params": {"window": ranged(5, 200, 1)}, "signals": {}},
        "ma.cross": {
            "params": {
                "ma": explicit("sma", "ema"),
                "fast": ranged(5, 50, 5),
                "slow": ranged(20, 200, 20),
            },
            "signals": {},
        },
        "momentum.rsi": {
            "params": {"window": explicit(7, 14, 21)},
            "signals": {
                "long_threshold": ranged(20, 40, 5),
                "short_threshold": explicit(60, 70, 80),
            },
        },
        "momentum.macd": {
            "params": {
                "fast": explicit(12),
                "slow": explicit(26),
                "signal": ranged(3, 20, 1),
            },
            "signals": {},
        },
        "volatility.atr": {
            "params": {"window": explicit(14)},
            "signals": {"long_delta_periods": explicit(1), "short_delta_periods": explicit(1)},
        },
    },
)

_DOCUMENT = {
    "time_range": {"start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"},
    "template": {
        "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
        "timeframe": "15m",
        "indicator_grids": [{"indicator_id": "ma.sma"}, {"indicator_id": "momentum.rsi"}],
    },
}


def document() -> dict[str, Any]:
    """A request that says no more than it must."""
    return copy.deepcopy(_DOCUMENT)


def with_value(path: str, value: Any) -> dict[str, Any]:
    """The small request with one value put at `path`, such as `template.execution.fee_pct`."""
    whole = document()
    *parents, last = path.replace("[", ".[").split(".")
    place: Any = whole
    for name in parents:
        place = place[int(name[1:-1])] if name.startswith("[") else place.setdefault(name, {})
    if last.startswith("["):
        place[int(last[1:-1])] = value
    else:
        place[last] = value
    return whole


def without(path: str) -> dict[str, Any]:
    """The small request without the member at `path`."""
    whole = document()
    *parents, last = path.split(".")
    place: Any = whole
    for name in parents:
        place = place[name]
    del place[last]
    return whole
