"""Canonical JSON and the hashes over it, the same on every machine and after every round trip."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from engine.request.label import LABEL
from engine.request.model import FIRST_EXECUTION, FIRST_POSITION

ENGINE_PARAMS = ("direction_mode", "sizing_mode", "execution")


def canonical_json(value: Any) -> str:
    """Return `value` as JSON: sorted keys, no spaces, ASCII, floats in their shortest form.

    Raises ValueError for NaN and infinities, which JSON does not have.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def sha256_hex(text: str) -> str:
    """Return the sha256 of ASCII text as 64 hex digits."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def request_hash(document: Mapping[str, Any]) -> str:
    """Return the hash of a whole effective request."""
    return sha256_hex(canonical_json(document))


def submission_hash(document: Any) -> str:
    """Return the hash of a request as it was sent, without name and note.

    Defaults have no part in it: the same text under the same key is the same submission, whatever
    the settings have become. 1 and 1.0 are one number of JSON, of which JavaScript writes the first
    alone.
    """
    if isinstance(document, Mapping):
        document = {key: value for key, value in document.items() if key not in LABEL}
    return sha256_hex(canonical_json(_with_whole_numbers(document)))


def spec_hash(template: Mapping[str, Any]) -> str:
    """Return the hash of a saved strategy's template."""
    return sha256_hex(canonical_json(template))


def engine_params_hash(document: Mapping[str, Any]) -> str:
    """Return the hash of direction, sizing, execution and position of an effective request."""
    template = document["template"]
    params = {name: template[name] for name in ENGINE_PARAMS} | named_position(template)
    params["execution"] = named_execution(params["execution"])
    return sha256_hex(canonical_json(params))


def named_execution(execution: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of `execution` that name a variant, as rows hold them.

    One that came with a later version is left out where it is what it was before: what was stored
    without it keeps its name.
    """
    first = FIRST_EXECUTION.items()
    return {name: value for name, value in execution.items() if (name, value) not in first}


def named_position(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the position of a template by its key; nothing where it is what it was at first.

    The template is that of a request of any version.
    """
    position = template.get("position", FIRST_POSITION)
    return {} if position == FIRST_POSITION else {"position": position}


def _with_whole_numbers(value: Any) -> Any:
    """Return a document in which a float without a fraction is an integer."""
    if isinstance(value, Mapping):
        return {key: _with_whole_numbers(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_with_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
