"""What the reference page tells of the calls, taken from the OpenAPI document."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

CHAPTERS = (
    "jobs",
    "results",
    "streams",
    "strategies",
    "catalogue",
    "session",
    "operation",
)
"""What most people look for first; the rest follows in the order of the document."""

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Parameter:
    """What can be said in the path, the query or a header."""

    name: str
    place: str
    words: str
    required: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """One status that a call answers with; `shape` is its JSON Schema as text, or empty."""

    status: str
    words: str
    shape: str


@dataclass(frozen=True, slots=True)
class Call:
    """One method at one path."""

    method: str
    path: str
    summary: str
    parameters: list[Parameter]
    body: str
    answers: list[Answer]
    refusals: list[str]


def chapters(document: Json) -> dict[str, list[Call]]:
    """Return the calls of an OpenAPI document by their tag, as `CHAPTERS` orders them."""
    schemas = document.get("components", {}).get("schemas", {})
    found: dict[str, list[Call]] = {}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                operation = operations[method]
                tag = (operation.get("tags") or ["other"])[0]
                found.setdefault(tag, []).append(_call(method, path, operation, schemas))
    known = {tag: found.pop(tag) for tag in CHAPTERS if tag in found}
    return known | found


def _call(method: str, path: str, operation: Json, schemas: Json) -> Call:
    answers = list(_answers(operation, schemas))
    return Call(
        method=method.upper(),
        path=path,
        summary=operation.get("summary", ""),
        parameters=[_parameter(one) for one in operation.get("parameters", ())],
        body=_shape(operation.get("requestBody", {}), schemas),
        answers=[one for one in answers if one.status < "4"],
        refusals=[f"{one.status} {one.words}" for one in answers if one.status >= "4"],
    )


def _answers(operation: Json, schemas: Json) -> Iterator[Answer]:
    for status, answer in sorted(operation.get("responses", {}).items()):
        yield Answer(status, answer.get("description", ""), _shape(answer, schemas))


def _parameter(described: Json) -> Parameter:
    schema = described.get("schema", {})
    words = [described.get("description", "")]
    choices = schema.get("enum") or schema.get("items", {}).get("enum")
    if choices:
        words.append(f"one of {', '.join(map(str, choices))}")
    elif "type" in schema:
        words.append(str(schema["type"]))
    for name, said in (("minimum", "at least"), ("maximum", "at most"), ("default", "default")):
        if name in schema:
            words.append(f"{said} {schema[name]}")
    return Parameter(
        described["name"],
        described["in"],
        "; ".join(filter(None, words)),
        bool(described.get("required")),
    )


def _shape(described: Json, schemas: Json) -> str:
    content = described.get("content", {})
    for media, value in content.items():
        schema = value.get("schema", {})
        if media != "application/json":
            return str(media)
        name = schema.get("$ref", "").rpartition("/")[2]
        return json.dumps(schemas.get(name, schema), indent=2, ensure_ascii=False)
    return ""
