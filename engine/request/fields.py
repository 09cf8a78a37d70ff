"""Reading a JSON document value by value, so that every refusal knows its path.

Nothing here stops at the first problem: a refused value becomes None, its error is collected, and
the reader raises all of them together in the end.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

Code = Literal["invalid_request", "guard_exceeded"]

LARGEST = 1e15
"""Bound of every number: floats below it print without an exponent, in JSON as in Postgres."""


@dataclass(frozen=True, slots=True, order=True)
class FieldError:
    """One thing wrong with a request: where, and what to do about it."""

    path: str
    message: str
    code: Code = "invalid_request"


class RequestError(ValueError):
    """Everything that is wrong with a request, sorted by path.

    `code` is `guard_exceeded` when the request is well-formed and only too large.
    """

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = tuple(sorted(set(errors)))
        too_large = all(error.code == "guard_exceeded" for error in self.errors)
        self.code: Code = "guard_exceeded" if too_large else "invalid_request"
        super().__init__("\n".join(f"{error.path}: {error.message}" for error in self.errors))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be; `minimum` and `maximum` are allowed, `above` and `below` are not."""

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None

    def broken_by(self, value: float) -> str | None:
        """Return the broken bound in words, or None."""
        if self.minimum is not None and value < self.minimum:
            return f"at least {plain(self.minimum)}"
        if self.above is not None and value <= self.above:
            return f"more than {plain(self.above)}"
        if self.maximum is not None and value > self.maximum:
            return f"at most {plain(self.maximum)}"
        if self.below is not None and value >= self.below:
            return f"less than {plain(self.below)}"
        return f"between -{LARGEST:g} and {LARGEST:g}" if abs(value) > LARGEST else None


@dataclass(frozen=True, slots=True)
class Field:
    """A value, the path it was found under, and the list that collects what is wrong with it."""

    value: Any
    path: str
    errors: list[FieldError]

    def refuse(self, message: str, code: Code = "invalid_request") -> None:
        """Collect an error at this path."""
        self.errors.append(FieldError(self.path or "request", message, code))

    def member(self, name: str, value: Any) -> "Field":
        """Return `value` as the member `name` of this object."""
        return Field(value, f"{self.path}.{name}" if self.path else name, self.errors)

    def members(self, names: Sequence[str]) -> dict[str, "Field"]:
        """Return the members that are present, having refused every other key."""
        if not isinstance(self.value, Mapping):
            self.refuse(f"must be an object, got {shown(self.value)}")
            return {}
        found = {}
        for key, value in self.value.items():
            if key in names:
                found[key] = self.member(key, value)
            else:
                self.member(printable(key), value).refuse(f"unknown key{suggestion(key, names)}")
        return found

    def items(self) -> list["Field"]:
        """Return the items of a non-empty array; nothing once it was refused."""
        if not isinstance(self.value, Sequence) or isinstance(self.value, str | bytes):
            self.refuse(f"must be an array, got {shown(self.value)}")
            return []
        if not self.value:
            self.refuse("must not be empty: give at least one")
        return [
            Field(item, f"{self.path}[{number}]", self.errors)
            for number, item in enumerate(self.value)
        ]

    def whole(self, bounds: Bounds) -> int | None:
        """Return an integer within bounds; 5.0 is the integer 5."""
        value = self._number("an integer")
        if value is None:
            return None
        if isinstance(value, float) and not value.is_integer():
            self.refuse(f"must be an integer, got {shown(value)}")
            return None
        return int(value) if self._within(value, bounds) else None

    def number(self, bounds: Bounds) -> float | None:
        """Return a finite number within bounds."""
        value = self._number("a number")
        if value is None or not self._within(value, bounds):
            return None
        return float(value) + 0.0  # +0.0 turns -0.0 into 0.0

    def choice(self, choices: Sequence[str], what: str) -> str | None:
        """Return one of `choices`; `what` is their singular noun."""
        if not isinstance(self.value, str):
            self.refuse(f"must be a string, the {what}, got {shown(self.value)}")
            return None
        if self.value not in choices:
            self.refuse(f"unknown {what} {shown(self.value)}{suggestion(self.value, choices)}")
            return None
        return self.value

    def _number(self, expected: str) -> int | float | None:
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            hint = ": write it without quotes" if isinstance(value, str) else ""
            self.refuse(f"must be {expected}, got {shown(value)}{hint}")
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self.refuse(f"must be a finite number, got {value}")
            return None
        return value

    def _within(self, value: float, bounds: Bounds) -> bool:
        broken = bounds.broken_by(value)
        if broken:
            self.refuse(f"must be {broken}, got {shown(value)}")
        return not broken


REQUIRED: Any = object()
"""The default of a member that has none."""


@dataclass(frozen=True, slots=True)
class Members:
    """The members of an object; `strict` means that no default is filled in."""

    field: Field
    members: Mapping[str, Field]
    strict: bool

    @classmethod
    def of(cls, field: Field, names: tuple[str, ...], *, strict: bool) -> "Members":
        """Read an object, refusing keys other than `names`."""
        return cls(field, field.members(names), strict)

    def get(self, name: str, default: Any = REQUIRED, hint: str = "give it") -> Field | None:
        """Return a member or its default; None once it was refused as missing."""
        if name in self.members:
            return self.members[name]
        if self.strict or default is REQUIRED:
            if isinstance(self.field.value, Mapping):
                self.field.member(name, None).refuse(f"is missing: {hint}")
            return None
        return self.field.member(name, default)

    def object(self, name: str, names: tuple[str, ...], default: Any = REQUIRED) -> "Members":
        """Return a member that is an object; one without members once it was refused."""
        member = self.get(name, default, f"give an object with {', '.join(names)}")
        if member is None:  # its absence is the error, not that of its members
            return Members(Field(None, "", []), {}, strict=False)
        return Members.of(member, names, strict=self.strict)

    def number(self, name: str, bounds: Bounds, default: Any = REQUIRED) -> float | None:
        """Return a member that is a number."""
        member = self.get(name, default)
        return None if member is None else member.number(bounds)

    def whole(self, name: str, bounds: Bounds, default: Any = REQUIRED) -> int | None:
        """Return a member that is an integer."""
        member = self.get(name, default)
        return None if member is None else member.whole(bounds)

    def choice(
        self, name: str, choices: tuple[str, ...], what: str, default: Any = REQUIRED
    ) -> str | None:
        """Return a member that is one of `choices`; `what` is their singular noun."""
        member = self.get(name, default, f"give one of {', '.join(choices)}")
        return None if member is None else member.choice(choices, what)


def suggestion(text: object, known: Sequence[str]) -> str:
    """Return "; did you mean …" when something known is close, else what is known."""
    close = get_close_matches(str(text)[:100], known, n=3)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; known: {', '.join(known)}"


def shown(value: Any) -> str:
    """Return a value as JSON, shortened to fit into a sentence."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "an array"
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(key: object) -> str:
    """Return a key as it may stand in a path: on one line, and short."""
    return repr(str(key)[:60])[1:-1]


def plain(number: float) -> str:
    """Return a bound without a trailing `.0`."""
    whole = isinstance(number, int) or float(number).is_integer()
    return str(int(number)) if whole else repr(number)
