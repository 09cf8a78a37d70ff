"""The ordered axes of a search: parameters whose values are numbers.

An axis is stepped in numeric order, whatever the order of the request; sources and choices have
none. "Off" is no number: nobody's neighbour, neither from it nor to it. On a joint axis one
parameter is stepped, and the pair must be valid.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.blocks import Combinations
from engine.request import Request
from engine.request.joint import joint_rows
from engine.request.model import RISK_AXES

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

NONE = -1
"""In place of an index: there is no such variant."""


@dataclass(frozen=True, slots=True, eq=False)
class OrderedAxis:
    """A numeric parameter of which at least two values occur; `values` ascend, whole ones are int.

    `part` is "params" or "signals" of the block with this title, or "risk" or "execution". Among
    the axes of a request `name` is unique. Values of a joint axis that no valid combination has are
    left out.

    `digit` of an index is `index // stride % len(combinations)`. `combinations` says, ascending,
    which values the parameters of that digit have: a mixed-radix number of their places in the
    request, in which one step of this parameter adds `inner`. `order` is the numeric place of each
    listed value, -1 if it has none, and `listed` the inverse.
    """

    name: str
    block: str | None
    part: str
    parameter: str
    values: tuple[float, ...]
    stride: int
    combinations: Int64
    inner: int
    order: Int64
    listed: Int64

    def places(self, indexes: Int64) -> Int64:
        """Return int64[n]: which of `values` variants int64[n] have, -1 for off."""
        combination = self.combinations[indexes // self.stride % len(self.combinations)]
        places: Int64 = self.order[combination // self.inner % len(self.order)]
        return places

    def beside(self, indexes: Int64, step: int) -> Int64:
        """Return int64[n]: the variants `step` values above those int64[n], or `NONE`."""
        digit = indexes // self.stride % len(self.combinations)
        combination = self.combinations[digit]
        listed = combination // self.inner % len(self.order)
        wanted = self.order[listed] + step
        there = (self.order[listed] >= 0) & (wanted >= 0) & (wanted < len(self.values))
        moved = self.listed[np.where(there, wanted, 0)] - listed
        combination = combination + moved * self.inner
        found = np.searchsorted(self.combinations, combination)
        last = len(self.combinations) - 1
        there &= self.combinations[np.minimum(found, last)] == combination
        return np.where(there, indexes + (found - digit) * self.stride, NONE)


class _Column(NamedTuple):
    """A parameter of a digit as it is listed; NaN is off. A choice is not `ordered`."""

    block: str | None
    part: str
    parameter: str
    values: Float64
    ordered: bool = True
    whole: bool = False

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.block, self.parameter)))


class _Digit(NamedTuple):
    """A digit of an index: combinations of columns, the last one fastest, as numbers of places."""

    combinations: Int64
    columns: tuple[_Column, ...] = ()


def base_axes(request: Request) -> tuple[OrderedAxis, ...]:
    """Return the ordered axes of stage A, for base indexes."""
    return _axes(list(_block_digits(request)))


def ordered_axes(request: Request) -> tuple[OrderedAxis, ...]:
    """Return the ordered axes of stage B, for indexes `base_index * risk_total + risk_index`."""
    return _axes([*_block_digits(request), *_risk_digits(request)])


def _block_digits(request: Request) -> Iterator[_Digit]:
    """Yield the digits of a base index, the fastest last: of each block source, params, signals."""
    for title, block in request.titled_blocks.items():
        yield _Digit(np.arange(max(1, len(block.sources))))
        yield from _digits(title, "params", Combinations.of_params(block))
        yield from _digits(title, "signals", Combinations.of_signals(block))


def _digits(title: str, part: str, all_of: Combinations) -> Iterator[_Digit]:
    kinds = {param.name: param.kind for param in all_of.declared}
    for axis in all_of.axes:
        columns = tuple(
            _Column(title, part, name, values, kinds[name] != "choice", kinds[name] == "int")
            for name, values in axis.items()
        )
        rows = joint_rows(tuple(axis), tuple(axis.values()), all_of.relations)
        places = [
            np.argsort(values)[np.searchsorted(np.sort(values), rows[:, number])]
            for number, values in enumerate(axis.values())
        ]
        shape = tuple(len(values) for values in axis.values())
        yield _Digit(np.ravel_multi_index(places, shape), columns)


def _risk_digits(request: Request) -> Iterator[_Digit]:
    """Yield the digits of a risk index, the fastest last."""
    risk = request.risk
    for part, name in (*(("risk", name) for name in RISK_AXES), ("execution", "percent")):
        values = np.array(getattr(risk, name), np.float64)  # None becomes NaN
        yield _Digit(np.arange(len(values)), (_Column(None, part, name, values),))


def _axes(digits: list[_Digit]) -> tuple[OrderedAxis, ...]:
    """Return the ordered axes among the columns of an index's digits."""
    found: list[OrderedAxis] = []
    stride = 1
    for digit in reversed(digits):
        inner = 1
        for column in reversed(digit.columns):
            axis = _axis(column, digit.combinations, stride, inner)
            if column.ordered and len(axis.values) > 1:
                found.append(axis)
            inner *= len(column.values)
        stride *= len(digit.combinations)
    return tuple(reversed(found))


def _axis(column: _Column, combinations: Int64, stride: int, inner: int) -> OrderedAxis:
    values = column.values
    occurs = np.zeros(len(values), np.bool_)
    occurs[combinations // inner % len(values)] = True
    ascending = np.argsort(values, kind="stable")
    ascending = ascending[occurs[ascending] & ~np.isnan(values[ascending])]
    order = np.full(len(values), -1, np.int64)
    order[ascending] = np.arange(len(ascending))
    numbers = values[ascending].tolist()
    return OrderedAxis(
        name=column.name,
        block=column.block,
        part=column.part,
        parameter=column.parameter,
        values=tuple(map(int, numbers) if column.whole else numbers),
        stride=stride,
        combinations=combinations,
        inner=inner,
        order=order,
        listed=ascending,
    )
