"""The example of a request, put together from the examples of the fields."""

import copy
from typing import Any

from engine.request.block_entries import BLOCK
from engine.request.entries import TABLE
from engine.request.table import ANY, UNSHOWN, Entry


def example() -> dict[str, Any]:
    """Return a request that can be submitted as it is, once its instrument has candles."""
    return _object("")


def _object(path: str) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name in TABLE.keys(path):
        entry = TABLE.at(f"{path}.{name}".lstrip("."))
        if name == ANY:
            members |= copy.deepcopy(entry.example)
        elif entry.type == "object":
            members[name] = _object(entry.path)
        elif entry.example is not UNSHOWN:
            members[name] = _value(entry)
    return members


def _value(entry: Entry) -> Any:
    value = copy.deepcopy(entry.example)
    return [*value, _object(BLOCK)] if f"{entry.path}[]" == BLOCK else value
