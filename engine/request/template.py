"""Reading `template`: instrument, indicators, position, direction, sizing, execution, risk."""

from typing import Any

from engine.request.blocks import ReadBlock, read_blocks
from engine.request.entries import TABLE
from engine.request.fields import is_array
from engine.request.members import Members
from engine.request.risk import read_risk
from engine.request.table import REQUIRED


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
    execution = _read_execution(template, market_id)
    effective = {
        "instrument_id": {"market_id": market_id, "symbol": instrument.read("symbol")},
        "timeframe": timeframe,
        "indicator_grids": [block.document for block in blocks],
        "position": position,
        "exit_grids": [block.document for block in exits],
        "direction_mode": direction,
        "sizing_mode": template.read("sizing_mode"),
        "execution": execution,
        "risk_grid": read_risk(template, direction, execution["slippage_pct"]),
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


def _read_execution(template: Members, market_id: int | None) -> dict[str, float | None]:
    execution = template.object("execution")
    fee, remedy = REQUIRED, ""
    if template.reading.defaults is not None:
        fees = template.reading.defaults.fee_pct_by_market_id
        # A market that was refused is no reason to ask for its fee as well.
        fee = 0.0 if market_id is None else fees.get(market_id, REQUIRED)
        remedy = f"market {market_id} has no default fee; give one in percent"
    return {
        name: execution.read("fee_pct", fee, remedy) if name == "fee_pct" else execution.read(name)
        for name in TABLE.keys(execution.path)
    }
