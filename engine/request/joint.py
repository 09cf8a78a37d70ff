"""Joint axes: parameters that validity rules bind to each other, `fast < slow` and the like.

A joint axis has the valid combinations of its parameters' values. They are counted, and each is
found by its number, without being listed: how many combinations begin with each value of the first
parameter follows from sorted values and running sums.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.indicators.declaration import Relation
from engine.request.axes import axis_count, axis_numbers, axis_reader, axis_values

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Columns = Mapping[str, Float64]

_PAIRS_AT_ONCE = 2**20


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

    Of two parameters under one rule, which is the usual case, only the shorter axis is listed.
    """
    bound = _within(names, relations)
    if len(names) == 2 and len(bound) == 1:
        return _pair_count(bound[0], axes[bound[0].low], axes[bound[0].high])
    return joint_total({name: axis_numbers(axes[name]) for name in names}, relations)


def joint_total(columns: Columns, relations: Sequence[Relation]) -> int:
    """Return how many combinations of these values are valid; the product must fit in int64."""
    return int(_beginning(next(iter(columns)), columns, _within(columns, relations)).sum())


def joint_row(number: int, columns: Columns, relations: Sequence[Relation]) -> list[float]:
    """Return row `number` of `joint_rows`, one value for each column in their order.

    `number` is below `joint_total`. Takes time and memory of the columns, not of the rows.
    """
    row: list[float] = []
    while columns:
        name, column = next(iter(columns.items()))
        ends = np.cumsum(_beginning(name, columns, _within(columns, relations)))
        at = int(np.searchsorted(ends, number, side="right"))
        number -= int(ends[at - 1]) if at else 0
        row.append(float(column[at]))
        columns = _fitting(name, row[-1], columns, relations)
    return row


def joint_rows(
    names: Sequence[str], columns: Sequence[Float64], relations: Sequence[Relation]
) -> Float64:
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
        for rule in _within(names, relations):
            valid &= rule.holds(rows[:, names.index(rule.low)], rows[:, names.index(rule.high)])
        kept.append(rows[valid])
    return np.concatenate(kept)


def _within(names: Sequence[str] | Columns, relations: Sequence[Relation]) -> list[Relation]:
    return [rule for rule in relations if rule.low in names and rule.high in names]


def _pair_count(rule: Relation, low: Mapping[str, Any], high: Mapping[str, Any]) -> int:
    """Return how many pairs of values satisfy a rule: a search in one axis per value of the other.

    A range ascends by itself; only the shorter axis is listed.
    """
    low, high = _ascending(low), _ascending(high)
    lows, highs = range(axis_count(low)), range(axis_count(high))
    low_at, high_at = axis_reader(low), axis_reader(high)
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


def _beginning(first: str, columns: Columns, rules: Sequence[Relation]) -> Int64:
    """Return for each value of `first` how many valid combinations have it.

    Parameters are followed from rule to rule. Where rules close a circle that does not work, and
    each value of `first` is tried.
    """
    if not _is_forest(columns, rules):
        tried = (_fitting(first, value, columns, rules) for value in columns[first].tolist())
        return np.array([joint_total(rest, rules) for rest in tried], dtype=np.int64)
    reached = {first}
    counts = _along(first, columns, rules, reached)
    for name in columns:
        if name not in reached:
            counts = counts * _along(name, columns, rules, reached).sum()
    return counts


def _along(name: str, columns: Columns, rules: Sequence[Relation], reached: set[str]) -> Int64:
    """Return for each value of `name` how many ways there are for all that rules lead to."""
    reached.add(name)
    counts = np.ones(len(columns[name]), dtype=np.int64)
    for rule in rules:
        if name not in (rule.low, rule.high):
            continue
        other = rule.high if name == rule.low else rule.low
        if other in reached:
            continue
        ways, order = _along(other, columns, rules, reached), np.argsort(columns[other])
        sums = np.concatenate(([0], np.cumsum(ways[order])))
        # Of a rule that is not strict an equal value fits, whichever side it is on.
        side: Literal["left", "right"]
        side = "right" if (other == rule.high) == rule.strict else "left"
        below = sums[np.searchsorted(columns[other], columns[name], side, sorter=order)]
        counts *= sums[-1] - below if other == rule.high else below
    return counts


def _is_forest(names: Columns, rules: Sequence[Relation]) -> bool:
    """Whether no two ways of rules lead from one parameter to another."""
    joined = {name: name for name in names}
    for rule in rules:
        low, high = joined[rule.low], joined[rule.high]
        if low == high:
            return False
        joined = {name: low if root == high else root for name, root in joined.items()}
    return True


def _fitting(
    name: str, value: float, columns: Columns, relations: Sequence[Relation]
) -> dict[str, Float64]:
    """Return the other columns with the values that `value` of `name` leaves valid, in order."""
    rest = {other: column for other, column in columns.items() if other != name}
    for rule in _within(columns, relations):
        if rule.low == name:
            rest[rule.high] = rest[rule.high][rule.holds(value, rest[rule.high])]
        elif rule.high == name:
            rest[rule.low] = rest[rule.low][rule.holds(rest[rule.low], value)]
    return rest
