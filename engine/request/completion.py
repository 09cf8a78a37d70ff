"""From what a user sent to the effective request, and on to the values the engine computes with."""

from collections.abc import Mapping
from typing import Any

from engine.request.axes import axis_values
from engine.request.blocks import built_block
from engine.request.model import (
    RISK_AXES,
    Defaults,
    Execution,
    Limits,
    Ranking,
    Request,
    Risk,
)
from engine.request.reader import milliseconds, read_effective
from engine.timeframes import TIMEFRAMES

UNGUARDED = Limits(max_variants_per_compute=10_000_000, max_compute_bytes_total=2**63 - 1)
"""What `parse` accepts without limits of its own: more than any of the shipped guards."""


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
        result_bytes_max=effective["result_bytes_max"],
        ranking=Ranking(**effective["ranking"]),
    )
