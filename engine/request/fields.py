"""Reading a JSON document value by value, so that every refusal knows its path.

Nothing here stops at the first problem: a refused value becomes None, its error is collected, and
the reader raises all of them together in the end.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.request.bounds import Bounds
from engine.request.table import Pattern
from engine.request.words import printable, shown

Code = Literal["invalid_request", "guard_exceeded"]

MOST_ERRORS = 100
"""So many are told, the first by path; who has more has another problem."""


@dataclass(frozen=True, slots=True, order=True)
class FieldError:
    """One thing wrong with a request: where, and what to do about it.

    `hint` names the right place or the right name, where these are known.
    """

    path: str
    message: str
    code: Code = "invalid_request"
    hint: str | None = field(default=None, compare=False)

    @property
    def text(self) -> str:
        """Message and hint, for whoever prints them together."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class RequestError(ValueError):
    """Everything that is wrong with a request, sorted by path; the first of very many.

    `code` is `guard_exceeded` when the request is well-formed and only too large.
    """

    def __init__(self, errors: Iterable[FieldError]) -> None:
        found = sorted(set(errors))
        too_large = all(error.code == "guard_exceeded" for error in found)
        more = len(found) - MOST_ERRORS
        if more > 0:
            found = found[:MOST_ERRORS]
            found.append(FieldError("request", f"has {more} more problems, which are not listed"))
        self.errors = tuple(found)
        self.code: Code = "guard_exceeded" if too_large else "invalid_request"
        super().__init__("\n".join(f"{error.path}: {error.text}" for error in self.errors))


@dataclass(frozen=True, slots=True)
class Field:
    """A value, the path it was found under, and the list that collects what is wrong with it."""

    value: Any
    path: str
    errors: list[FieldError]

    def refuse(
        self,
        message: str,
        code: Code = "invalid_request",
        hint: str | Callable[[], str] | None = None,
    ) -> None:
        """Collect an error at this path.

        A hint that takes a search is given as a function: where hundreds of things are wrong, no
        more are looked for, or a text of nothing but unknown names would take minutes.
        """
        if callable(hint):
            hint = (hint() or None) if len(self.errors) < MOST_ERRORS else None
        self.errors.append(FieldError(self.path or "request", message, code, hint))

    def member(self, name: str, value: Any) -> "Field":
        """Return `value` as the member `name` of this object."""
        return Field(value, f"{self.path}.{name}" if self.path else name, self.errors)

    def all_members(self) -> dict[Any, "Field"]:
        """Return every member by its key; nothing once it was refused as no object."""
        if not isinstance(self.value, Mapping):
            self.refuse(f"must be an object, got {shown(self.value)}")
            return {}
        return {key: self.member(printable(key), value) for key, value in self.value.items()}

    def items(self) -> list["Field"]:
        """Return the items of a non-empty array; nothing once it was refused."""
        if not is_array(self.value):
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

    def boolean(self) -> bool | None:
        """Return true or false."""
        if not isinstance(self.value, bool):
            self.refuse(f"must be true or false, got {shown(self.value)}")
            return None
        return self.value

    def text(self, pattern: Pattern | None = None) -> str | None:
        """Return a string that looks as it must."""
        if pattern is None and not isinstance(self.value, str):
            self.refuse(f"must be a string, got {shown(self.value)}")
            return None
        if pattern is not None and not (
            isinstance(self.value, str) and re.fullmatch(pattern.expression, self.value, re.ASCII)
        ):
            self.refuse(f"must be {pattern.words}, got {shown(self.value)}")
            return None
        return str(self.value)

    def _number(self, expected: str) -> int | float | None:
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            remedy = ": write it without quotes" if isinstance(value, str) else ""
            self.refuse(f"must be {expected}, got {shown(value)}{remedy}")
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


def is_array(value: Any) -> bool:
    """Whether a value is an array of JSON."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
