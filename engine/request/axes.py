"""Axes: the values one parameter takes in a sweep, explicit or as a range.

A range is evaluated in exact arithmetic on the decimal literals of the request, so 0.1..0.3 step
0.1 has three values and the last one is the float 0.3. How many values there are is known before
any of them exists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from math import lcm, prod, ulp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.indicators.declaration import Relation
from engine.indicators.registry import Param
from engine.request.fields import Bounds, Field, plain, shown

MAX_LISTED = 10_000_000
"""Values of one axis, or raw pairs of a joint one: more are not listed, whatever the guard."""

_EXACT = 2**53  # integers up to here are float64 values
_REPORTED_PER_AXIS = 5  # a list of a thousand wrong values is one mistake


@dataclass(frozen=True, slots=True)
class Kind:
    """What the values of an axis may be; `off` allows null, the absent risk exit."""

    bounds: Bounds = field(default_factory=Bounds)
    whole: bool = False
    choices: tuple[str, ...] = ()
    what: str = "value"
    off: bool = False

    @classmethod
    def of(cls, param: Param) -> "Kind":
        """Return what a declared parameter allows."""
        return cls(
            bounds=Bounds(minimum=param.minimum, maximum=param.maximum),
            whole=param.kind == "int",
            choices=param.choices,
            what=param.name,
        )

    def read(self, item: Field) -> float | str | None:
        """Read one value; None means refused."""
        if self.choices:
            return item.choice(self.choices, self.what)
        return item.whole(self.bounds) if self.whole else item.number(self.bounds)


def read_axis(axis: Field, kind: Kind, limit: int) -> dict[str, Any] | None:
    """Return an axis in its normal form, or None once its errors are collected.

    An axis of more than `limit` values is refused by arithmetic.
    """
    if not isinstance(axis.value, Mapping):
        axis.refuse(
            'must be an axis, {"mode": "explicit", "values": [...]} or {"mode": "range", '
            f'"start": ..., "stop_incl": ..., "step": ...}}, got {shown(axis.value)}'
        )
        return None
    if "mode" not in axis.value:
        axis.member("mode", None).refuse('is missing: give "explicit" or "range"')
        return None
    mode = axis.member("mode", axis.value["mode"]).choice(("explicit", "range"), "mode")
    if mode == "explicit":
        return _read_explicit(axis, kind, limit)
    if mode == "range" and kind.choices:
        axis.member("mode", mode).refuse(
            f'{kind.what} is chosen by name: use "explicit" with some of {", ".join(kind.choices)}'
        )
        return None
    return _read_range(axis, kind, limit) if mode == "range" else None


def _read_explicit(axis: Field, kind: Kind, limit: int) -> dict[str, Any] | None:
    members = axis.members(("mode", "values"))
    if "values" not in members:
        axis.member("values", None).refuse("is missing: give the values as an array")
        return None
    items = members["values"].items()
    if len(items) > limit:
        axis.refuse(_too_long(len(items), limit, "give fewer values"), "guard_exceeded")
        return None
    before = len(axis.errors)
    values: list[float | str | None] = []
    seen: set[float | str | None] = set()
    for item in items:
        off = kind.off and item.value is None
        value = None if off else kind.read(item)
        if value is None and not off:
            if len(axis.errors) - before >= _REPORTED_PER_AXIS:
                break
            continue
        if value in seen:
            item.refuse(f"{shown(item.value)} is given twice: remove one")
        seen.add(value)
        values.append(value)
    if not values or len(axis.errors) > before:
        return None
    return {"mode": "explicit", "values": values}


def _read_range(axis: Field, kind: Kind, limit: int) -> dict[str, Any] | None:
    members = axis.members(("mode", "start", "stop_incl", "step"))
    numbers: dict[str, float] = {}
    for name in ("start", "stop_incl", "step"):
        if name not in members:
            axis.member(name, None).refuse("is missing")
            continue
        bounds = Bounds(above=0) if name == "step" else kind.bounds
        number = members[name].whole(bounds) if kind.whole else members[name].number(bounds)
        if number is not None:
            numbers[name] = number
    if len(numbers) < 3 or len(members) < 4:
        return None
    if numbers["stop_incl"] < numbers["start"]:
        members["stop_incl"].refuse(
            f"must be at least start ({plain(numbers['start'])}), got {plain(numbers['stop_incl'])}"
        )
        return None
    normal = {"mode": "range", **numbers}
    count = axis_count(normal)
    if count > limit:
        axis.refuse(
            _too_long(count, limit, "use a larger step or a shorter range"), "guard_exceeded"
        )
        # The count goes on to the total of the grid, which is refused as well.
    elif not kind.whole and numbers["step"] < 2 * _spacing(numbers):
        members["step"].refuse(
            f"{shown(numbers['step'])} is too small to tell neighbouring values apart: enlarge it"
        )
        return None
    return normal


def _spacing(numbers: Mapping[str, float]) -> float:
    """Return how far apart floats are where the range's values are largest."""
    return ulp(max(abs(numbers["start"]), abs(numbers["stop_incl"])))


def _too_long(count: int, limit: int, remedy: str) -> str:
    return (
        f"has {counted(count)} values, more than the limit of {limit} variants "
        f"(max_variants_per_compute): {remedy}"
    )


def counted(count: int) -> str:
    """Return a count in digits, or its order of magnitude when nobody would read them."""
    return str(count) if count < 10**24 else f"about 10^{int(count.bit_length() * 0.30103)}"


def axis_count(axis: Mapping[str, Any]) -> int:
    """Return how many values an axis has, without listing them."""
    if axis["mode"] == "explicit":
        return len(axis["values"])
    start, stop, step = (_exact(axis[name]) for name in ("start", "stop_incl", "step"))
    return int((stop - start) // step) + 1


def axis_value(axis: Mapping[str, Any], number: int) -> Any:
    """Return value `number` of an axis, without listing the others."""
    if axis["mode"] == "explicit":
        return axis["values"][number]
    return float(_exact(axis["start"]) + number * _exact(axis["step"]))


def axis_numbers(axis: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the values of a numeric axis without nulls, each rounded once from its exact value."""
    if axis["mode"] == "explicit":
        return np.array(axis["values"], dtype=np.float64)
    start, step = _exact(axis["start"]), _exact(axis["step"])
    scale = lcm(start.denominator, step.denominator)
    first, stride = int(start * scale), int(step * scale)
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


def joint_rows(
    names: Sequence[str],
    columns: Sequence[NDArray[np.float64]],
    relations: Sequence[Relation],
) -> NDArray[np.float64]:
    """Return float64[rows, len(names)]: the valid combinations, last column fastest."""
    shape = tuple(len(column) for column in columns)
    digits = np.unravel_index(np.arange(prod(shape)), shape)
    rows = np.stack([column[digit] for column, digit in zip(columns, digits, strict=True)], axis=1)
    valid = np.ones(len(rows), dtype=bool)
    for rule in relations:
        if rule.low in names and rule.high in names:
            valid &= rule.holds(rows[:, names.index(rule.low)], rows[:, names.index(rule.high)])
    kept: NDArray[np.float64] = rows[valid]
    return kept
