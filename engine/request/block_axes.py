"""Reading the axes of one block, and counting the variants they make."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from engine.indicators.registry import Indicator, Param
from engine.request.axes import (
    Kind,
    axis_count,
    axis_numbers,
    counted,
    joint_groups,
    joint_rows,
    read_axis,
)
from engine.request.fields import Field, printable, shown, suggestion

_ABSENT = object()


def read_axes(
    axes: Field,
    declared: Sequence[Param],
    used: Sequence[str],
    defaults: Mapping[str, Any] | None,
    reader: str,
    limit: int,
) -> dict[str, Any]:
    """Return the axes of the `used` parameters in declared order, those left out by default."""
    if not isinstance(axes.value, Mapping):
        axes.refuse(f"must be an object of axes, got {shown(axes.value)}")
        return {}
    for key in axes.value:
        if key not in used:
            _refuse_parameter(axes.member(printable(key), None), key, declared, used, reader)
    read: dict[str, Any] = {}
    for param in declared:
        if param.name not in used:
            continue
        given = axes.value.get(param.name, (defaults or {}).get(param.name, _ABSENT))
        axis = axes.member(param.name, given)
        if given is _ABSENT:
            reason = "is missing" if defaults is None else "has no default"
            axis.refuse(f"{reason}: give an axis of its values")
            continue
        normal = read_axis(axis, Kind.of(param), limit)
        if normal is not None:
            read[param.name] = normal
    return read


def check_given(axes: Field | None, indicator: Indicator, limit: int) -> None:
    """Collect what is wrong with parameters of which nobody knows yet whether they are used."""
    given = axes.value if axes is not None and isinstance(axes.value, Mapping) else {}
    known = tuple(param.name for param in indicator.params if param.name in given)
    if axes is not None:
        read_axes(axes, indicator.params, known, {}, indicator.id, limit)


def _refuse_parameter(
    field: Field, name: str, declared: Sequence[Param], used: Sequence[str], reader: str
) -> None:
    if any(param.name == name for param in declared):
        field.refuse(f"{reader} does not use it: it would only multiply equal variants; remove it")
    elif declared:
        known = used or [param.name for param in declared]
        field.refuse(f"unknown parameter{suggestion(name, known)}")
    else:
        field.refuse(f"{reader} has no parameters: remove it")


def compute_total(
    item: Field, indicator: Indicator, params: Mapping[str, Any], limit: int
) -> tuple[int, bool]:
    """Return the number of compute variants of a block, and whether it is exact.

    It is an upper bound where more than `limit` raw pairs were refused instead of listed.
    """
    total, exact = 1, True
    for names in joint_groups(tuple(params), indicator.relations):
        raw = prod(axis_count(params[name]) for name in names)
        if len(names) == 1:
            total *= raw
            continue
        field = item.member("params", None)
        pairs = " x ".join(names)
        rules = ", ".join(
            str(rule) for rule in indicator.relations if {rule.low, rule.high} <= set(names)
        )
        if raw > limit:
            field.refuse(
                f"{pairs} are {counted(raw)} pairs before {rules} is applied, more than the limit "
                f"of {limit} variants (max_variants_per_compute): shorten these axes",
                "guard_exceeded",
            )
            total, exact = total * raw, False
            continue
        columns = [axis_numbers(params[name]) for name in names]
        rows = joint_rows(names, columns, indicator.relations)
        if not len(rows):
            field.refuse(f"no combination of {pairs} satisfies {rules}: change these axes")
        total *= len(rows)
    return total, exact
