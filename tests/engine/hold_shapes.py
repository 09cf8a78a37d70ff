"""Blocks that open and blocks that close, few and many, for sweeps that hold positions."""

from typing import Any, NamedTuple

from tests.engine.worlds import explicit

Blocks = list[dict[str, Any]]

CLOSE = {"source": explicit("close")}


def average(name: str, *windows: int) -> dict[str, Any]:
    """Make a block that is NEUTRAL only while its average is not known."""
    params = {"window": explicit(*windows)}
    return {
        "indicator_id": "ma.sma", "output": "ma", "name": name, "params": params, "signals": {}
    } | CLOSE  # fmt: skip


def strength(
    name: str, windows: tuple[int, ...], longs: tuple[float, ...], shorts: tuple[float, ...]
) -> dict[str, Any]:
    """Make a block of RSI: LONG at the lower levels, SHORT at the upper ones, mostly NEUTRAL."""
    return {
        "indicator_id": "momentum.rsi",
        "output": "rsi",
        "name": name,
        "params": {"window": explicit(*windows)},
        "signals": {
            "long_threshold": explicit(*longs),
            "short_threshold": explicit(*shorts),
        },
    } | CLOSE


def spread(name: str, *windows: int) -> dict[str, Any]:
    """Make a block that says whether bars have become larger."""
    signals = {"long_delta_periods": explicit(1, 3), "short_delta_periods": explicit(2)}
    params = {"window": explicit(*windows)}
    return {
        "indicator_id": "volatility.atr", "output": "value", "name": name, "params": params,
        "signals": signals,
    }  # fmt: skip


class Shape(NamedTuple):
    """What opens and what closes, and whether the largest block, which is streamed, closes."""

    entries: Blocks
    exits: Blocks
    exit_streamed: bool


BAND = strength("band", (4, 7, 12), (38.3, 44.4), (55.3, 61.9))
SHAPES = {
    "no exit block": Shape([average("a", 3, 8), BAND], [], False),
    "one opens, many close": Shape([average("a", 3, 8, 20)], [BAND], True),
    "many open, two close": Shape([BAND], [average("a", 15, 30), spread("s", 5)], False),
    "two open, two close": Shape(
        [average("a", 3, 9), spread("s", 5)],
        [strength("band", (4, 9), (38.3, 30.1), (61.9,)), average("slow", 25, 40)],
        True,
    ),
    "one block opens and closes": Shape(
        [strength("band", (5,), (38.3, 44.4), (55.3, 61.9))],
        [strength("band", (5, 9), (31.2, 40.4), (50.7, 66.6))],
        True,
    ),
}
