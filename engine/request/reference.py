"""The table of fields as plain data, for whoever explains requests: JSON types only."""

from typing import Any

from engine.request.entries import TABLE
from engine.request.model import Defaults
from engine.request.table import REQUIRED, UNSHOWN, Derived, Entry, Setting


def reference(defaults: Defaults) -> list[dict[str, Any]]:
    """Return every field in the order of the table, with the defaults as they are configured.

    `required` fields have no default. `default_note` says how a default is found, or applied; it
    is all there is where the default follows from the rest of a request.
    """
    return [_described(entry, defaults) for entry in TABLE.entries]


def _described(entry: Entry, defaults: Defaults) -> dict[str, Any]:
    bounds, default = entry.bounds, entry.default
    maximum = bounds.maximum
    if entry.most is not None:
        maximum = getattr(defaults, entry.most.name)
    note = ""
    if isinstance(default, Setting):
        note = (default.by and f"by {default.by}") or default.words
        default = getattr(defaults, default.name)
    elif isinstance(default, Derived):
        note, default = default.words, None
    return {
        "path": entry.path,
        "type": entry.type,
        "null": entry.null,
        "choices": list(entry.choices),
        "texts": list(entry.texts),
        "minimum": bounds.minimum,
        "above": bounds.above,
        "maximum": maximum,
        "below": bounds.below,
        "pattern": None if entry.pattern is None else entry.pattern.words,
        "required": default is REQUIRED,
        "default": _plain(None if default is REQUIRED else default),
        "default_note": note,
        "sentence": entry.sentence,
        "example": None if entry.example is UNSHOWN else entry.example,
        "in_example": entry.example is not UNSHOWN,
    }


def _plain(value: Any) -> Any:
    """Return a value in JSON types: keys are strings."""
    return {str(key): item for key, item in value.items()} if hasattr(value, "items") else value
