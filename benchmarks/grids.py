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


def evenly(first: float, last: float, count: int) -> Axis:
    """Return the middles of `count` equal parts of a range: the same mixture, fewer values."""
    middles = first + (last - first) * (np.arange(count) + 0.5) / count
    return explicit(float(value) for value in middles.round(6))


def spread(first: int, last: int, count: int) -> Axis:
    """Return `count` different whole numbers that represent those of a range."""
    return explicit(round(value) for value in evenly(first - 0.5, last + 0.5, count)["values"])


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
