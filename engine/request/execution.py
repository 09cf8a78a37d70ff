"""Reading `template.execution`: cash, costs, fills, and how large a position is."""

from typing import Any

from engine.request.axes import axis_count, axis_value
from engine.request.axis_reader import Kind, read_axis
from engine.request.entries import TABLE
from engine.request.members import Members
from engine.request.table import REQUIRED


def read_execution(template: Members, market_id: int | None, sizing: str | None) -> dict[str, Any]:
    """Return the normal form of the execution; a member is None where it was refused."""
    execution = template.object("execution")
    fee, remedy = REQUIRED, ""
    if template.reading.defaults is not None:
        fees = template.reading.defaults.fee_pct_by_market_id
        # A market that was refused is no reason to ask for its fee as well.
        fee = 0.0 if market_id is None else fees.get(market_id, REQUIRED)
        remedy = f"market {market_id} has no default fee; give one in percent"
    effective: dict[str, Any] = {}
    for name in TABLE.keys(execution.path):
        if name == "fee_pct":
            effective[name] = execution.read(name, fee, remedy)
        elif name == "percent":
            effective[name] = _read_percent(execution, sizing)
        else:
            effective[name] = execution.read(name)
    return effective


def _read_percent(execution: Members, sizing: str | None) -> Any:
    """Return one number, or an axis of several; these are variants, so sizing has to use them."""
    field = execution.get("percent")
    if field is None:
        return None
    kind = Kind.of_entry(execution.entry("percent"), "max_stage_b_variants")
    axis = read_axis(field, kind, execution.reading)
    if axis is None:
        return None
    if axis_count(axis) == 1:
        return axis_value(axis, 0)
    if sizing not in (None, "percent"):
        field.refuse(
            f'has several values, and template.sizing_mode is "{sizing}", which uses none: set it '
            'to "percent", or give one number'
        )
    return axis
