"""How many bars a grid needs before the traded range, so that all its variants trade all of it.

A lookback never falls when a parameter rises, so the longest one of a grid stands at the largest
values of its axes: a grid of 10^8 variants takes as little time as one of ten. Where validity rules
bind parameters (`fast < slow`), the largest valid values are meant. They exist together: of two
valid combinations the larger of each value is valid again.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from engine.indicators import registry
from engine.indicators.declaration import Indicator, Output, Relation
from engine.indicators.lookback import settled_after
from engine.request.axes import axis_count, axis_value
from engine.request.blocks import ReadBlock
from engine.request.model import BlockRequest
from engine.timeframes import TIMEFRAMES

Values = Mapping[str, float | str]
Measure = Callable[[Indicator, Output, Values, Mapping[str, float]], int]
"""`defined_after` or `settled_after`."""


def needed(blocks: Iterable[BlockRequest | ReadBlock], timeframe_ms: int) -> int:
    """Return after how many bars every variant of every block is settled, whatever its own bars.

    `timeframe_ms` is the length of the bars that are counted, those of the template.
    """
    return max((base_bars(block, settled_after, timeframe_ms) for block in blocks), default=0)


def base_bars(block: BlockRequest | ReadBlock, measure: Measure, timeframe_ms: int) -> int:
    """Return the largest lookback of a block in bars of the template.

    A block on bars `ratio` times as long sees the last one that is whole, and its lookback comes
    before that one. Let `d` bars of the template lie between the last boundary and the first traded
    bar. If that bar is the last of its larger one (`d = ratio - 1`), it completes what is seen, and
    `d` more are needed; else `ratio` more for the whole one and `d` for the unfinished one, with
    `d <= ratio - 2`. So `2 * (ratio - 1)` more are enough wherever a range begins, and whenever an
    instrument's bars open. Nobody has to know either before the warm-up is stored.
    """
    own = block.timeframe if isinstance(block, BlockRequest) else block.document.get("timeframe")
    ratio = 1 if own is None else TIMEFRAMES[own] // timeframe_ms
    return longest(block, measure) * ratio + 2 * (ratio - 1)


def longest(block: BlockRequest | ReadBlock, measure: Measure) -> int:
    """Return the largest lookback of the variants of a block in its own bars.

    It is 0 where none of them is valid.
    """
    indicator, output, params, signals = _parts(block)
    latest = {name: axis_value(axis, axis_count(axis) - 1) for name, axis in signals.items()}
    return max(
        (measure(indicator, output, values, latest) for values in _greatest(indicator, params)),
        default=0,
    )


def _parts(
    block: BlockRequest | ReadBlock,
) -> tuple[Indicator, Output, dict[str, Any], dict[str, Any]]:
    """Return indicator, output and the axes of a block, each with its values ascending."""
    if isinstance(block, BlockRequest):
        indicator, output = block.indicator, block.output
        params, signals = (
            {name: {"mode": "explicit", "values": values} for name, values in axes.items()}
            for axes in (block.params, block.signals)
        )
    else:
        document = block.document
        indicator = registry.get(document["indicator_id"])
        output = indicator.output(document["output"])
        params, signals = document["params"], document["signals"]
    return indicator, output, _ascending(params), _ascending(signals)


def _ascending(axes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: axis if axis["mode"] == "range" else {**axis, "values": sorted(axis["values"])}
        for name, axis in axes.items()
    }


def _greatest(indicator: Indicator, axes: Mapping[str, Any]) -> Iterator[Values]:
    """Yield the largest valid values for every choice: choices have no order."""
    chosen = [p.name for p in indicator.params if p.kind == "choice" and p.name in axes]
    numeric = {name: axis for name, axis in axes.items() if name not in chosen}
    largest = _largest_valid(numeric, indicator.relations)
    if largest is None:
        return
    for choices in product(*(axes[name]["values"] for name in chosen)):
        yield {**largest, **dict(zip(chosen, choices, strict=True))}


def _largest_valid(
    axes: Mapping[str, Any], relations: Sequence[Relation]
) -> dict[str, float] | None:
    """Return the largest value of each axis that some valid combination has; None without any."""
    last = {name: axis_count(axis) - 1 for name, axis in axes.items()}
    bound = [rule for rule in relations if {rule.low, rule.high} <= set(axes)]
    settled = False
    while not settled:
        settled = True
        for rule in bound:
            fitting = _count_fitting(
                rule, axes[rule.low], axis_value(axes[rule.high], last[rule.high])
            )
            if fitting == 0:
                return None
            if fitting <= last[rule.low]:
                last[rule.low] = fitting - 1
                settled = False
    return {name: axis_value(axis, last[name]) for name, axis in axes.items()}


def _count_fitting(rule: Relation, axis: Mapping[str, Any], high: float) -> int:
    """Return how many values of an ascending axis the rule allows below this one."""
    numbers = range(axis_count(axis))
    return bisect_left(numbers, True, key=lambda k: not rule.holds(axis_value(axis, k), high))
