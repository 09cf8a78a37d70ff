"""The sweep's variants as numbers: mixed-radix index ↔ parameters, by arithmetic.

A base index is the mixed-radix number of the block variants, blocks sorted by name, the last one
fastest. A variant index is `base_index * risk_total + risk_index`. No list of variants exists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.indicators.declaration import Relation
from engine.indicators.registry import RULES, Indicator, Output, Param
from engine.request.axes import joint_count, joint_groups, joint_rows
from engine.request.estimate import Estimate, bars_between
from engine.request.hashes import canonical_json, sha256_hex
from engine.request.model import RISK_AXES, BlockRequest, Level, Request, Risk

Float64 = NDArray[np.float64]

__all__ = ["Block", "Counts", "Estimate", "Grid", "estimate", "indicator_key"]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One indicator with its variants.

    `compute_table` is float64[C, K]: one row per compute variant, one column per declared parameter
    (a choice is its index; an unused parameter holds its filler). `signal_table` is float64[S, J]:
    one row per combination of the rule's parameters, S >= 1 even when J = 0. A block variant is
    number `((source * C) + compute) * S + signal` of `total`.
    """

    name: str
    indicator: Indicator
    output: Output
    sources: tuple[str, ...]
    compute_table: Float64
    signal_table: Float64
    total: int

    @classmethod
    def of(cls, block: BlockRequest) -> "Block":
        """List the compute and signal variants of a requested block."""
        used = block.output.params
        compute = _table(block.indicator.params, used, block.params, block.indicator.relations)
        rule = RULES[block.output.rule]
        names = tuple(param.name for param in rule.params)
        signal = _table(rule.params, names, block.signals, ())
        return cls(
            name=block.name,
            indicator=block.indicator,
            output=block.output,
            sources=block.sources,
            compute_table=compute,
            signal_table=signal,
            total=max(1, len(block.sources)) * len(compute) * len(signal),
        )

    def coordinates(self, number: int) -> tuple[int, int, int]:
        """Return the source index, compute row and signal row of block variant `number`."""
        if not 0 <= number < self.total:
            raise IndexError(f"block {self.name} has variants 0..{self.total - 1}, not {number}")
        rest, signal = divmod(number, len(self.signal_table))
        source, compute = divmod(rest, len(self.compute_table))
        return source, compute, signal

    def parameters(self, number: int) -> dict[str, Any]:
        """Return what block variant `number` is, in JSON types; unused parameters are left out."""
        source, compute, signal = self.coordinates(number)
        used = self.output.params
        return {
            "name": self.name,
            "indicator_id": self.indicator.id,
            "output": self.output.name,
            "source": self.sources[source] if self.sources else None,
            "params": _named(self.indicator.params, self.compute_table[compute], used),
            "signals": _named(RULES[self.output.rule].params, self.signal_table[signal]),
        }


class Counts(NamedTuple):
    """How many variants a block has, found without listing them."""

    sources: int
    compute: int
    signals: int

    @classmethod
    def of(cls, block: BlockRequest) -> "Counts":
        """Count the variants of a requested block: those that `Block` lists."""
        axes = {
            name: {"mode": "explicit", "values": values} for name, values in block.params.items()
        }
        relations = block.indicator.relations
        names = tuple(
            param.name for param in block.indicator.params if param.name in block.output.params
        )
        compute = prod(
            joint_count(group, axes, relations) if len(group) > 1 else len(block.params[group[0]])
            for group in joint_groups(names, relations)
        )
        signals = prod(len(block.signals[param.name]) for param in RULES[block.output.rule].params)
        return cls(max(1, len(block.sources)), compute, signals)

    @property
    def total(self) -> int:
        """Variants of the block."""
        return self.sources * self.compute * self.signals


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """All variants of a request; `fixed` is what they share."""

    blocks: tuple[Block, ...]
    base_total: int
    risk_total: int
    risk: Risk
    fixed: Mapping[str, Any]

    @classmethod
    def of(cls, request: Request) -> "Grid":
        """Lay out the variants of a request."""
        blocks = tuple(
            Block.of(block) for block in sorted(request.blocks, key=lambda block: block.name)
        )
        template = request.document["template"]
        names = ("instrument_id", "timeframe", "direction_mode", "sizing_mode", "execution")
        return cls(
            blocks=blocks,
            base_total=prod(block.total for block in blocks),
            risk_total=request.risk.total,
            risk=request.risk,
            fixed={name: template[name] for name in names} | {"warmup_bars": request.warmup_bars},
        )

    def block_variants(self, base_index: int) -> tuple[int, ...]:
        """Return the block variant numbers of a base index, one per block."""
        if not 0 <= base_index < self.base_total:
            raise IndexError(f"there are base variants 0..{self.base_total - 1}, not {base_index}")
        digits = []
        rest = int(base_index)
        for block in reversed(self.blocks):
            rest, digit = divmod(rest, block.total)
            digits.append(digit)
        return tuple(reversed(digits))

    def base_index(self, block_variants: tuple[int, ...]) -> int:
        """Return the base index of block variant numbers, the inverse of `block_variants`."""
        index = 0
        for block, number in zip(self.blocks, block_variants, strict=True):
            index = index * block.total + number
        return index

    def split(self, variant_index: int) -> tuple[int, int]:
        """Return the base index and the risk index of a variant."""
        total = self.base_total * self.risk_total
        if not 0 <= variant_index < total:
            raise IndexError(f"there are variants 0..{total - 1}, not {variant_index}")
        base_index, risk_index = divmod(int(variant_index), self.risk_total)
        return base_index, risk_index

    def risk_at(self, risk_index: int) -> tuple[Level, Level, Level]:
        """Return sl, tp and tsl in human percent, None = off; tsl is the fastest digit."""
        if not 0 <= risk_index < self.risk_total:
            raise IndexError(f"there are risk variants 0..{self.risk_total - 1}, not {risk_index}")
        rest, tsl = divmod(int(risk_index), len(self.risk.tsl))
        sl, tp = divmod(rest, len(self.risk.tp))
        return self.risk.sl[sl], self.risk.tp[tp], self.risk.tsl[tsl]

    def variant(self, variant_index: int) -> dict[str, Any]:
        """Return every effective value of one variant, enough to run it again on any range."""
        base_index, risk_index = self.split(variant_index)
        return self._valued(base_index, self.risk_at(risk_index))

    def base_variant(self, base_index: int) -> dict[str, Any]:
        """Return every effective value of a base variant, which has no risk levels."""
        return self._valued(base_index, (None, None, None))

    def _valued(self, base_index: int, levels: tuple[Level, Level, Level]) -> dict[str, Any]:
        numbers = zip(self.blocks, self.block_variants(base_index), strict=True)
        return {
            **self.fixed,
            "blocks": [block.parameters(number) for block, number in numbers],
            "risk": dict(zip(RISK_AXES, levels, strict=True)),
        }

    def variant_key(self, variant_index: int) -> str:
        """Return the hash that names a variant wherever it is met again."""
        return sha256_hex(canonical_json(self.variant(variant_index)))

    def indicator_variant_key(self, variant_index: int) -> str:
        """Return the hash of instrument, timeframe and compute parameters alone."""
        return indicator_key(self.variant(variant_index))


