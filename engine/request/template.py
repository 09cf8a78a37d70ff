"""Reading `template`: instrument, indicators, position, direction, sizing, risk."""

from typing import Any

from engine.request.blocks import ReadBlock, read_blocks
from engine.request.execution import read_execution
from engine.request.fields import is_array
from engine.request.members import Members
from engine.request.risk import read_risk


def read_template(root: Members) -> tuple[dict[str, Any], list[ReadBlock]]:
    """Return the normal form of the template and all its blocks with their numbers of variants.

    Exit blocks come after those that open.
    """
    template = root.object("template")
    instrument = template.object("instrument_id")
    timeframe = template.read("timeframe")
    grids = template.get("indicator_grids")
    blocks = read_blocks(grids, root.reading, timeframe) if grids else []
    position = template.read("position")
    exits = _read_exits(template, position, timeframe)
    market_id = instrument.read("market_id")
    direction = template.read("direction_mode")
    sizing = template.read("sizing_mode")
    execution = read_execution(template, market_id, sizing, direction)
    effective = {
        "instrument_id": {"market_id": market_id, "symbol": instrument.read("symbol")},
        "timeframe": timeframe,
        "indicator_grids": [block.document for block in blocks],
        "position": position,
        "exit_grids": [block.document for block in exits],
        "direction_mode": direction,
        "sizing_mode": sizing,
        "execution": execution,
        "risk_grid": read_risk(template, direction, sizing, execution["slippage_pct"]),
    }
    return effective, [*blocks, *exits]


def _read_exits(template: Members, position: str | None, timeframe: str | None) -> list[ReadBlock]:
    grids = template.get("exit_grids")
    given = grids is not None and is_array(grids.value)
    if grids is None or (given and not grids.value):
        return []
    if given and position == "state":
        grids.refuse(
            'closes what is held, and template.position is "state": set it to "hold", or remove '
            "the exit blocks"
        )
    return read_blocks(grids, template.reading, timeframe)
