"""Blocks of the requests that are measured: which indicators, over which values."""

from collections.abc import Iterable
from typing import Any

import numpy as np

Axis = dict[str, Any]
Grid = dict[str, Any]


def steps(start: float, stop_incl: float, step: float = 1) -> Axis:
    """Return a range, its last value included."""
    return {"mode": "range", "start": start, "stop_incl": stop_incl, "step": step}


def explicit(values: Iterable[float]) -> Axis:
    """Return an axis of the given values."""
    return {"mode": "explicit", "values": list(values)}


def spread(first: int, last: int, count: int) -> Axis:
    """Return `count` whole numbers evenly spread over a range: fewer values, the same mixture."""
    return explicit(int(value) for value in np.linspace(first, last, count).round())


def sma(windows: Axis) -> Grid:
    """Close above or below a simple average."""
    return {"indicator_id": "ma.sma", "params": {"window": windows}}


def rsi(windows: Axis, longs: Axis, shorts: Axis, **more: Any) -> Grid:
    """Relative strength read as momentum: thresholds for LONG above those for SHORT."""
    return {
        "indicator_id": "momentum.rsi",
        "params": {"window": windows},
        "signals": {"long_threshold": longs, "short_threshold": shorts},
        **more,
    }


def macd_line(fast: Axis, slow: Axis) -> Grid:
    """One exponential average above or below another."""
    return {
        "indicator_id": "momentum.macd",
        "output": "line",
        "params": {"fast": fast, "slow": slow},
    }


def percent_b(windows: Axis, mults: Axis, longs: Axis, shorts: Axis) -> Grid:
    """Place within the Bollinger bands, read as momentum."""
    return {
        "indicator_id": "volatility.bbands",
        "output": "percent_b",
        "params": {"window": windows, "mult": mults},
        "signals": {"long_threshold": longs, "short_threshold": shorts},
    }
