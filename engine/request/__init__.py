"""A request for a sweep: its defaults, its limits, and everything that can be wrong with it.

`complete` turns what a user sent into the effective request, which names every value that can
change a result; `parse` reads an effective request and fills in nothing.
"""

from engine.request.completion import complete, parse
from engine.request.defaults import DefaultsError, read_defaults
from engine.request.entries import TABLE
from engine.request.estimate import TooLarge
from engine.request.example import example, holding_example
from engine.request.fields import FieldError, RequestError
from engine.request.hashes import (
    canonical_json,
    engine_params_hash,
    request_hash,
    sha256_hex,
    spec_hash,
    submission_hash,
)
from engine.request.idempotency import read_idempotency_key
from engine.request.json_text import read_json
from engine.request.label import read_label
from engine.request.merge_patch import merge_patch
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
from engine.request.saved import Saved, read_saved, saved_document
from engine.request.schema import json_schema

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
    "Saved",
    "TooLarge",
    "canonical_json",
    "complete",
    "engine_params_hash",
    "example",
    "holding_example",
    "json_schema",
    "merge_patch",
    "parse",
    "read_defaults",
    "read_idempotency_key",
    "read_json",
    "read_label",
    "read_saved",
    "reference",
    "request_hash",
    "saved_document",
    "sha256_hex",
    "spec_hash",
    "submission_hash",
]
