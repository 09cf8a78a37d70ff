"""Any variants of a search, scored again as stage B scores them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernels.expansion import RiskTile, expand_risk
from engine.kernels.inputs import allowed_planes, levels_of, order_of, room_for, sizes_of
from engine.kernels.measures import WORST_TIER, Found
from engine.memory import PLANES_BYTES
from engine.planes import PlaneStore
from engine.work import Division
from engine.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from engine.sweep import Sweep

Bits = NDArray[np.uint64]
Bools = NDArray[np.bool_]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


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
        rules, primary = sweep.rules, sweep.request.ranking.primary_metric
        self._grid, self._rules = sweep.grid, rules
        self._threads = WorkerThreads(threads)
        self._store = PlaneStore(sweep.grid.blocks, sweep.candles, memory_bytes)
        self._allowed = allowed_planes(len(sweep.closes), rules)
        words, metrics = self._allowed.shape[1], frozenset({primary})
        self._division = Division(sweep.grid, self._store.layout, words=words, metrics=metrics)
        self._market = sweep.market
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
