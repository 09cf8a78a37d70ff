"""A request for a sweep: its defaults, its limits, and everything that can be wrong with it.

`complete` turns what a user sent into the effective request, which names every value that can
change a result; `parse` reads an effective request and fills in nothing.
"""

from engine.request.completion import complete, parse
from engine.request.defaults import DefaultsError, read_defaults
from engine.request.entries import TABLE
from engine.request.example import example
from engine.request.fields import FieldError, RequestError
from engine.request.hashes import canonical_json, engine_params_hash, request_hash, sha256_hex
from engine.request.idempotency import read_idempotency_key
from engine.request.json_text import read_json
from engine.request.model import (
    UNGUARDED,
    VERSION,
    BlockRequest,
    Defaults,
    Execution,
    Limits,
    Ranking,
    Request,
    Risk,
)
from engine.request.reference import reference

__all__ = [
    "TABLE",
    "UNGUARDED",
    "VERSION",
    "BlockRequest",
    "Defaults",
    "DefaultsError",
    "Execution",
    "FieldError",
    "Limits",
    "Ranking",
    "Request",
    "RequestError",
    "Risk",
    "canonical_json",
    "complete",
    "engine_params_hash",
    "example",
    "parse",
    "read_defaults",
    "read_idempotency_key",
    "read_json",
    "reference",
    "request_hash",
    "sha256_hex",
]
