"""Axes: the values one parameter takes in a sweep, explicit or as a range.

A range is evaluated in exact arithmetic on the decimal literals of the request, so 0.1..0.3 step
0.1 has three values and the last one is the float 0.3. How many values there are is known before
any of them exists.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import lcm, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.indicators.declaration import Relation

_EXACT = 2**53  # integers up to here are float64 values
_PAIRS_AT_ONCE = 2**20


def axis_count(axis: Mapping[str, Any]) -> int:
    """Return how many values an axis has, without listing them."""
    if axis["mode"] == "explicit":
        return len(axis["values"])
    start, stop, step = (_exact(axis[name]) for name in ("start", "stop_incl", "step"))
    return int((stop - start) // step) + 1


def axis_value(axis: Mapping[str, Any], number: int) -> Any:
    """Return value `number` of an axis, without listing the others."""
    return _reader(axis)(number)


def _reader(axis: Mapping[str, Any]) -> Callable[[int], Any]:
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


def joint_groups(
    names: Sequence[str], relations: Sequence[Relation]
) -> tuple[tuple[str, ...], ...]:
    """Return `names` parted into axes: those bound by a validity rule share one.

    A joint axis stands where its first parameter stands; its members keep the declared order.
    """
    group = {name: {name} for name in names}
    for rule in relations:
        if rule.low in group and rule.high in group:
            merged = group[rule.low] | group[rule.high]
            for name in merged:
                group[name] = merged
    parted = {tuple(name for name in names if name in group[first]) for first in names}
    return tuple(sorted(parted, key=lambda members: names.index(members[0])))


def joint_count(
    names: Sequence[str], axes: Mapping[str, Mapping[str, Any]], relations: Sequence[Relation]
) -> int:
    """Return how many combinations of these axes are valid: the rows of `joint_rows`.

    Two parameters under one rule, which is the usual case, are counted without being listed.
    """
    bound = [rule for rule in relations if {rule.low, rule.high} <= set(names)]
    if len(names) == 2 and len(bound) == 1:
        return _pair_count(bound[0], axes[bound[0].low], axes[bound[0].high])
    return len(joint_rows(names, [axis_numbers(axes[name]) for name in names], relations))


def _pair_count(rule: Relation, low: Mapping[str, Any], high: Mapping[str, Any]) -> int:
    """Return how many pairs of values satisfy a rule: a search in one axis per value of the other.

    A range ascends by itself; only the shorter axis is listed.
    """
    low, high = _ascending(low), _ascending(high)
    lows, highs = range(axis_count(low)), range(axis_count(high))
    low_at, high_at = _reader(low), _reader(high)
    if len(lows) <= len(highs):
        first_fitting = (
            bisect_left(highs, True, key=lambda k: rule.holds(value, high_at(k)))
            for value in axis_values(low)
        )
        return sum(len(highs) - first for first in first_fitting)
    return sum(
        bisect_left(lows, True, key=lambda k: not rule.holds(low_at(k), value))
        for value in axis_values(high)
    )


def _ascending(axis: Mapping[str, Any]) -> Mapping[str, Any]:
    return axis if axis["mode"] == "range" else {**axis, "values": sorted(axis["values"])}


def joint_rows(
    names: Sequence[str],
    columns: Sequence[NDArray[np.float64]],
    relations: Sequence[Relation],
) -> NDArray[np.float64]:
    """Return float64[rows, len(names)]: the valid combinations, last column fastest.

    Combinations are tried a portion at a time, so that only the valid ones take memory.
    """
    shape = tuple(len(column) for column in columns)
    kept = [np.empty((0, len(names)))]
    for start in range(0, prod(shape), _PAIRS_AT_ONCE):
        numbers = np.arange(start, min(start + _PAIRS_AT_ONCE, prod(shape)))
        digits = np.unravel_index(numbers, shape)
        rows = np.stack([column[at] for column, at in zip(columns, digits, strict=True)], axis=1)
        valid = np.ones(len(rows), dtype=bool)
        for rule in relations:
            if rule.low in names and rule.high in names:
                valid &= rule.holds(rows[:, names.index(rule.low)], rows[:, names.index(rule.high)])
        kept.append(rows[valid])
    return np.concatenate(kept)
