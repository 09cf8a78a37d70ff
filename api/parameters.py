"""Query parameters, declared once: they are read and described by the same declaration.

All others are refused by name.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.datastructures import QueryParams

from api import cursor
from api.errors import Detail, invalid
from engine.request.fields import Field
from engine.request.label import printable_in_names
from engine.request.times import milliseconds, read_time
from engine.request.words import shown

Asked = Mapping[str, Any]
Value = TypeVar("Value")

LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: `read` returns its value, or raises ValueError that says what it must be."""

    name: str
    read: Callable[[str], Any]
    schema: Mapping[str, Any]
    sentence: str
    default: Any = None

    def described(self) -> dict[str, Any]:
        """Return it as OpenAPI has it."""
        schema = dict(self.schema)
        if self.default is not None:
            schema["default"] = self.default
        return {
            "name": self.name,
            "in": "query",
            "required": False,
            "schema": schema,
            "description": self.sentence,
        }


class Query:
    """The parameters of a call."""

    def __init__(self, *parameters: Parameter) -> None:
        self._parameters = {parameter.name: parameter for parameter in parameters}
        self._defaults = {parameter.name: parameter.default for parameter in parameters}

    def described(self) -> list[dict[str, Any]]:
        """Return them as OpenAPI has them."""
        return [parameter.described() for parameter in self._parameters.values()]

    def read(self, given: QueryParams) -> Asked:
        """Return all values by name; raises 422 with everything that is wrong."""
        pairs = given.multi_items()
        if not pairs:
            return self._defaults
        values = dict(self._defaults)
        problems = self._unknown([name for name, _ in pairs])
        for name, text in dict(pairs).items():
            parameter = self._parameters.get(name)
            if parameter is None:
                continue
            try:
                values[name] = parameter.read(text)
            except ValueError as error:
                problems.append(Detail(name, "invalid_request", f"{error}, got {shown(text)}"))
        if problems:
            raise invalid(set(problems))
        return values

    def _unknown(self, names: list[str]) -> list[Detail]:
        """Name what the call does not have, and what is given twice."""
        known = ", ".join(sorted(self._parameters))
        have = f"it has {known}" if known else "it has none"
        problems = []
        for at, name in enumerate(names):
            if name not in self._parameters:
                path = shown(name).strip("'\"")
                problems.append(Detail(path, "invalid_request", f"is no parameter: {have}"))
            elif name in names[:at]:
                problems.append(Detail(name, "invalid_request", "is given twice: give it once"))
        return problems


def whole(name: str, least: int, most: int, sentence: str, default: int | None) -> Parameter:
    """Declare a whole number."""

    def read(text: str) -> int:
        if re.fullmatch(r"-?[0-9]{1,19}", text, re.ASCII) and least <= int(text) <= most:
            return int(text)
        raise ValueError(f"must be a whole number from {least} to {most}")

    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Parameter(name, read, schema, sentence, default)


def choice(name: str, choices: tuple[str, ...], sentence: str) -> Parameter:
    """Declare one of some words."""

    def read(text: str) -> str:
        if text in choices:
            return text
        raise ValueError(f"must be one of {', '.join(choices)}")

    return Parameter(name, read, {"type": "string", "enum": list(choices)}, sentence)


def words(name: str, choices: tuple[str, ...], sentence: str) -> Parameter:
    """Declare several of some words, separated by commas; read as a set."""

    def read(text: str) -> frozenset[str]:
        found = frozenset(text.split(","))
        if found <= set(choices):
            return found
        raise ValueError(f"must be some of {', '.join(choices)}, separated by commas")

    one = f"(?:{'|'.join(choices)})"
    schema = {"type": "string", "pattern": f"^{one}(?:,{one})*$"}
    return Parameter(name, read, schema, sentence)


def moment(name: str, sentence: str) -> Parameter:
    """Declare a time, read as milliseconds since the epoch."""

    def read(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,15}", text, re.ASCII):
            return int(text)
        field = Field(text, name, [])
        found = read_time(field)
        if found is None:
            raise ValueError(
                "must be a time like 2024-01-01T00:00:00Z, or milliseconds since the epoch"
            )
        return milliseconds(found)

    return Parameter(name, read, {"type": "string", "minLength": 1}, sentence)


def cursor_of(id_name: str) -> Parameter:
    """Declare the cursor of a list."""

    def read(text: str) -> cursor.Position:
        return cursor.read(text, id_name)

    return Parameter("cursor", read, {"type": "string"}, "`next_cursor` of the page before.")


def text(name: str, sentence: str, most: int = LONGEST_TEXT) -> Parameter:
    """Declare a printable text."""

    def read(value: str) -> str:
        if 1 <= len(value) <= most and all(map(printable_in_names, value)):
            return value
        raise ValueError(f"must be 1 to {most} printable characters")

    return Parameter(name, read, {"type": "string", "minLength": 1, "maxLength": most}, sentence)
