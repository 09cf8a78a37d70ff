"""Members of small bodies; requests for sweeps are read by `engine.request`."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from api.errors import Detail, invalid, invalid_value
from engine.request.words import printable, shown


def members(document: Any, names: Sequence[str], path: str = "request") -> Mapping[str, Any]:
    """Return the members of an object. Raises 422 naming every one that is not in `names`."""
    if not isinstance(document, Mapping):
        raise invalid_value(path, f"must be an object, got {shown(document)}")
    unknown = [name for name in document if name not in names]
    if unknown:
        raise invalid(
            Detail(
                printable(name), "invalid_request", f"is no key here: there is {', '.join(names)}"
            )
            for name in unknown
        )
    return document


def text(value: Any, path: str, most: int, *, lines: bool = False) -> str:
    """Return a text of 1 to `most` printable characters. Raises 422."""
    if not isinstance(value, str):
        raise invalid_value(path, f"must be a text, got {shown(value)}")
    if not 1 <= len(value) <= most:
        raise invalid_value(path, f"has {len(value)} characters, it must have 1 to {most}")
    kept = value.replace("\n", "").replace("\r", "").replace("\t", "") if lines else value
    if kept and not kept.isprintable():
        raise invalid_value(path, f"must be printable, got {shown(value)}")
    return value


def uuid(value: Any, path: str) -> UUID:
    """Return an id. Raises 422."""
    try:
        if not isinstance(value, str):
            raise ValueError
        found = UUID(value)
    except ValueError:
        raise invalid_value(path, f"must be an id, got {shown(value)}") from None
    return found
