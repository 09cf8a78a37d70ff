"""Axes: the values one parameter takes in a sweep, explicit or as a range.

A range is evaluated in exact arithmetic on the decimal literals of the request, so 0.1..0.3 step
0.1 has three values and the last one is the float 0.3. How many values there are is known before
any of them exists.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EXACT = 2**53  # integers up to here are float64 values


def axis_count(axis: Mapping[str, Any]) -> int:
    """Return how many values an axis has, without listing them."""
    if axis["mode"] == "explicit":
        return len(axis["values"])
    start, stop, step = (_exact(axis[name]) for name in ("start", "stop_incl", "step"))
    return int((stop - start) // step) + 1


def axis_of(value: Any) -> Mapping[str, Any]:
    """Return a value that may be an axis, or one number for it, as an axis."""
    return value if isinstance(value, Mapping) else {"mode": "explicit", "values": [value]}


def axis_value(axis: Mapping[str, Any], number: int) -> Any:
    """Return value `number` of an axis, without listing the others."""
    return axis_reader(axis)(number)


def axis_reader(axis: Mapping[str, Any]) -> Callable[[int], Any]:
    """Return the function from the number of a value to the value, rounded once."""
    if axis["mode"] == "explicit":
        values: Sequence[Any] = axis["values"]
        return values.__getitem__
    first, stride, scale = _in_integers(axis)
    return lambda number: (first + number * stride) / scale


def _in_integers(axis: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return start and step of a range, both as numerators over one denominator, and that."""
    start, step = _exact(axis["start"]), _exact(axis["step"])
    scale = lcm(start.denominator, step.denominator)
    return int(start * scale), int(step * scale), scale


def axis_numbers(axis: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the values of a numeric axis without nulls, each rounded once from its exact value."""
    if axis["mode"] == "explicit":
        return np.array(axis["values"], dtype=np.float64)
    first, stride, scale = _in_integers(axis)
    count = axis_count(axis)
    largest = max(abs(first), abs(first + (count - 1) * stride), scale)
    if largest < _EXACT:
        numbers: NDArray[np.float64] = (first + np.arange(count) * stride) / scale
        return numbers
    return np.array([(first + k * stride) / scale for k in range(count)], dtype=np.float64)


def axis_values(axis: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the values of an axis in order: floats, names or nulls."""
    if axis["mode"] == "explicit":
        return tuple(axis["values"])
    return tuple(axis_numbers(axis).tolist())


def _exact(literal: float) -> Fraction:
    return Fraction(Decimal(repr(literal)))
