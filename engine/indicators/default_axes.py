"""The axes an indicator's declaration gives its parameters, in the form a request writes them."""

from collections.abc import Mapping
from typing import Any

Axis = Mapping[str, Any]


def steps(start: float, stop_incl: float, step: float = 1) -> Axis:
    """Return the values from `start` to `stop_incl`, both included, `step` apart."""
    return {"mode": "range", "start": start, "stop_incl": stop_incl, "step": step}


def listed(*values: float | str) -> Axis:
    """Return exactly these values."""
    return {"mode": "explicit", "values": list(values)}


def band(long: Axis, short: Axis) -> dict[str, Axis]:
    """Return the signal axes of the rule `threshold_band`."""
    return {"long_threshold": long, "short_threshold": short}


def deltas(*periods: int) -> dict[str, Axis]:
    """Return the signal axes of the rule `delta_sign`, the same bars for LONG and SHORT."""
    return {"long_delta_periods": listed(*periods), "short_delta_periods": listed(*periods)}
