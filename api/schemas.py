"""The shapes of bodies and answers, as OpenAPI describes them; `views` makes them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from engine.metric_names import METRICS
from storage.records import Mode, Stage, State

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string", "x-media-type": "text/plain"}
STREAM: Schema = {"type": "string", "x-media-type": "text/event-stream"}

_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_ID: Schema = {"type": "string", "format": "uuid"}
_HASH: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_FLAG: Schema = {"type": "boolean"}
_OBJECT: Schema = {"type": "object"}
_PRINTABLE = "^[^\\u0000-\\u001f\\u007f\\ud800-\\udfff]*$"


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _many(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(optional: Mapping[str, Schema] | None = None, /, **members: Schema) -> Schema:
    """Return an object in which every member is required but the optional ones, and no other."""
    return {
        "type": "object",
        "properties": {**members, **(optional or {})},
        "required": list(members),
        "additionalProperties": False,
    }


def _words(words: Any) -> Schema:
    return {"type": "string", "enum": [str(word) for word in words]}


_WARNING = _object(code=_TEXT, message=_TEXT)
_DETAIL = _object(path=_TEXT, code=_TEXT, message=_TEXT, hint=_or_null(_TEXT))
_PROGRESS = _or_null(
    _object(
        stage=_words((State.QUEUED, *Stage)),
        done=_COUNT,
        total=_COUNT,
        rate=_or_null(_NUMBER),
        eta=_or_null(_NUMBER),
    )
)
_STATE = _words(State)
_STAGE = _or_null(_words(Stage))

# What an item of the list and a status have in common.
_LIFE: dict[str, Schema] = {
    "job_id": _ID,
    "name": _or_null(_TEXT),
    "mode": _words(Mode),
    "state": _STATE,
    "stage": _STAGE,
    "progress": _PROGRESS,
    "attempt": _COUNT,
    "created_at": _TIME,
    "started_at": _or_null(_TIME),
    "finished_at": _or_null(_TIME),
    "cancel_requested_at": _or_null(_TIME),
}
_ITEM = _object(
    **_LIFE,
    market_id=_COUNT,
    symbol=_TEXT,
    timeframe=_TEXT,
    start=_TIME,
    end=_TIME,
    primary_metric=_words(METRICS),
    best=_or_null(_NUMBER),
    best_infinite=_FLAG,
    last_error=_or_null(_TEXT),
)
_STATUS_MEMBERS: dict[str, Schema] = {
    **_LIFE,
    "note": _or_null(_TEXT),
    "progress_updated_at": _or_null(_TIME),
    "request_hash": _HASH,
    "engine_params_hash": _HASH,
    "backtest_runtime_config_hash": _HASH,
    "spec_hash": _or_null(_HASH),
    "spec_payload": _or_null(_OBJECT),
    "engine_version": _or_null(_TEXT),
    "request": _OBJECT,
    "coverage": _or_null(_OBJECT),
    "outcomes": _or_null(_OBJECT),
    "verdict": _many(_TEXT),
}
_FAILED: dict[str, Schema] = {"last_error": _or_null(_TEXT), "last_error_json": _or_null(_OBJECT)}
_HISTOGRAM = _object(edges=_many(_NUMBER), counts=_many(_COUNT))
_DISTRIBUTION = {"type": ["object", "null"]}

_ESTIMATED: dict[str, Schema] = {
    "stage_a_variants": _COUNT,
    "stage_b_variants": _COUNT,
    "risk_combinations": _COUNT,
    "bytes": _COUNT,
    "seconds": _or_null(_NUMBER),
}

_COUNTED: Schema = {"anyOf": [_COUNT, {"type": "string", "pattern": "^[0-9]+\\+$"}]}

COMPONENTS: Mapping[str, Schema] = MappingProxyType(
    {
        "Error": _object(error=_object(code=_TEXT, message=_TEXT, details=_many(_DETAIL))),
        "Status": _object({**_FAILED, "distribution": _DISTRIBUTION}, **_STATUS_MEMBERS),
        "Submitted": _object(
            _FAILED, **_STATUS_MEMBERS, warnings=_many(_WARNING), estimate=_object(**_ESTIMATED)
        ),
        "Item": _ITEM,
        "List": _object(
            items=_many(_ref("Item")),
            next_cursor=_or_null(_TEXT),
            counts=_object(**{str(state): _COUNTED for state in State}),
        ),
    }
)

ERROR = _ref("Error")
STATUS = _ref("Status")
SUBMITTED = _ref("Submitted")
LIST = _ref("List")
LIVES = _object(status=_words(("ok",)))

SIGN_IN = _object({"token": {"type": "string", "minLength": 1, "maxLength": 4096}})

NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 120, "pattern": _PRINTABLE}
NOTE: Schema = {"type": "string", "minLength": 1, "maxLength": 4000}
REQUEST: Schema = {
    "type": "object",
    "properties": {"name": _or_null(NAME), "note": _or_null(NOTE)},
    "description": "A request as `/backtests/request-schema` describes it, with name and note.",
}

PATH: Mapping[str, Schema] = MappingProxyType(
    {
        "job_id": {"type": "string", "pattern": "^[0-9a-fA-F-]{4,36}$"},
        "variant_key": _HASH,
        "base_index": _COUNT,
        "variant_index": _COUNT,
        "strategy_id": _ID,
    }
)

IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
    "description": "A retry under the same key returns the same job.",
}
