"""JSON Merge Patch, RFC 7396."""

from collections.abc import Mapping
from typing import Any


def merge_patch(document: Any, patch: Any) -> Any:
    """Return a document with a patch applied; neither of them is changed, parts may be shared.

    null in the patch removes a key, an object goes on inside, anything else replaces. Documents of
    any depth are fine.
    """
    if not isinstance(patch, Mapping):
        return patch
    result = _members(document)
    waiting: list[tuple[dict[str, Any], Mapping[str, Any]]] = [(result, patch)]
    while waiting:
        target, changes = waiting.pop()
        for key, value in changes.items():
            if value is None:
                target.pop(key, None)
            elif isinstance(value, Mapping):
                target[key] = _members(target.get(key))
                waiting.append((target[key], value))
            else:
                target[key] = value
    return result


def _members(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
