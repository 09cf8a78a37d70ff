"""Reading `template.indicator_grids` and `exit_grids`: which indicators, over which values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from engine.indicators import registry
from engine.indicators.registry import RULES, Indicator, Output
from engine.request.axes import axis_count, axis_values
from engine.request.axis_reader import Kind, read_axis
from engine.request.block_axes import compute_total, read_axes, read_given
from engine.request.block_entries import BLOCK
from engine.request.block_timeframe import read_timeframe
from engine.request.bounds import MAX_BLOCKS
from engine.request.fields import Field
from engine.request.members import Members, Reading, read_choice
from engine.request.model import BlockRequest


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """One block in its normal form, and how many variants it has.

    `exact` is False where valid pairs were too many to be counted: `total` is then an upper bound.
    """

    document: dict[str, Any]
    total: int
    exact: bool


def read_blocks(grids: Field, reading: Reading, timeframe: str | None) -> list[ReadBlock]:
    """Return the blocks sorted by name; what could not be read is missing and collected.

    `timeframe` is that of the template, None where it was refused.
    """
    items = grids.items()
    if len(items) > MAX_BLOCKS:
        grids.refuse(f"has {len(items)} indicators, the limit is {MAX_BLOCKS}: remove some")
        return []
    blocks: dict[str, ReadBlock] = {}
    for item in items:
        block = _read_block(Members.of(item, BLOCK, reading), timeframe)
        if block is None:
            continue
        name = block.document["name"]
        if name in blocks:
            item.refuse(f'the name "{name}" is given twice: give one of them another "name"')
        blocks[name] = block
    return [blocks[name] for name in sorted(blocks)]


def _read_block(block: Members, timeframe: str | None) -> ReadBlock | None:
    item, reading = block.field, block.reading
    before = len(item.errors)
    indicator = _read_indicator(block)
    if indicator is None:
        return None
    document: dict[str, Any] = {
        "name": block.read("name", indicator.id),
        "indicator_id": indicator.id,
    }
    output = _read_output(block, indicator)
    source = _read_source(block, indicator)
    larger = read_timeframe(block, timeframe)
    if output is None:
        if "params" in block.members:  # used or not, which nobody knows without the output
            params_field, place = block.members["params"], block.entry("params").path
            read_given(params_field, place, indicator.params, indicator.id, reading)
        return None
    params = _read_axes(
        block, "params", indicator, output.params, f"output {output.name} of {indicator.id}"
    )
    rule = RULES[output.rule]
    signals = _read_axes(
        block,
        "signals",
        indicator,
        tuple(param.name for param in rule.params),
        f"rule {rule.name} of output {output.name}",
    )
    document["output"] = output.name
    if source is not None:
        document["source"] = source
    if larger is not None:
        document["timeframe"] = larger
    document |= {"params": params, "signals": signals}
    complete = len(params) == len(output.params)
    compute, exact = compute_total(item, indicator, params, reading) if complete else (0, False)
    if any(error.code == "invalid_request" for error in item.errors[before:]):
        return None
    sources = axis_count(source) if source is not None else 1
    total = sources * compute * prod(axis_count(axis) for axis in signals.values())
    return ReadBlock(document, total, exact)


def _read_indicator(block: Members) -> Indicator | None:
    field = block.get("indicator_id")
    indicator_id = None if field is None else field.text()
    if field is None or indicator_id is None:
        return None
    try:
        return registry.get(indicator_id[:100])
    except registry.UnknownIndicator as error:
        field.refuse(error.message, hint=error.search)
        return None


def _read_output(block: Members, indicator: Indicator) -> Output | None:
    field = block.get("output", indicator.output().name)
    if field is None:
        return None
    name = read_choice(field, [output.name for output in indicator.outputs], "output")
    return None if name is None else indicator.output(name)


def _read_source(block: Members, indicator: Indicator) -> dict[str, Any] | None:
    if indicator.has_source:
        field = block.get("source")
        kind = Kind.of_entry(block.entry("source"), "max_variants_per_compute")
        return None if field is None else read_axis(field, kind, block.reading)
    if "source" in block.members:
        block.members["source"].refuse(
            f"{indicator.id} does not choose a source, it reads "
            f"{', '.join(indicator.inputs)}: remove it"
        )
    return None


def _read_axes(
    block: Members, part: str, indicator: Indicator, used: Sequence[str], reader: str
) -> dict[str, Any]:
    """Read "params" or "signals", what is left out from the default axes of the indicator."""
    field = block.get(part, {})
    if field is None:
        return {}
    defaults = block.reading.defaults
    grid = {} if defaults is None else defaults.indicator_grids.get(indicator.id, {})
    declared = indicator.params if part == "params" else tuple(indicator.signal_params.values())
    return read_axes(
        field,
        block.entry(part).path,
        declared,
        used,
        grid.get(part, {}),
        reader,
        block.reading,
    )


def built_block(document: Mapping[str, Any]) -> BlockRequest:
    """Return the block of a normal form that was read before."""
    indicator = registry.get(document["indicator_id"])
    source = document.get("source")
    return BlockRequest(
        name=document["name"],
        indicator=indicator,
        output=indicator.output(document["output"]),
        sources=axis_values(source) if source is not None else (),
        params=_built_axes(document["params"]),
        signals=_built_axes(document["signals"]),
        timeframe=document.get("timeframe"),
    )


def _built_axes(axes: Mapping[str, Any]) -> dict[str, tuple[float | str, ...]]:
    return {name: axis_values(axis) for name, axis in axes.items()}
