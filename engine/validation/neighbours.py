"""The neighbours of a variant: one step up or down on one ordered axis, all else equal.

A result that means something does not depend on the third digit of a parameter: next to it lie
results like it. A lone peak is luck.

An axis is *ordered* if its values are numbers. It is stepped in numeric order, whatever the order
of the request; sources and choices have none. "Off" is no number: nobody's neighbour, neither from
it nor to it. On a joint axis one parameter is stepped, and the pair must be valid.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.blocks import Combinations
from engine.kernels.charges import carry_on
from engine.kernels.expansion import RiskTile, expand_risk
from engine.kernels.inputs import (
    allowed_planes,
    costs_of,
    fills_of,
    levels_of,
    market_of,
    order_of,
    room_for,
    sizes_of,
)
from engine.kernels.measures import WORST_TIER, Found
from engine.memory import PLANES_BYTES
from engine.metric_names import ASCENDING
from engine.planes import PlaneStore
from engine.report.figures import as_stored
from engine.request import Request
from engine.request.joint import joint_rows
from engine.request.model import RISK_AXES
from engine.work import Division
from engine.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from engine.sweep import Sweep

Bits = NDArray[np.uint64]
Bools = NDArray[np.bool_]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

NONE = -1
"""In place of an index: there is no such neighbour."""

STEPS = {"lower": -1, "higher": 1}


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


def neighbours(axes: tuple[OrderedAxis, ...], indexes: Int64) -> Int64:
    """Return int64[R, A, 2]: the lower and the higher neighbour of variants on each axis.

    `indexes` int64[R] are variants of the stage that the axes are of. `NONE` where there is none.
    """
    indexes = np.asarray(indexes, np.int64)
    found = np.empty((len(indexes), len(axes), len(STEPS)), np.int64)
    for number, axis in enumerate(axes):
        for side, step in enumerate(STEPS.values()):
            found[:, number, side] = axis.beside(indexes, step)
    return found


def listed(axes: tuple[OrderedAxis, ...], beside: Int64) -> list[dict[str, Any]]:
    """Return the neighbours int64[A, 2] of one variant in JSON types, as a page lists them."""
    return [
        {
            "axis": axis.name,
            "step": step,
            "value": axis.values[int(axis.places(pair[side : side + 1])[0])],
            "variant_index": int(pair[side]),
        }
        for axis, pair in zip(axes, beside, strict=True)
        for side, step in enumerate(STEPS)
        if pair[side] != NONE
    ]


class Scores(NamedTuple):
    """What variants int64[n] came to, in their order. NaN is undefined."""

    ruined: Bools
    trades: Int64
    primary: Float64
    total_return: Float64  # percent
    signature: Bits  # uint64[n, 2]

    def at(self, rows: Int64) -> "Scores":
        """Return those of the variants at places `rows`."""
        return Scores(
            self.ruined[rows],
            self.trades[rows],
            self.primary[rows],
            self.total_return[rows],
            self.signature[rows],
        )


def evaluate(
    sweep: "Sweep", indexes: Int64, *, threads: int = 1, memory_bytes: int = PLANES_BYTES
) -> Scores:
    """Score any stage-B variants int64[n] of a sweep, bit for bit as stage B does.

    As in stage B, planes are held together for as many base variants as `memory_bytes` allow, made
    by `threads`; they are not those that the sweep holds. Variants under one risk index go through
    the kernel together. What is asked may be divided at will: no figure depends on others.
    """
    wanted, back = np.unique(np.asarray(indexes, np.int64), return_inverse=True)
    count = len(wanted)
    scores = Scores(
        ruined=np.empty(count, np.bool_),
        trades=np.empty(count, np.int64),
        primary=np.empty(count),
        total_return=np.empty(count),
        signature=np.empty((count, 2), np.uint64),
    )
    base, risk = np.divmod(wanted, sweep.grid.risk_total)
    expansion = _Expansion(sweep, threads, memory_bytes)
    for group in expansion.groups(np.unique(base)):
        mine = np.flatnonzero(np.isin(base, group))
        for risk_index in np.unique(risk[mine]).tolist():
            at = mine[risk[mine] == risk_index]
            found = expansion.found(base[at], risk_index)
            for name in Scores._fields:
                getattr(scores, name)[at] = getattr(found, name)[: len(at)]
    return scores.at(back)


class _Expansion:
    """The kernel of stage B, for base variants under any one risk index."""

    def __init__(self, sweep: "Sweep", threads: int, memory_bytes: int) -> None:
        rules, closes, primary = sweep.rules, sweep.closes, sweep.request.ranking.primary_metric
        self._grid, self._rules = sweep.grid, rules
        self._threads = WorkerThreads(threads)
        self._store = PlaneStore(sweep.grid.blocks, sweep.candles, memory_bytes)
        self._allowed = allowed_planes(len(closes), rules)
        words, metrics = self._allowed.shape[1], frozenset({primary})
        self._division = Division(sweep.grid, self._store.layout, words=words, metrics=metrics)
        self._market = market_of(
            closes,
            costs_of(rules),
            sweep.open_times,
            fills_of(rules, sweep.candles),
            carry_on(rules, sweep.candles),
        )
        self._order = order_of(primary, None, 0, WORST_TIER, np.inf)  # which all pass

    def groups(self, bases: Int64) -> Iterator[Int64]:
        """Yield parts of distinct base variants whose planes are held meanwhile."""
        for group, numbers in self._division.groups(bases):
            for block, part in enumerate(numbers):
                for _ in self._store.hold(block, part, self._threads):
                    pass  # nobody waits for a batch
            yield group

    def found(self, bases: Int64, risk_index: int) -> Found:
        """Return what held base variants int64[n] come to under a risk index, in their order."""
        rules, level = self._rules, self._grid.risk_at(risk_index)
        sized = rules.sized(None, self._grid.percent_at(risk_index))
        found = room_for(len(bases))
        expand_risk(
            self._store.long,
            self._store.short,
            self._allowed,
            self._store.rows(self._division.digits(bases)),
            bases,
            RiskTile(0, 0, 0, 1, 1, 1, rules.hold, self._grid.entries, rules.pause),
            levels_of(*((one,) for one in level)),
            self._market,
            *sizes_of(sized, level[:1]),
            self._order,
            found,
        )
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """How the neighbours of R variants did, in their order; a number that is undefined is NaN.

    Total return is over all neighbours whose account stayed finite, ruined ones included. The
    primary metric is over the `defined` ones: it has a value and they are not ruined, as no ruined
    variant is ranked by it. Of an even number the median is the mean of the two in the middle.
    `twins` trade exactly as the variant itself: a step that changes nothing proves nothing.
    """

    number: Int64
    ruined: Int64
    twins: Int64
    median_return: Float64  # percent
    worst_return: Float64  # percent
    defined: Int64
    median_primary: Float64
    worst_primary: Float64

    @classmethod
    def of(cls, primary: str, own: Scores, of: Int64, beside: Scores) -> "Summary":
        """Sum up neighbours int64[n], of which `of` int64[n] says whose they are, in 0..R-1.

        `own` are the scores of the R variants, `beside` those of the n neighbours. `primary` names
        the metric; the worst is the largest where smaller is better.
        """
        rows = len(own.ruined)
        twin = (beside.signature == own.signature[of]).all(axis=1)
        ranked = np.where(beside.ruined, np.nan, beside.primary)
        better = -1.0 if primary in ASCENDING else 1.0
        return cls(
            np.bincount(of, minlength=rows),
            np.bincount(of[beside.ruined], minlength=rows),
            np.bincount(of[twin], minlength=rows),
            *_median_and_worst(of, beside.total_return, rows, 1.0),
            np.bincount(of[~np.isnan(ranked)], minlength=rows),
            *_median_and_worst(of, ranked, rows, better),
        )

    def document(self) -> list[dict[str, Any]]:
        """Return one object a variant in JSON types; what is infinite is None and listed so."""
        columns = {field.name: getattr(self, field.name).tolist() for field in fields(self)}
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        return [
            as_stored({name: None if value != value else value for name, value in row.items()})
            for row in rows
        ]


def _median_and_worst(
    of: Int64, values: Float64, rows: int, better: float
) -> tuple[Float64, Float64]:
    """Return float64[rows] each, of the values that are not NaN; `better` is -1 if less is."""
    defined = ~np.isnan(values)
    of, values = of[defined], values[defined]
    values = values[np.lexsort((better * values, of))]
    count = np.bincount(of, minlength=rows)
    some = count > 0
    first, count = (np.cumsum(count) - count)[some], count[some]
    low, high = values[first + (count - 1) // 2], values[first + count // 2]
    median, worst = np.full(rows, np.nan), np.full(rows, np.nan)
    median[some] = 0.5 * low + 0.5 * high
    worst[some] = values[first]
    return median, worst


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
