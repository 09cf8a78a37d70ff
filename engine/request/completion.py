"""From what a user sent to the effective request, and on to the values the engine computes with."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engine.request.axes import axis_of, axis_values
from engine.request.blocks import built_block
from engine.request.members import Reading
from engine.request.model import (
    UNGUARDED,
    Defaults,
    Execution,
    Limits,
    Ranking,
    Request,
    Risk,
)
from engine.request.reader import read_effective
from engine.request.times import milliseconds
from engine.request.validation import of_document
from engine.timeframes import TIMEFRAMES


def complete(document: Mapping[str, Any], defaults: Defaults, limits: Limits) -> dict[str, Any]:
    """Return the effective request: JSON types only, defaults filled in, blocks sorted by name.

    Raises RequestError with everything that is wrong; TooLarge, with its sizes, where nothing is
    but the limits. Completing twice changes nothing.
    """
    return read_effective(document, Reading(limits, defaults))


def parse(document: Mapping[str, Any], limits: Limits = UNGUARDED) -> Request:
    """Return the request an effective document of any version holds. Raises RequestError.

    Its own `document` is in the newest version. Without limits it must be one that was accepted.
    """
    effective = read_effective(document, Reading(limits, stored=True))
    template, time_range = effective["template"], effective["time_range"]
    levels = {
        name: (None,) if axis is None else axis_values(axis)
        for name, axis in template["risk_grid"].items()
    }
    percents = axis_values(axis_of(template["execution"]["percent"]))
    return Request(
        document=effective,
        start_ms=milliseconds(datetime.fromisoformat(time_range["start"])),
        end_ms=milliseconds(datetime.fromisoformat(time_range["end"])),
        market_id=template["instrument_id"]["market_id"],
        symbol=template["instrument_id"]["symbol"],
        timeframe=template["timeframe"],
        timeframe_ms=TIMEFRAMES[template["timeframe"]],
        blocks=tuple(built_block(block) for block in template["indicator_grids"]),
        position=template["position"],
        exit_blocks=tuple(built_block(block) for block in template["exit_grids"]),
        direction_mode=template["direction_mode"],
        sizing_mode=template["sizing_mode"],
        execution=Execution(**template["execution"] | {"percent": percents[0]}),
        risk=Risk(
            **levels,
            percent=percents if template["sizing_mode"] == "percent" else (None,),
        ),
        warmup_bars=effective["warmup_bars"],
        preselect=effective["preselect"],
        top_k=effective["top_k"],
        top_trades_n=effective["top_trades_n"],
        result_bytes_max=effective["result_bytes_max"],
        ranking=Ranking(**effective["ranking"]),
        validation=of_document(effective["validation"]),
    )
