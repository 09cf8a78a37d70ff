"""Query parameters, declared once: they are read and described by the same declaration.

A route declares its own as `Annotated[Asked, Depends(Query(...))]`; a router with the dependency
`known_query` refuses all others by name.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request

from api import cursor
from api.errors import Detail, invalid
from engine.request.fields import Field
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
    """The parameters of a call. As a dependency it returns their values by name."""

    def __init__(self, *parameters: Parameter) -> None:
        self.parameters = {parameter.name: parameter for parameter in parameters}

    async def __call__(self, request: Request) -> Asked:
        """Read them; raises 422 with everything that is wrong."""
        values: dict[str, Any] = {}
        problems = []
        given = request.query_params
        for name, parameter in self.parameters.items():
            text = given.get(name)
            try:
                values[name] = parameter.default if text is None else parameter.read(text)
            except ValueError as error:
                problems.append(Detail(name, "invalid_request", f"{error}, got {shown(text)}"))
        if problems:
            raise invalid(problems)
        return values


async def known_query(request: Request) -> None:
    """Refuse parameters that the call does not have, and those that are given twice."""
    given = request.query_params.multi_items()
    if not given:
        return
    known = parameters_of(request.scope["route"])
    problems = []
    seen: set[str] = set()
    for name, _ in given:
        if name not in known:
            have = f"it has {', '.join(sorted(known))}" if known else "it has none"
            problems.append(
                Detail(shown(name).strip("'\""), "invalid_request", f"is no parameter: {have}")
            )
        elif name in seen:
            problems.append(Detail(name, "invalid_request", "is given twice: give it once"))
        seen.add(name)
    if problems:
        raise invalid(set(problems))


def parameters_of(route: Any) -> dict[str, Parameter]:
    """Return the query parameters that a route declares."""
    found: dict[str, Parameter] = {}
    for dependency in route.dependant.dependencies:
        if isinstance(dependency.call, Query):
            found |= dependency.call.parameters
    return found


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
        if 1 <= len(value) <= most and value.isprintable():
            return value
        raise ValueError(f"must be 1 to {most} printable characters")

    return Parameter(name, read, {"type": "string", "minLength": 1, "maxLength": most}, sentence)
