"""Examples of requests: one put together from the examples of the fields, and one that holds."""

import copy
from typing import Any

from engine.request.block_entries import BLOCK
from engine.request.entries import TABLE
from engine.request.table import ANY, UNSHOWN, Entry


def example() -> dict[str, Any]:
    """Return a request that can be submitted as it is, once its instrument has candles."""
    return _object("")


def holding_example() -> dict[str, Any]:
    """Return the part of a request that buys when RSI leaves oversold, and sells overbought.

    It takes the place of the same members in `example()`.
    """
    never = [0]  # no RSI is below
    opens = {"long_threshold": [25, 30, 35], "short_threshold": never}
    closes = {"long_threshold": never, "short_threshold": [65, 70, 75]}
    return {
        "template": {
            "indicator_grids": [
                {"indicator_id": "momentum.rsi", "params": {"window": [7, 14]}, "signals": opens}
            ],
            "position": "hold",
            "exit_grids": [
                {"indicator_id": "momentum.rsi", "params": {"window": [7, 14]}, "signals": closes}
            ],
            "direction_mode": "long-only",
        }
    }


def _object(path: str) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name in TABLE.keys(path):
        entry = TABLE.at(f"{path}.{name}".lstrip("."))
        if name == ANY:
            members |= copy.deepcopy(entry.example)
        elif entry.type == "object":
            members[name] = _object(entry.path)
        elif entry.example is not UNSHOWN:
            members[name] = _value(entry)
    return members


def _value(entry: Entry) -> Any:
    value = copy.deepcopy(entry.example)
    return [*value, _object(BLOCK)] if f"{entry.path}[]" == BLOCK else value
