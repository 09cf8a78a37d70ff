"""Reading `template.risk_grid`, and refusing levels that prices need not move to hit."""

from functools import partial
from typing import Any

from engine.request.axis_reader import Kind, read_axis
from engine.request.fields import Field
from engine.request.members import Members
from engine.request.model import RISK_AXES
from engine.request.words import plain

_MARGIN = 1e-12
"""Levels are moved this far towards the price, so that a close equal to one in decimals hits it."""

_REMEDY = "enlarge it, or give null for off"


def read_risk(
    template: Members, direction: str | None, sizing: str | None, slippage_pct: float | None
) -> dict[str, dict[str, Any] | None]:
    """Return the normal form of the risk axes: None where an exit is off."""
    grid = template.object("risk_grid")
    axes: dict[str, dict[str, Any] | None] = {}
    for name in RISK_AXES:
        field = grid.get(name)
        if field is None:
            axes[name] = None
            continue
        refusal = _accepted
        if not grid.reading.stored and direction is not None and slippage_pct is not None:
            refusal = partial(_flat_hit, name, direction, slippage_pct)
        kind = Kind.of_entry(grid.entry(name), "max_stage_b_variants", refusal)
        axis = read_axis(field, kind, grid.reading)
        if name == "sl" and sizing == "risk_per_trade":
            _refuse_off(field, axis)
        off = axis is not None and axis["mode"] == "explicit" and axis["values"] == [None]
        axes[name] = None if off else axis
    return axes


def _refuse_off(field: Field, axis: dict[str, Any] | None) -> None:
    """Refuse an axis with a variant that has no stop, where the stop says how much is bought."""
    if axis is None or axis["mode"] != "explicit" or None not in axis["values"]:
        return
    off = "is off" if axis["values"] == [None] else "has null, which is off"
    field.refuse(
        f'{off}, and template.sizing_mode is "risk_per_trade", which sizes a position by its stop '
        "loss: give levels in percent, without null, or another sizing mode"
    )


def _accepted(_: float) -> str | None:
    return None


def _flat_hit(name: str, direction: str, slippage_pct: float, level: float) -> str | None:
    """Return what is wrong with a level, in percent, that the close of the entry hits already."""
    slip, p = slippage_pct / 100.0, level / 100.0
    sides = sides_of(direction)
    if not any(hit_by_its_entry(name, side, slip, p) for side in sides):
        return None
    if any(hit_by_its_entry(name, side, 0.0, p) for side in sides):
        return (
            f"{plain(level)} is within the margin of {_MARGIN * 100:g} % in which a price counts "
            f"as equal to a level: the exit would fire without any move of the price; {_REMEDY}"
        )
    limit = 100.0 * (slip / (1.0 - slip) if "short" in sides else slip / (1.0 + slip))
    return (
        f"{plain(level)} would fire on the first bar without any move of the price: an entry fills "
        f"{plain(slippage_pct)} % (slippage_pct) away from its price, so a stop must be more than "
        f"{limit:.8g}; {_REMEDY}, or lower template.execution.slippage_pct"
    )


def sides_of(direction: str) -> tuple[str, ...]:
    """Return which of "long" and "short" a direction mode opens."""
    return {"long-short": ("long", "short")}.get(direction, (direction.removesuffix("-only"),))


def hit_by_its_entry(name: str, side: str, slip: float, p: float) -> bool:
    """Whether a level is hit by the close 1 of its own entry, by the products of the engine."""
    sign = 1.0 if side == "long" else -1.0
    base = 1.0 if name == "tsl" else 1.0 + sign * slip  # the close, or the fill
    if name == "tp":
        return sign >= sign * (base * (1.0 + sign * p) * (1.0 - sign * _MARGIN))
    return sign <= sign * (base * (1.0 - sign * p) * (1.0 + sign * _MARGIN))
