"""Reading `template`: instrument, indicators, direction, sizing, execution and risk."""

import re
from typing import Any

from engine.request.axes import MAX_LISTED, Kind, read_axis
from engine.request.blocks import ReadBlock, read_blocks
from engine.request.bounds import EXECUTION, MARKET_ID
from engine.request.fields import REQUIRED, Bounds, Field, Members, shown
from engine.request.model import DIRECTION_MODES, RISK_AXES, SIZING_MODES, Defaults, Limits
from engine.timeframes import TIMEFRAMES

_SYMBOL = re.compile(r"[!-~]{1,64}", flags=re.ASCII)
_LEVELS = Kind(bounds=Bounds(above=0), off=True)
_KEYS = (
    "instrument_id",
    "timeframe",
    "indicator_grids",
    "direction_mode",
    "sizing_mode",
    "execution",
    "risk_grid",
)


def read_template(
    root: Members, defaults: Defaults | None, limits: Limits
) -> tuple[dict[str, Any], list[ReadBlock]]:
    """Return the normal form of the template and its blocks with their numbers of variants."""
    limit = min(limits.max_variants_per_compute, MAX_LISTED)
    template = root.object("template", _KEYS)
    instrument = template.object("instrument_id", ("market_id", "symbol"))
    market_id = instrument.whole("market_id", MARKET_ID)
    grids = template.get("indicator_grids", hint="give an array of indicators with their axes")
    default_grids = defaults.indicator_grids if defaults else None
    blocks = read_blocks(grids, default_grids, limit) if grids else []
    effective = {
        "instrument_id": {
            "market_id": market_id,
            "symbol": _read_symbol(instrument.get("symbol")),
        },
        "timeframe": template.choice("timeframe", tuple(TIMEFRAMES), "timeframe"),
        "indicator_grids": [block.document for block in blocks],
        "direction_mode": template.choice(
            "direction_mode", DIRECTION_MODES, "direction mode", DIRECTION_MODES[0]
        ),
        "sizing_mode": template.choice("sizing_mode", SIZING_MODES, "sizing mode", SIZING_MODES[0]),
        "execution": _read_execution(template, defaults, market_id),
        "risk_grid": _read_risk(template, limit),
    }
    return effective, blocks


def _read_symbol(field: Field | None) -> str | None:
    if field is None:
        return None
    symbol = field.value
    if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
        field.refuse(f"must be 1 to 64 ASCII characters without spaces, got {shown(symbol)}")
        return None
    return symbol


def _read_execution(
    template: Members, defaults: Defaults | None, market_id: int | None
) -> dict[str, float | None]:
    names = tuple(EXECUTION)
    execution = template.object("execution", names, default={})
    given: dict[str, Any] = dict.fromkeys(names, REQUIRED)
    fee_hint = "give it"
    if defaults is not None:
        given = {name: getattr(defaults, name) for name in names if name != "fee_pct"}
        fees = defaults.fee_pct_by_market_id
        given["fee_pct"] = fees.get(market_id, REQUIRED) if market_id is not None else 0.0
        fee_hint = f"market {market_id} has no default fee; give one in percent"
    read: dict[str, float | None] = {}
    for name, bounds in EXECUTION.items():
        hint = fee_hint if name == "fee_pct" else "give it"
        member = execution.get(name, given[name], hint)
        read[name] = None if member is None else member.number(bounds)
    return read


def _read_risk(template: Members, limit: int) -> dict[str, Any]:
    grid = template.object("risk_grid", RISK_AXES, default={})
    axes: dict[str, Any] = {}
    for name in RISK_AXES:
        field = grid.get(name, None)
        axis = None
        if field is not None and field.value is not None:
            axis = read_axis(field, _LEVELS, limit)
        off = axis is not None and axis["mode"] == "explicit" and axis["values"] == [None]
        axes[name] = None if off else axis
    return axes
