"""Reading `template.execution`: cash, costs, fills, and how large a position is."""

from typing import Any

from engine.request.axes import axis_count, axis_value
from engine.request.axis_reader import Kind, read_axis
from engine.request.entries import TABLE
from engine.request.members import Members
from engine.request.risk import hit_by_its_entry, sides_of
from engine.request.table import REQUIRED
from engine.request.words import plain


def read_execution(
    template: Members, market_id: int | None, sizing: str | None, direction: str | None
) -> dict[str, Any]:
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
    leverage, slippage_pct = effective["leverage"], effective["slippage_pct"]
    if None not in (leverage, slippage_pct, direction) and not template.reading.stored:
        _refuse_flat_liquidation(execution, leverage, slippage_pct, str(direction))
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


def _refuse_flat_liquidation(
    execution: Members, leverage: float, slippage_pct: float, direction: str
) -> None:
    """Refuse a leverage whose liquidation level, a stop at 1/leverage, its entry reaches."""
    sides, slip = sides_of(direction), slippage_pct / 100.0
    if not any(hit_by_its_entry("sl", side, slip, 1.0 / leverage) for side in sides):
        return
    limit = 1.0 / slip + (-1.0 if "short" in sides else 1.0)
    execution.members["leverage"].refuse(
        f"{plain(leverage)} would be liquidated on the first bar without any move of the price: an "
        f"entry fills {plain(slippage_pct)} % (slippage_pct) away from its price, so leverage must "
        f"be less than {limit:.8g}; lower it, or slippage_pct"
    )
