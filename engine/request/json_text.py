"""Strict JSON: what a request may be written in."""

import json
from collections.abc import Sequence
from typing import Any

from engine.request.fields import FieldError, RequestError
from engine.request.words import shown

MAX_TEXT_BYTES = 2**20


def read_json(text: str | bytes) -> Any:
    """Return the document in a JSON text. Raises RequestError.

    Stricter than `json`: no key twice in an object, no NaN or infinity, at most one megabyte.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise _unreadable(f"has {len(text)} bytes, the limit is {MAX_TEXT_BYTES}: shorten it")
    try:
        return json.loads(text, object_pairs_hook=_unique_members, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _unreadable(f"is not JSON, {where}: {error.msg}") from None
    except UnicodeDecodeError:
        raise _unreadable("is not UTF-8 text: save it as UTF-8") from None
    except RecursionError:
        raise _unreadable("is nested too deeply") from None
    except RequestError:
        raise
    except ValueError:
        raise _unreadable("holds a number of more digits than can be read") from None


def _unreadable(message: str) -> RequestError:
    return RequestError([FieldError("request", message)])


def _unique_members(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise _unreadable(f"gives the key {shown(key)} twice in one object: remove one")
        members[key] = value
    return members


def _no_constant(name: str) -> None:
    raise _unreadable(f"holds {name}, which is not a JSON number: give a finite number")
