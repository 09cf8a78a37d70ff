"""Reading `template.indicator_grids`: which indicators, over which values."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from engine.indicators import registry
from engine.indicators.registry import RULES, SOURCES, Indicator, Output
from engine.request.axes import Kind, axis_count, axis_values, read_axis
from engine.request.block_axes import compute_total, read_axes, read_given
from engine.request.fields import Field, shown
from engine.request.model import BlockRequest

MAX_BLOCKS = 16
MAX_NAME = 64
_KEYS = ("name", "indicator_id", "output", "source", "params", "signals")
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """One block in its normal form, and how many variants it has.

    `exact` is False where valid pairs were too many to be counted: `total` is then an upper bound.
    """

    document: dict[str, Any]
    total: int
    exact: bool


def read_blocks(
    grids: Field, default_grids: Mapping[str, Any] | None, limit: int
) -> list[ReadBlock]:
    """Return the blocks sorted by name; what could not be read is missing and collected.

    `default_grids` None means strict: nothing is filled in.
    """
    items = grids.items()
    if len(items) > MAX_BLOCKS:
        grids.refuse(f"has {len(items)} indicators, the limit is {MAX_BLOCKS}: remove some")
        return []
    blocks: dict[str, ReadBlock] = {}
    for item in items:
        block = _read_block(item, default_grids, limit)
        if block is None:
            continue
        name = block.document["name"]
        if name in blocks:
            item.refuse(f'the name "{name}" is given twice: give one of them another "name"')
        blocks[name] = block
    return [blocks[name] for name in sorted(blocks)]


def _read_block(
    item: Field, default_grids: Mapping[str, Any] | None, limit: int
) -> ReadBlock | None:
    before = len(item.errors)
    strict = default_grids is None
    members = item.members(_KEYS)
    indicator = _read_indicator(item, members)
    if indicator is None:
        return None
    grid = (default_grids or {}).get(indicator.id, {})
    document: dict[str, Any] = {
        "name": _read_name(members, indicator, item, strict),
        "indicator_id": indicator.id,
    }
    output = _read_output(members, indicator, item, strict)
    source = _read_source(members, indicator, item, strict, limit)
    if output is None:
        if "params" in members:  # used or not, which nobody knows without the output
            read_given(members["params"], indicator.params, indicator.id, limit)
        return None
    params = read_axes(
        _axes_field(item, members, "params", strict),
        indicator.params,
        output.params,
        None if strict else grid.get("params", {}),
        f"output {output.name} of {indicator.id}",
        limit,
    )
    rule = RULES[output.rule]
    signals = read_axes(
        _axes_field(item, members, "signals", strict),
        rule.params,
        tuple(param.name for param in rule.params),
        None if strict else grid.get("signals", {}),
        f"rule {rule.name} of output {output.name}",
        limit,
    )
    document["output"] = output.name
    if source is not None:
        document["source"] = source
    document |= {"params": params, "signals": signals}
    complete = len(params) == len(output.params)
    compute, exact = compute_total(item, indicator, params, limit) if complete else (0, False)
    if any(error.code == "invalid_request" for error in item.errors[before:]):
        return None
    sources = axis_count(source) if source is not None else 1
    total = sources * compute * prod(axis_count(axis) for axis in signals.values())
    return ReadBlock(document, total, exact)


def _read_indicator(item: Field, members: Mapping[str, Field]) -> Indicator | None:
    if "indicator_id" not in members:
        if isinstance(item.value, Mapping):
            item.member("indicator_id", None).refuse("is missing: give the id of an indicator")
        return None
    field = members["indicator_id"]
    if not isinstance(field.value, str):
        field.refuse(f"must be a string, got {shown(field.value)}")
        return None
    try:
        return registry.get(field.value[:100])
    except registry.UnknownIndicator as error:
        field.refuse(str(error))
        return None


def _read_name(
    members: Mapping[str, Field], indicator: Indicator, item: Field, strict: bool
) -> str | None:
    if "name" not in members:
        if strict:
            item.member("name", None).refuse("is missing")
        return indicator.id
    field = members["name"]
    name = field.value
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or set(name) - _NAME_CHARACTERS:
        field.refuse(
            f"must be 1 to {MAX_NAME} letters, digits, dots, dashes or underscores, "
            f"got {shown(name)}"
        )
        return None
    return name


def _read_output(
    members: Mapping[str, Field], indicator: Indicator, item: Field, strict: bool
) -> Output | None:
    if "output" not in members:
        if strict:
            item.member("output", None).refuse("is missing")
            return None
        return indicator.output()
    name = members["output"].choice([output.name for output in indicator.outputs], "output")
    return None if name is None else indicator.output(name)


def _read_source(
    members: Mapping[str, Field], indicator: Indicator, item: Field, strict: bool, limit: int
) -> dict[str, Any] | None:
    if not indicator.has_source:
        if "source" in members:
            members["source"].refuse(
                f"{indicator.id} does not choose a source, it reads "
                f"{', '.join(indicator.inputs)}: remove it"
            )
        return None
    if "source" in members:
        return read_axis(members["source"], Kind(choices=SOURCES, what="source"), limit)
    if strict:
        item.member("source", None).refuse("is missing")
    return {"mode": "explicit", "values": ["close"]}


def _axes_field(item: Field, members: Mapping[str, Field], name: str, strict: bool) -> Field:
    if name in members:
        return members[name]
    missing = item.member(name, {})
    if strict:
        missing.refuse("is missing: give an object of axes")
    return missing


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
    )


def _built_axes(axes: Mapping[str, Any]) -> dict[str, tuple[float | str, ...]]:
    return {name: axis_values(axis) for name, axis in axes.items()}
