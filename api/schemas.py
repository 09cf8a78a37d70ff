"""The shapes of bodies and answers, as OpenAPI describes them; `views` makes them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from engine.metric_names import METRICS
from engine.timeframes import TIMEFRAMES
from storage.plan_records import ShardState
from storage.records import EventName, Mode, Stage, State

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string", "x-media-type": "text/plain"}
STREAM: Schema = {"type": "string", "x-media-type": "text/event-stream"}

_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_ID: Schema = {"type": "string", "format": "uuid"}
_HASH: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBERED: Schema = {"type": "integer", "minimum": 1}
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


_WARNING = _object(code=_TEXT, message=_TEXT, path=_or_null(_TEXT))
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
_SHARING = _or_null(
    _object(
        stage=_words(Stage),
        shards=_NUMBERED,
        states=_object(**{str(state): _COUNT for state in ShardState}),
        units=_object(done=_COUNT, total=_COUNT),
        workers=_many(_object(worker=_TEXT, running=_COUNT, done=_COUNT)),
        strip=_many(
            {
                "type": "array",
                "description": "State, worker where it is running, number of shards.",
                # Not `prefixItems`, which would say which is which: not every tool can read it.
                "items": {"anyOf": [_TEXT, {"type": "null"}, _NUMBERED]},
                "minItems": 3,
                "maxItems": 3,
            }
        ),
        said=_TEXT,
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
    market_id=_or_null(_COUNT),
    symbol=_or_null(_TEXT),
    timeframe=_or_null(_TEXT),
    start=_or_null(_TIME),
    end=_or_null(_TIME),
    primary_metric=_or_null(_words(METRICS)),
    best=_or_null(_NUMBER),
    best_infinite=_FLAG,
    last_error=_or_null(_TEXT),
)
_STATUS_MEMBERS: dict[str, Schema] = {
    **_LIFE,
    "sharing": _SHARING,
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
    "validation": _or_null(_OBJECT),
    "verdict": _many(_TEXT),
}
_FAILED: dict[str, Schema] = {"last_error": _or_null(_TEXT), "last_error_json": _or_null(_OBJECT)}
_DRAWN = _object(
    edges=_many(_NUMBER),
    counts=_many(_COUNT),
    below=_COUNT,
    above=_COUNT,
    undefined=_COUNT,
    infinite=_COUNT,
)
_DISTRIBUTION = _or_null(
    _object(
        total_return_pct=_DRAWN,
        primary=_or_null(_object(metric=_words(METRICS), **_DRAWN["properties"])),
        winner=_or_null(_NUMBER),
        benchmark_return_pct=_or_null(_NUMBER),
    )
)
_SIZES: dict[str, Schema] = {
    "stage_a_variants": _or_null(_COUNT),
    "stage_b_variants": _or_null(_COUNT),
    "risk_combinations": _or_null(_COUNT),
    "bytes": _or_null(_COUNT),
    "seconds": _or_null(_NUMBER),
}
_COUNTED: Schema = {"anyOf": [_COUNT, {"type": "string", "pattern": "^[0-9]+\\+$"}]}

_VARIANT_MEMBERS: dict[str, Schema] = {
    "rank": _COUNT,
    "variant_key": _HASH,
    "indicator_variant_key": _HASH,
    "variant_index": _COUNT,
    "total_return_pct": _or_null(_NUMBER),
    "twins": _COUNT,
    "metrics_json": _OBJECT,
    "payload_json": _OBJECT,
    "trades_omitted": _FLAG,
    "test_metrics_json": _or_null(_OBJECT),
    "beside_json": _or_null(_OBJECT),
}
_TRADES, _EQUITY = _or_null(_many(_OBJECT)), _or_null(_many(_many(_NUMBER)))
_VARIANT_DETAILS: dict[str, Schema] = {
    "report_table_md": _or_null(_TEXT),
    "trades": _TRADES,
    "equity": _EQUITY,
    "test_trades": _TRADES,
    "test_equity": _EQUITY,
}

COMPONENTS: Mapping[str, Schema] = MappingProxyType(
    {
        "Error": _object(error=_object(code=_TEXT, message=_TEXT, details=_many(_DETAIL))),
        "Status": _object({**_FAILED, "distribution": _DISTRIBUTION}, **_STATUS_MEMBERS),
        "Submitted": _object(
            _FAILED, **_STATUS_MEMBERS, warnings=_many(_WARNING), estimate=_object(**_SIZES)
        ),
        "Estimate": _object(
            request=_or_null(_OBJECT),
            **_SIZES,
            accepted=_FLAG,
            errors=_many(_DETAIL),
            warnings=_many(_WARNING),
            coverage=_or_null(_OBJECT),
            same_as=_or_null(_ID),
        ),
        "Item": _ITEM,
        "List": _object(
            items=_many(_ref("Item")),
            next_cursor=_or_null(_TEXT),
            counts=_object(**{str(state): _COUNTED for state in State}),
            paused=_or_null(_object(since=_TIME, reason=_or_null(_TEXT))),
        ),
        "Row": _object(_VARIANT_DETAILS, **_VARIANT_MEMBERS),
        "Variant": _object(**_VARIANT_MEMBERS, **_VARIANT_DETAILS),
        "AnyVariant": _object(
            space=_words(("base", "variant")),
            index=_COUNT,
            base_index=_COUNT,
            variant_key=_or_null(_HASH),
            payload_json=_OBJECT,
            request=_OBJECT,
            idempotency_key=_TEXT,
            row=_or_null(_COUNT),
        ),
        "Event": _object(
            event_id=_COUNT,
            at=_TIME,
            event=_words(EventName),
            attempt=_COUNT,
            actor=_TEXT,
            details=_OBJECT,
        ),
        "Strategy": _object(
            strategy_id=_ID,
            name=_TEXT,
            note=_or_null(_TEXT),
            template=_OBJECT,
            source_job_id=_or_null(_ID),
            source_variant_key=_or_null(_HASH),
            created_at=_TIME,
            updated_at=_TIME,
        ),
    }
)

ERROR = _ref("Error")
STATUS = _ref("Status")
SUBMITTED = _ref("Submitted")
ESTIMATE = _ref("Estimate")
LIST = _ref("List")
CANCELLED = _object(items=_many(_ref("Item")))
EVENTS = _object(items=_many(_ref("Event")))
TOP = _object(job_id=_ID, state=_STATE, items=_many(_ref("Row")))
VARIANT = _ref("Variant")
ANY_VARIANT = _ref("AnyVariant")
VALIDATION = _object(
    job_id=_ID,
    figures=_OBJECT,
    pictures=_OBJECT,
    surfaces=_many(_object(number=_NUMBERED, axis_x=_TEXT, axis_y=_or_null(_TEXT))),
)
SURFACE = _object(
    job_id=_ID, number=_NUMBERED, axis_x=_TEXT, axis_y=_or_null(_TEXT), surface=_OBJECT
)
BARS = _object(
    times=_many(_COUNT),
    **{name: _many(_NUMBER) for name in ("open", "high", "low", "close", "volume")},
    every=_COUNT,
)
STRATEGY = _ref("Strategy")
STRATEGIES = _object(items=_many(_ref("Strategy")), next_cursor=_or_null(_TEXT))
INDICATORS = _object(items=_many(_OBJECT))
INSTRUMENTS = _object(
    items=_many(
        _object(
            market_id=_COUNT,
            symbol=_TEXT,
            first=_TIME,
            last=_TIME,
            minutes=_COUNT,
            timeframe=_words(TIMEFRAMES),
        )
    )
)
JSON_SCHEMA: Schema = {"type": "object"}
LIVES = _object(status=_words(("ok",)))

SIGN_IN = _object({"token": {"type": "string", "minLength": 1, "maxLength": 4096}})

NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 120, "pattern": _PRINTABLE}
NOTE: Schema = {"type": "string", "maxLength": 4000}
LABEL = _object({"name": _or_null(NAME), "note": _or_null(NOTE)})
REQUEST: Schema = {
    "type": "object",
    "properties": {"name": _or_null(NAME), "note": _or_null(NOTE)},
    "description": (
        "A request as `/backtests/request-schema` describes it, or `strategy_id` and `overrides` "
        "of a saved strategy; with name and note."
    ),
}
IDS = _object(
    ids={
        "type": "array",
        "minItems": 1,
        "maxItems": 250,
        "items": {"type": "string", "pattern": "^[0-9a-fA-F-]{4,36}$"},
    }
)
NEW_STRATEGY: Schema = {
    "oneOf": [
        _object({"note": _or_null(NOTE)}, name=NAME, template=_OBJECT),
        _object({"note": _or_null(NOTE)}, name=NAME, job_id=_ID, variant_key=_HASH),
    ]
}
CHANGED_STRATEGY = _object({"note": _or_null(NOTE)}, name=NAME, template=_OBJECT)

PATH: Mapping[str, Schema] = MappingProxyType(
    {
        "job_id": {"type": "string", "pattern": "^[0-9a-fA-F-]{4,36}$"},
        "variant_key": _HASH,
        "base_index": _COUNT,
        "variant_index": _COUNT,
        "number": _NUMBERED,
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

LAST_EVENT_ID: Schema = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The last event that was received: later ones follow. What is none is ignored.",
}
