"""How many bars a grid needs before the traded range."""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any

from engine.indicators import registry
from engine.request.axes import axis_count, axis_value
from engine.request.blocks import ReadBlock


def needed(blocks: Iterable[ReadBlock]) -> int:
    """Return after how many bars every variant of every block is settled."""
    return max((_longest(block.document) for block in blocks), default=0)


def _longest(block: Mapping[str, Any]) -> int:
    """Return what a Wilder average over all whole parameters together would need."""
    indicator = registry.get(block["indicator_id"])
    whole = [param.name for param in indicator.params if param.kind == "int"]
    windows = sum(_largest(block["params"][name]) for name in whole if name in block["params"])
    return ceil(8 * windows) + sum(
        int(_largest(axis)) for name, axis in block["signals"].items() if name.endswith("periods")
    )


def _largest(axis: Mapping[str, Any]) -> float:
    if axis["mode"] == "explicit":
        return float(max(axis["values"]))
    return float(axis_value(axis, axis_count(axis) - 1))
