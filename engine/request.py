"""A request for a sweep: its defaults, its limits, and everything that can be wrong with it.

`complete` turns what a user sent into the effective request, which names every value that can
change a result; `parse` reads an effective request and fills in nothing.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.axes import axis_values
from engine.candles import TIMEFRAMES
from engine.fields import FieldError, RequestError, shown
from engine.hashes import canonical_json, engine_params_hash, request_hash, sha256_hex
from engine.request_blocks import built_block
from engine.request_model import (
    RISK_AXES,
    BlockRequest,
    Defaults,
    Execution,
    Limits,
    Ranking,
    Request,
    Risk,
)
from engine.request_reader import milliseconds, read_effective

__all__ = [
    "BlockRequest",
    "Defaults",
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
    "parse",
    "read_json",
    "request_hash",
    "sha256_hex",
]

MAX_TEXT_BYTES = 2**20
UNGUARDED = Limits(max_variants_per_compute=10_000_000, max_compute_bytes_total=2**63 - 1)
"""What `parse` accepts without limits of its own: more than any of the shipped guards."""


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


def complete(document: Mapping[str, Any], defaults: Defaults, limits: Limits) -> dict[str, Any]:
    """Return the effective request: JSON types only, defaults filled in, blocks sorted by name.

    Raises RequestError with everything that is wrong. Completing twice changes nothing.
    """
    return read_effective(document, defaults, limits)


def parse(document: Mapping[str, Any], limits: Limits = UNGUARDED) -> Request:
    """Return the request an effective document holds. Raises RequestError."""
    effective = read_effective(document, None, limits)
    template, time_range = effective["template"], effective["time_range"]
    levels = {
        name: (None,) if axis is None else axis_values(axis)
        for name, axis in template["risk_grid"].items()
    }
    return Request(
        document=effective,
        start_ms=milliseconds(time_range["start"]),
        end_ms=milliseconds(time_range["end"]),
        market_id=template["instrument_id"]["market_id"],
        symbol=template["instrument_id"]["symbol"],
        timeframe=template["timeframe"],
        timeframe_ms=TIMEFRAMES[template["timeframe"]],
        blocks=tuple(built_block(block) for block in template["indicator_grids"]),
        direction_mode=template["direction_mode"],
        sizing_mode=template["sizing_mode"],
        execution=Execution(**template["execution"]),
        risk=Risk(*(levels[name] for name in RISK_AXES)),
        warmup_bars=effective["warmup_bars"],
        preselect=effective["preselect"],
        top_k=effective["top_k"],
        top_trades_n=effective["top_trades_n"],
        ranking=Ranking(**effective["ranking"]),
    )


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
