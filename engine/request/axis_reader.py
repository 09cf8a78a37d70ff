"""Reading an axis: an object, or short for one an array, or a single value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ulp
from typing import Any, Literal

from engine.indicators.registry import Param
from engine.request.axes import axis_count
from engine.request.block_entries import EXPLICIT, RANGE
from engine.request.bounds import MAX_LISTED, Bounds
from engine.request.entries import TABLE
from engine.request.fields import Field, is_array
from engine.request.members import Reading, known_members, read_choice
from engine.request.table import Entry
from engine.request.words import counted, plain, shown

_REPORTED_PER_AXIS = 5  # a list of a thousand wrong values is one mistake
_MODES = ("explicit", "range")

Guard = Literal["max_variants_per_compute", "max_stage_b_variants"]


def _anything(_: float) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Kind:
    """What the values of an axis may be; `off` allows null, the absent risk exit.

    `guard` is the limit on their number. `refusal` says what is wrong with a value within bounds,
    and says it of no larger value than of a right one.
    """

    bounds: Bounds = field(default_factory=Bounds)
    whole: bool = False
    choices: tuple[str, ...] = ()
    noun: str = "value"
    off: bool = False
    guard: Guard = "max_variants_per_compute"
    refusal: Callable[[float], str | None] = _anything

    @classmethod
    def of(cls, param: Param) -> "Kind":
        """Return what a declared parameter allows."""
        return cls(
            bounds=Bounds(minimum=param.minimum, maximum=param.maximum),
            whole=param.kind == "int",
            choices=param.choices,
            noun=param.name,
        )

    @classmethod
    def of_entry(
        cls, entry: Entry, guard: Guard, refusal: Callable[[float], str | None] = _anything
    ) -> "Kind":
        """Return what the table allows."""
        return cls(
            bounds=entry.bounds,
            choices=entry.choices,
            noun=entry.noun,
            off=entry.null,
            guard=guard,
            refusal=refusal,
        )

    def read(self, item: Field, bounds: Bounds | None = None) -> float | str | None:
        """Read one value, within other bounds perhaps; None means refused."""
        if self.choices:
            return read_choice(item, self.choices, self.noun)
        bounds = self.bounds if bounds is None else bounds
        return item.whole(bounds) if self.whole else item.number(bounds)

    def accepts(self, item: Field, value: float | str) -> bool:
        """Whether nothing is wrong with a value that was read; it is refused otherwise."""
        reason = None if isinstance(value, str) else self.refusal(value)
        if reason is not None:
            item.refuse(reason)
        return reason is None


def read_axis(axis: Field, kind: Kind, reading: Reading) -> dict[str, Any] | None:
    """Return an axis in its normal form, or None once its errors are collected.

    An axis of more values than the guard is refused by arithmetic.
    """
    if is_array(axis.value):
        return _read_values(axis, axis, kind, reading)
    if not isinstance(axis.value, Mapping):
        return _read_single(axis, kind)
    if "mode" not in axis.value:
        axis.member("mode", None).refuse('is missing: give "explicit" or "range"')
        return None
    mode = read_choice(axis.member("mode", axis.value["mode"]), _MODES, "mode")
    if mode == "explicit":
        return _read_explicit(axis, kind, reading)
    if mode == "range" and kind.choices:
        axis.member("mode", mode).refuse(
            f'{kind.noun} is chosen by name: use "explicit" with some of {", ".join(kind.choices)}'
        )
        return None
    return _read_range(axis, kind, reading) if mode == "range" else None


def _read_single(axis: Field, kind: Kind) -> dict[str, Any] | None:
    if kind.off and axis.value is None:
        return {"mode": "explicit", "values": [None]}
    if axis.value is None or (isinstance(axis.value, str) and not kind.choices):
        axis.refuse(
            'must be a value, an array of values, or {"mode": "range", "start": ..., '
            f'"stop_incl": ..., "step": ...}}, got {shown(axis.value)}'
        )
        return None
    value = kind.read(axis)
    if value is None or not kind.accepts(axis, value):
        return None
    return {"mode": "explicit", "values": [value]}


def _read_explicit(axis: Field, kind: Kind, reading: Reading) -> dict[str, Any] | None:
    members = known_members(axis, EXPLICIT)
    if "values" not in members:
        axis.member("values", None).refuse("is missing: give the values as an array")
        return None
    return _read_values(axis, members["values"], kind, reading)


def _read_values(axis: Field, values: Field, kind: Kind, reading: Reading) -> dict[str, Any] | None:
    items = values.items()
    limit = getattr(reading.limits, kind.guard)
    if len(items) > limit:
        axis.refuse(_too_long(len(items), limit, kind, "give fewer values"), "guard_exceeded")
        # As with a range, the count goes on to the total of the grid; nobody reads the values.
        return {"mode": "explicit", "values": list(values.value)}
    if len(items) > MAX_LISTED and not reading.stored:
        values.refuse(
            f"lists {len(items)} values, at most {MAX_LISTED} may be listed: give a range instead"
        )
        return None
    before = len(axis.errors)
    read: list[float | str | None] = []
    seen: set[float | str | None] = set()
    for item in items:
        off = kind.off and item.value is None
        value = None if off else kind.read(item)
        if not off and (value is None or not kind.accepts(item, value)):
            if len(axis.errors) - before >= _REPORTED_PER_AXIS:
                break
            continue
        if value in seen:
            item.refuse(f"{shown(item.value)} is given twice: remove one")
        seen.add(value)
        read.append(value)
    if not read or len(axis.errors) > before:
        return None
    return {"mode": "explicit", "values": read}


def _read_range(axis: Field, kind: Kind, reading: Reading) -> dict[str, Any] | None:
    members = known_members(axis, RANGE)
    numbers: dict[str, Any] = {}
    names = tuple(name for name in TABLE.keys(RANGE) if name != "mode")
    for name in names:
        if name not in members:
            axis.member(name, None).refuse("is missing")
            continue
        bounds = TABLE.at(f"{RANGE}.{name}").bounds if name == "step" else kind.bounds
        number = kind.read(members[name], bounds)
        if number is not None:
            numbers[name] = number
    if len(numbers) < len(names) or len(members) <= len(names):
        return None
    if numbers["stop_incl"] < numbers["start"]:
        members["stop_incl"].refuse(
            f"must be at least start ({plain(numbers['start'])}), got {plain(numbers['stop_incl'])}"
        )
        return None
    if not kind.accepts(members["start"], numbers["start"]):
        return None
    normal = {"mode": "range", **numbers}
    count, limit = axis_count(normal), getattr(reading.limits, kind.guard)
    if count > limit:
        axis.refuse(
            _too_long(count, limit, kind, "use a larger step or a shorter range"), "guard_exceeded"
        )
        # The count goes on to the total of the grid, which is refused as well.
    elif count > reading.limits.max_axis_values:
        axis.refuse(
            f"has {count} values, one axis may have {reading.limits.max_axis_values} "
            "(max_axis_values): use a larger step or a shorter range",
            "guard_exceeded",
        )
    elif not kind.whole and numbers["step"] < 2 * _spacing(numbers):
        members["step"].refuse(
            f"{shown(numbers['step'])} is too small to tell neighbouring values apart: enlarge it"
        )
        return None
    return normal


def _spacing(numbers: Mapping[str, float]) -> float:
    """Return how far apart floats are where the range's values are largest."""
    return ulp(max(abs(numbers["start"]), abs(numbers["stop_incl"])))


def _too_long(count: int, limit: int, kind: Kind, remedy: str) -> str:
    return (
        f"has {counted(count)} values, more than the limit of {limit} variants ({kind.guard}): "
        f"{remedy}"
    )
