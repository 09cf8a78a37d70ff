"""Strict JSON: what may be read at all, whatever it is meant to be.

A document that was read can be stored as it is and becomes the same document again: its texts are
what Postgres can hold, its numbers are finite.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from engine.request.fields import FieldError, RequestError
from engine.request.words import printable, shown

MAX_TEXT_BYTES = 2**20
MAX_DEPTH = 64
MAX_NUMBER = 400
"""Characters of a number; the longest float takes 309 digits before its point."""

_MOST_ERRORS = 20
# A string that does not end reaches to the end of the text, so that none is looked at twice.
_BRACKET_OR_STRING = re.compile(r'[\[\]{}]|"(?:[^"\\]++|\\.)*+"?', flags=re.DOTALL)
_SUSPECT = re.compile(r"\\u(0000|[dD][89a-fA-F])|[\ud800-\udfff]")
"""What stands in a text wherever a string of its document cannot be stored."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands in a document for a part that was refused, until its path is known."""

    message: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A part of a document, and what it is part of."""

    value: Any
    key: str | int = ""
    parent: "_Place | None" = None

    def parts(self) -> Iterator["_Place"]:
        if isinstance(self.value, dict):
            return (_Place(value, key, self) for key, value in self.value.items())
        if isinstance(self.value, list):
            return (_Place(value, number, self) for number, value in enumerate(self.value))
        return iter(())

    def path(self) -> str:
        """Write the path, as errors have it; of the whole document it is "request"."""
        names, place = [], self
        while place.parent is not None:
            key = place.key
            names.append(f"[{key}]" if isinstance(key, int) else f".{printable(key)}")
            place = place.parent
        return "".join(reversed(names)).removeprefix(".") or "request"


def read_json(
    text: str | bytes, *, depth_max: int = MAX_DEPTH, bytes_max: int = MAX_TEXT_BYTES
) -> Any:
    """Return the document in a JSON text in UTF-8. Raises RequestError, and nothing else.

    Stricter than `json`: no key twice in an object, no NaN, no infinity and no number that is
    rounded to one, no NUL and no half of a surrogate pair, and limits of bytes and depth. Takes
    time in proportion to the text. -0.0 is read as 0.0.
    """
    written = _decoded(text, bytes_max)
    _refuse_depth(written, depth_max)
    values = _Values()
    try:
        document = json.loads(
            written,
            object_pairs_hook=values.members,
            parse_constant=values.constant,
            parse_int=values.whole,
            parse_float=values.fraction,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _unreadable(f"is not JSON, {where}: {error.msg}") from None
    if values.refused or _SUSPECT.search(written):
        errors = list(_problems(document))
        if errors:
            raise RequestError(errors)
    return document


def _unreadable(message: str) -> RequestError:
    return RequestError([FieldError("request", message)])


def _decoded(text: str | bytes, bytes_max: int) -> str:
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > bytes_max:
        raise _unreadable(f"has {len(data)} bytes, the limit is {bytes_max}: shorten it")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _unreadable(
                f"is not UTF-8 text, byte {error.start + 1}: save it as UTF-8"
            ) from None
    if text.startswith("\ufeff"):
        raise _unreadable("begins with a byte order mark: save it as UTF-8 without one")
    if not text.strip():
        raise _unreadable("is empty: give a JSON document")
    return text


def _refuse_depth(text: str, depth_max: int) -> None:
    """Refuse a text that is nested deeper than may be, before anything is called for each level."""
    if text.count("[") + text.count("{") <= depth_max:
        return
    depth = 0
    for found in _BRACKET_OR_STRING.finditer(text):
        bracket = text[found.start()]
        if bracket in "[{":
            depth += 1
            if depth > depth_max:
                line = text.count("\n", 0, found.start()) + 1
                raise _unreadable(
                    f"is nested too deeply, line {line}: objects and arrays may be {depth_max} deep"
                )
        elif bracket in "]}":
            depth -= 1


class _Values:
    """Makes the values of a document, and remembers whether some of them were refused."""

    def __init__(self) -> None:
        self.refused = False

    def refuse(self, message: str) -> _Refused:
        self.refused = True
        return _Refused(message)

    def members(self, pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Refused:
        members = dict(pairs)
        if len(members) == len(pairs):
            return members
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                break
            seen.add(key)
        return self.refuse(f"gives the key {shown(key)} twice in one object: remove one")

    def constant(self, name: str) -> _Refused:
        return self.refuse(f"is {name}, which is not a JSON number: give a finite number")

    def whole(self, digits: str) -> int | _Refused:
        return int(digits) if len(digits) <= MAX_NUMBER else self._too_long(digits)

    def fraction(self, digits: str) -> float | _Refused:
        if len(digits) > MAX_NUMBER:
            return self._too_long(digits)
        number = float(digits) + 0.0  # +0.0 turns -0.0 into 0.0
        if math.isinf(number):
            return self.refuse(f"is {digits[:60]}, more than a number can hold: give a smaller one")
        return number

    def _too_long(self, digits: str) -> _Refused:
        return self.refuse(
            f"is a number of more digits than can be read ({len(digits)} characters, the limit is "
            f"{MAX_NUMBER}): shorten it"
        )


def _problems(document: Any) -> Iterable[FieldError]:
    """Yield what is wrong with the values and keys of a document, at most `_MOST_ERRORS` of it."""
    found = 0
    waiting = [iter((_Place(document),))]
    while waiting and found < _MOST_ERRORS:
        place = next(waiting[-1], None)
        if place is None:
            waiting.pop()
            continue
        waiting.append(place.parts())
        message = _problem(place)
        if message:
            found += 1
            yield FieldError(place.path(), message)


def _problem(place: _Place) -> str:
    if isinstance(place.value, _Refused):
        return place.value.message
    for what, text in (("has a key with", place.key), ("holds", place.value)):
        unstorable = _unstorable(text) if isinstance(text, str) else ""
        if unstorable:
            return f"{what} {unstorable}, which cannot be stored: remove it"
    return ""


def _unstorable(text: str) -> str:
    if "\0" in text:
        return "a NUL character"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "half of a surrogate pair"
    return ""
