"""Canonical JSON and the hashes over it, the same on every machine and after every round trip."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

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


def engine_params_hash(document: Mapping[str, Any]) -> str:
    """Return the hash of direction, sizing and execution of an effective request."""
    template = document["template"]
    return sha256_hex(canonical_json({name: template[name] for name in ENGINE_PARAMS}))
