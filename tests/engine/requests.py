"""A small valid request, and the defaults that complete it."""

import copy
from typing import Any

import pytest

from engine.request import Defaults, Limits, RequestError, complete

SMA = "template.indicator_grids[0]"
RSI = "template.indicator_grids[1]"
WINDOW = f"{SMA}.params.window"

LIMITS = Limits(
    max_variants_per_compute=600_000,
    max_stage_b_variants=600_000,
    max_compute_bytes_total=5 * 2**30,
)


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
    min_trades=0,
    distinct=True,
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


def swapped(position: int, **block: Any) -> dict[str, Any]:
    """The small request with another block at this position."""
    return with_value(f"template.indicator_grids[{position}]", block)


def refused(wrong: Any, limits: Limits = LIMITS, defaults: Defaults = DEFAULTS) -> RequestError:
    """Everything that is wrong with a request that must not be accepted."""
    with pytest.raises(RequestError) as caught:
        complete(wrong, defaults, limits)
    return caught.value


def refusal_at(path: str, wrong: Any, limits: Limits = LIMITS) -> str:
    """What is said of one path of a request that must not be accepted."""
    error = refused(wrong, limits)
    messages = [found.text for found in error.errors if found.path == path]
    assert messages, f"no error at {path}: {error}"
    return messages[0]
