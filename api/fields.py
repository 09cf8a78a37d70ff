"""Members of small bodies; requests for sweeps are read by `engine.request`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from api.errors import ApiError, Detail, invalid, invalid_value, of_request
from engine.request import RequestError
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


def together(document: Any, *reads: Callable[[Mapping[str, Any]], Any]) -> list[Any]:
    """Return what each of `reads` makes of an object. Raises 422 with what all of them refuse."""
    made, problems = [], set[Detail]()
    given = members(document, tuple(document) if isinstance(document, Mapping) else ())
    for read in reads:
        try:
            made.append(read(given))
        except RequestError as error:
            problems.update(of_request(error))
        except ApiError as error:
            if not error.details:
                raise
            problems.update(error.details)
    if problems:
        raise invalid(problems)
    return made


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