def indicator_key(variant: Mapping[str, Any]) -> str:
    """Return the hash of what a variant computes, whatever it then does with the values."""
    names = ("indicator_id", "output", "source", "params")
    compute = [{name: block[name] for name in names} for block in variant["blocks"]]
    shared = {name: variant[name] for name in ("instrument_id", "timeframe")}
    return sha256_hex(canonical_json({**shared, "blocks": sorted(compute, key=canonical_json)}))


def estimate(request: Request, traded_bars: int | None = None, *, threads: int = 1) -> Estimate:
    """Estimate a request; without `traded_bars` as if its whole time range had candles."""
    if traded_bars is None:
        traded_bars = bars_between(request.start_ms, request.end_ms, request.timeframe_ms)
    return Estimate.of(
        [Counts.of(block).total for block in request.blocks],
        risk_total=request.risk.total,
        preselect=request.preselect,
        top_k=request.top_k,
        metrics=(request.ranking.primary_metric, request.ranking.secondary_metric),
        warmup_bars=request.warmup_bars,
        traded_bars=traded_bars,
        threads=threads,
    )


def _table(
    declared: tuple[Param, ...],
    used: tuple[str, ...],
    values: Mapping[str, tuple[float | str, ...]],
    relations: tuple[Relation, ...],
) -> Float64:
    """Return float64[rows, len(declared)]: all combinations of the axes, the last one fastest."""
    by_name = {param.name: param for param in declared}
    column = {param.name: position for position, param in enumerate(declared)}
    names = tuple(param.name for param in declared if param.name in used)
    axes = [
        (group, joint_rows(group, [_numbers(by_name[n], values[n]) for n in group], relations))
        for group in joint_groups(names, relations)
    ]
    shape = tuple(len(rows) for _, rows in axes)
    total = prod(shape)
    table = np.empty((total, len(declared)), dtype=np.float64)
    table[:] = [param.filler for param in declared]
    digits = np.unravel_index(np.arange(total), shape) if shape else ()
    for (group, rows), digit in zip(axes, digits, strict=True):
        for position, name in enumerate(group):
            table[:, column[name]] = rows[digit, position]
    table.setflags(write=False)
    return table


def _numbers(param: Param, values: tuple[float | str, ...]) -> Float64:
    if param.kind == "choice":
        return np.array([param.choices.index(str(value)) for value in values], dtype=np.float64)
    return np.array(values, dtype=np.float64)


def _named(
    declared: tuple[Param, ...], row: Float64, used: tuple[str, ...] | None = None
) -> dict[str, Any]:
    return {
        param.name: _json_value(param, value)
        for param, value in zip(declared, row.tolist(), strict=True)
        if used is None or param.name in used
    }


def _json_value(param: Param, value: float) -> int | float | str:
    if param.kind == "choice":
        return param.choices[int(value)]
    return int(value) if param.kind == "int" else value
