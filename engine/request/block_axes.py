"""Reading the axes of one block, and counting the variants they make."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

from engine.indicators.registry import Indicator, Param
from engine.request.axes import axis_count
from engine.request.axis_reader import Kind, read_axis
from engine.request.fields import Field
from engine.request.hints import misplaced
from engine.request.joint import joint_count, joint_groups
from engine.request.members import Reading
from engine.request.words import counted, printable, shown


def read_axes(
    axes: Field,
    place: str,
    declared: Sequence[Param],
    used: Sequence[str],
    defaults: Mapping[str, Any],
    reader: str,
    reading: Reading,
) -> dict[str, Any]:
    """Return the axes of the `used` parameters in declared order, those left out by default.

    `place` is where the table has them, `reader` what uses them, in words.
    """
    if not _is_of_axes(axes):
        return {}
    for key in axes.value:
        if key not in used:
            _refuse_parameter(axes, place, key, declared, used, reader)
    params = [param for param in declared if param.name in used]
    values = {**defaults, **axes.value}
    for param in params:
        if param.name not in values:
            reason = "is missing" if reading.stored else "has no default"
            axes.member(param.name, None).refuse(f"{reason}: give an axis of its values")
    return _read_each(axes, params, values, reading)


def read_given(
    axes: Field, place: str, declared: Sequence[Param], reader: str, reading: Reading
) -> dict[str, dict[str, Any]]:
    """Return the axes that are given, used or not, in declared order; nothing is filled in."""
    if not _is_of_axes(axes):
        return {}
    names = [param.name for param in declared]
    for key in axes.value:
        if key not in names:
            _refuse_parameter(axes, place, key, declared, names, reader)
    return _read_each(axes, declared, axes.value, reading)


def _is_of_axes(axes: Field) -> bool:
    if not isinstance(axes.value, Mapping):
        axes.refuse(f"must be an object of axes, got {shown(axes.value)}")
    return isinstance(axes.value, Mapping)


def _read_each(
    axes: Field, params: Sequence[Param], values: Mapping[str, Any], reading: Reading
) -> dict[str, dict[str, Any]]:
    read: dict[str, dict[str, Any]] = {}
    for param in params:
        if param.name in values:
            axis = read_axis(axes.member(param.name, values[param.name]), Kind.of(param), reading)
            if axis is not None:
                read[param.name] = axis
    return read


def _refuse_parameter(
    axes: Field,
    place: str,
    key: object,
    declared: Sequence[Param],
    used: Sequence[str],
    reader: str,
) -> None:
    field = axes.member(printable(key), None)
    if any(param.name == key for param in declared):
        field.refuse(f"{reader} does not use it: it would only multiply equal variants; remove it")
    elif declared:
        known = used or [param.name for param in declared]
        field.refuse("unknown parameter", hint=partial(misplaced, key, place, known, axes.path))
    else:
        field.refuse(f"{reader} has no parameters: remove it")


def compute_total(
    item: Field, indicator: Indicator, params: Mapping[str, Any], reading: Reading
) -> tuple[int, bool]:
    """Return the number of compute variants of a block, and whether it is exact.

    It is an upper bound where more raw pairs than the guard were refused instead of counted.
    """
    limit = reading.limits.max_variants_per_compute
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
        valid = joint_count(names, params, indicator.relations)
        if not valid:
            field.refuse(f"no combination of {pairs} satisfies {rules}: change these axes")
        total *= valid
    return total, exact
