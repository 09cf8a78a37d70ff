"""The variants of one indicator: all combinations of its axes, and which of them is which number.

A sweep computes all of them, so `Block` lists them. Whoever asks for a few, or how many there are,
takes an `UnlistedBlock`: it needs time and memory of the axes, whatever the number of combinations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.indicators.declaration import Relation
from engine.indicators.registry import RULES, Indicator, Output, Param
from engine.request.joint import joint_groups, joint_row, joint_rows, joint_total
from engine.request.model import BlockRequest

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One indicator with its variants.

    `compute_table` is float64[C, K]: one row per compute variant, one column per declared parameter
    (a choice is its index; an unused parameter holds its filler). `signal_table` is float64[S, J]:
    one row per combination of the rule's parameters, S >= 1 even when J = 0. A block variant is
    number `((source * C) + compute) * S + signal` of `total`. `timeframe` is that of its bars where
    they are larger than those of the template.
    """

    name: str
    indicator: Indicator
    output: Output
    sources: tuple[str, ...]
    compute_table: Float64
    signal_table: Float64
    total: int
    timeframe: str | None = None

    @classmethod
    def of(cls, block: BlockRequest) -> "Block":
        """List the compute and signal variants of a requested block."""
        compute, signal = (
            Combinations.of_params(block).rows(),
            Combinations.of_signals(block).rows(),
        )
        return cls(
            name=block.name,
            indicator=block.indicator,
            output=block.output,
            sources=block.sources,
            compute_table=compute,
            signal_table=signal,
            total=max(1, len(block.sources)) * len(compute) * len(signal),
            timeframe=block.timeframe,
        )

    def coordinates(self, number: int) -> tuple[int, int, int]:
        """Return the source index, compute row and signal row of block variant `number`."""
        return _coordinates(self, number, len(self.compute_table), len(self.signal_table))

    def parameters(self, number: int) -> dict[str, Any]:
        """Return what block variant `number` is, in JSON types; unused parameters are left out."""
        source, compute, signal = self.coordinates(number)
        rows = self.compute_table[compute].tolist(), self.signal_table[signal].tolist()
        return _parameters(self, source, *rows)


@dataclass(frozen=True, slots=True, eq=False)
class UnlistedBlock:
    """The same variants under the same numbers, without their tables."""

    name: str
    indicator: Indicator
    output: Output
    sources: tuple[str, ...]
    compute: "Combinations"
    signal: "Combinations"
    total: int
    timeframe: str | None

    @classmethod
    def of(cls, block: BlockRequest) -> "UnlistedBlock":
        """Count the compute and signal variants of a requested block."""
        compute, signal = Combinations.of_params(block), Combinations.of_signals(block)
        return cls(
            name=block.name,
            indicator=block.indicator,
            output=block.output,
            sources=block.sources,
            compute=compute,
            signal=signal,
            total=max(1, len(block.sources)) * compute.total * signal.total,
            timeframe=block.timeframe,
        )

    def parameters(self, number: int) -> dict[str, Any]:
        """Return what block variant `number` is, as `Block.parameters` does."""
        source, compute, signal = _coordinates(self, number, self.compute.total, self.signal.total)
        return _parameters(self, source, self.compute.row(compute), self.signal.row(signal))


@dataclass(frozen=True, slots=True, eq=False)
class Combinations:
    """The combinations of axes, the last axis fastest; parameters bound by rules share an axis.

    `axes` holds the values by name, those of a choice as indexes, and `counts` how many valid
    combinations each axis has. A row has one number per declared parameter.
    """

    declared: tuple[Param, ...]
    relations: tuple[Relation, ...]
    axes: tuple[dict[str, Float64], ...]
    counts: tuple[int, ...]

    @classmethod
    def of_params(cls, block: BlockRequest) -> Self:
        """Take the parameters that the output of a block depends on."""
        indicator = block.indicator
        return cls._of(indicator.params, block.output.params, block.params, indicator.relations)

    @classmethod
    def of_signals(cls, block: BlockRequest) -> Self:
        """Take the parameters of the rule that reads a block."""
        declared = RULES[block.output.rule].params
        return cls._of(declared, tuple(param.name for param in declared), block.signals, ())

    @classmethod
    def _of(
        cls,
        declared: tuple[Param, ...],
        used: tuple[str, ...],
        values: Mapping[str, tuple[float | str, ...]],
        relations: tuple[Relation, ...],
    ) -> Self:
        numbers = {
            param.name: _numbers(param, values[param.name])
            for param in declared
            if param.name in used
        }
        groups = joint_groups(tuple(numbers), relations)
        axes = tuple({name: numbers[name] for name in group} for group in groups)
        return cls(declared, relations, axes, tuple(joint_total(axis, relations) for axis in axes))

    @property
    def total(self) -> int:
        """How many there are."""
        return prod(self.counts)

    def row(self, number: int) -> list[float]:
        """Return one row of `rows`, found by arithmetic."""
        found: dict[str, float] = {}
        for axis, count in zip(reversed(self.axes), reversed(self.counts), strict=True):
            number, digit = divmod(number, count)
            found |= zip(axis, joint_row(digit, axis, self.relations), strict=True)
        return [found.get(param.name, param.filler) for param in self.declared]

    def rows(self) -> Float64:
        """Return float64[total, len(declared)]: all of them."""
        column = {param.name: position for position, param in enumerate(self.declared)}
        listed = [
            joint_rows(tuple(axis), tuple(axis.values()), self.relations) for axis in self.axes
        ]
        shape = tuple(len(rows) for rows in listed)
        total = prod(shape)
        table = np.empty((total, len(self.declared)), dtype=np.float64)
        table[:] = [param.filler for param in self.declared]
        digits = np.unravel_index(np.arange(total), shape) if shape else ()
        for axis, rows, digit in zip(self.axes, listed, digits, strict=True):
            for position, name in enumerate(axis):
                table[:, column[name]] = rows[digit, position]
        table.setflags(write=False)
        return table


def _coordinates(
    block: Block | UnlistedBlock, number: int, computes: int, signals: int
) -> tuple[int, int, int]:
    if not 0 <= number < block.total:
        raise IndexError(f"block {block.name} has variants 0..{block.total - 1}, not {number}")
    rest, signal = divmod(number, signals)
    source, compute = divmod(rest, computes)
    return source, compute, signal


def _parameters(
    block: Block | UnlistedBlock, source: int, compute: list[float], signal: list[float]
) -> dict[str, Any]:
    return {
        "name": block.name,
        "indicator_id": block.indicator.id,
        "output": block.output.name,
        "source": block.sources[source] if block.sources else None,
        **({} if block.timeframe is None else {"timeframe": block.timeframe}),
        "params": _named(block.indicator.params, compute, block.output.params),
        "signals": _named(RULES[block.output.rule].params, signal),
    }


def _numbers(param: Param, values: tuple[float | str, ...]) -> Float64:
    if param.kind == "choice":
        return np.array([param.choices.index(str(value)) for value in values], dtype=np.float64)
    return np.array(values, dtype=np.float64)


def _named(
    declared: tuple[Param, ...], row: list[float], used: tuple[str, ...] | None = None
) -> dict[str, Any]:
    return {
        param.name: _json_value(param, value)
        for param, value in zip(declared, row, strict=True)
        if used is None or param.name in used
    }


def _json_value(param: Param, value: float) -> int | float | str:
    if param.kind == "choice":
        return param.choices[int(value)]
    return int(value) if param.kind == "int" else value
