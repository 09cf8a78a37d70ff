"""The staged sweep: a generator of batches that knows neither database nor queue."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.candles import Candles
from engine.grid import Grid
from engine.kernels import execution_rules
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
    tally_of,
)
from engine.kernels.measures import WORST_TIER, Found, Order
from engine.kernels.periods import Periods, Records
from engine.kernels.recording import record_tile
from engine.kernels.tiles import Tile, score_tile
from engine.memory import PLANES_BYTES
from engine.outcomes import Outcomes
from engine.planes import PlaneStore
from engine.ranking import NO_CUT, Cut, TopList
from engine.request import Request
from engine.work import Box, Bundle, Division, Numbers, Part
from engine.worker_threads import WorkerThreads

Bits = NDArray[np.uint64]
Int64 = NDArray[np.int64]

PIECES_PER_BATCH = 2  # per thread


@dataclass(frozen=True, slots=True)
class Batch:
    """State of a stage after a batch of work, which takes well under half a second.

    `processed` of `total` variants are done; `top` is the live list, best so far. Batches without
    progress occur while planes are prepared.
    """

    stage: Literal["stage_a", "stage_b"]
    processed: int
    total: int
    top: TopList


class Sweep:
    """One request over one set of candles.

    Results depend on neither `threads` nor `memory_bytes`, the budget for signal planes.
    """

    def __init__(
        self,
        request: Request,
        candles: Candles,
        *,
        threads: int = 1,
        memory_bytes: int = PLANES_BYTES,
    ) -> None:
        self.request = request
        self.candles = candles
        self.grid = Grid.of(request)
        self.rules = execution_rules(request)
        self.closes = np.ascontiguousarray(candles.close[candles.first :])
        self.open_times = np.ascontiguousarray(candles.ts_open[candles.first :])
        self.outcomes: Outcomes | None = None  # of the last stage A that was run to its end
        self._costs = costs_of(self.rules)
        self.market = market_of(
            self.closes,
            self._costs,
            self.open_times,
            fills_of(self.rules, candles),
            carry_on(self.rules, candles),
        )
        self._allowed = allowed_planes(len(self.closes), self.rules)
        self._threads = WorkerThreads(threads)
        self._store = PlaneStore(self.grid.blocks, candles, memory_bytes)
        ranking = request.ranking
        self.division = Division(
            self.grid,
            self._store.layout,
            words=self._allowed.shape[1],
            metrics=frozenset({ranking.primary_metric, ranking.secondary_metric}),
            inside=self.rules.inside,
        )

    @property
    def threads(self) -> int:
        """How many threads work on it."""
        return self._threads.count

    def stage_a(self, part: Part | None = None, *, cut: Cut = NO_CUT) -> Iterator[Batch]:
        """Score base variants (all, or those of a part) without risk levels.

        The last batch holds the best `preselect` base indexes; with it, `outcomes` counts them all.
        What is worse than `cut`, which a list of other parts knows, need not be in the list.
        """
        part = part or self.division.whole
        total = self.division.variants(part)
        idle = [self._no_outcomes() for _ in range(self._threads.count)]
        top = self._top_list(min(self.request.preselect, self.grid.base_total), cut)
        processed = 0
        for numbers in self.division.chunks(part):
            for _ in self._hold(numbers):
                yield Batch("stage_a", processed, total, top)

            def score(box: Box, numbers: Numbers = numbers) -> tuple[Found, int, int]:
                outcomes = idle.pop()  # no more pieces are worked on than there are threads
                try:
                    return self._score(box, numbers, top, outcomes)
                finally:
                    idle.append(outcomes)

            results = self._threads.stream(score, self.division.boxes(numbers))
            for count, (_, (found, kept, scored)) in enumerate(results, start=1):
                _offer(top, found, kept)
                processed += scored
                if count % (PIECES_PER_BATCH * self._threads.count) == 0:
                    yield Batch("stage_a", processed, total, top)
            yield Batch("stage_a", processed, total, top)  # next come planes
        self.outcomes = idle[0]
        for others in idle[1:]:
            self.outcomes.merge(others)
        yield Batch("stage_a", processed, total, top)

    def stage_b(
        self,
        shortlist: Int64,
        positions: range | None = None,
        *,
        twins: Int64 | None = None,
        cut: Cut = NO_CUT,
    ) -> Iterator[Batch]:
        """Score every risk combination of the shortlisted base variants.

        `twins` int64[k] says how many base variants each of the shortlist stands for; without it,
        each for itself. A combination counts as many twins as its base.
        `positions` restricts the work to a range of positions in the shortlist. The last batch
        holds the best `top_k` stage-B indexes (`base_index * risk_total + risk_index`). `cut` is as
        in stage A.
        """
        if twins is not None and len(twins) != len(shortlist):
            raise ValueError(f"{len(twins)} counts of twins for a shortlist of {len(shortlist)}")
        part = _part(positions, len(shortlist))
        bases = np.asarray(shortlist, np.int64)[part.start : part.stop]
        stands_for = None if twins is None else twins[part.start : part.stop]
        weights = _Weights(bases, stands_for, self.grid.risk_total)
        total = len(bases) * self.grid.risk_total
        top = self._top_list(min(self.request.top_k, len(shortlist) * self.grid.risk_total), cut)
        processed = 0
        for group, numbers in self.division.groups(bases):
            for _ in self._hold(numbers):
                yield Batch("stage_b", processed, total, top)

            def expand(bundle: Bundle) -> tuple[Found, int]:
                return self._expand(bundle, top)

            results = self._threads.stream(expand, self.division.bundles(group))
            for count, (bundle, (found, kept)) in enumerate(results, start=1):
                found.weight[:kept] = weights.of(found.variant[:kept])
                _offer(top, found, kept)
                processed += len(bundle.bases) * bundle.risk.combinations
                if count % (PIECES_PER_BATCH * self._threads.count) == 0:
                    yield Batch("stage_b", processed, total, top)
        yield Batch("stage_b", processed, total, top)

    def planes_of(self, base_index: int) -> tuple[Bits, Bits]:
        """Return LONG and SHORT uint64[W] of one base variant, the last bar's signal included.

        They are what all of its entry blocks say.
        """
        (long, short), *others = self._planes(base_index, range(self.grid.entries))
        for other_long, other_short in others:
            long &= other_long
            short &= other_short
        return long, short

    def exit_planes_of(self, base_index: int) -> tuple[Bits, Bits] | None:
        """Return LONG and SHORT uint64[W] of what any exit block says, None without one."""
        blocks = range(self.grid.entries, len(self.grid.blocks))
        if not blocks:
            return None
        (long, short), *others = self._planes(base_index, blocks)
        for other_long, other_short in others:
            long |= other_long
            short |= other_short
        return long, short

    def _planes(self, base_index: int, blocks: range) -> list[tuple[Bits, Bits]]:
        numbers = self.grid.block_variants(base_index)
        return [self._store.planes_of(block, numbers[block]) for block in blocks]

    def _hold(self, numbers: Numbers) -> Iterator[None]:
        for block, part in enumerate(numbers):
            yield from self._store.hold(block, part, self._threads)

    def record(self, periods: Periods, records: Records) -> Iterator[int]:
        """Write down what is kept of base variants; yield how many of them were gone through."""
        ranking = self.request.ranking
        order = order_of(ranking.primary_metric, None, ranking.min_trades, WORST_TIER, np.inf)
        processed = 0
        for numbers in self.division.chunks(self.division.whole):
            for _ in self._hold(numbers):
                yield processed

            def write(box: Box, numbers: Numbers = numbers) -> None:
                record_tile(
                    self._store.long,
                    self._store.short,
                    self._allowed,
                    *self._tile(box, numbers),
                    self.market,
                    self._costs,
                    order,
                    periods,
                    records,
                )

            for box, _ in self._threads.stream(write, self.division.boxes(numbers)):
                processed += len(box.streamed) * len(box.prefixes)
                yield processed

    def _tile(self, box: Box, numbers: Numbers) -> tuple[Tile, Int64]:
        """Return a box as kernels know it, and the rows of the blocks that are not streamed."""
        strides = self.division.strides
        streamed = self._store.layout.streamed
        others = [block for block in range(len(numbers)) if block != streamed]
        entries = self.grid.entries
        tile = Tile(
            row=self._store.row(streamed, box.streamed.start),
            rows=len(box.streamed),
            stride=strides[streamed],
            prefix_start=box.prefixes.start,
            prefix_stop=box.prefixes.stop,
            offset=sum(numbers[b].start * strides[b] for b in others)
            + box.streamed.start * strides[streamed],
            hold=self.rules.hold,
            exits=streamed >= entries,
            entries=sum(block < entries for block in others),
            pause=self.rules.pause,
        )
        prefix = [
            (self._store.row(b, numbers[b].start), len(numbers[b]), strides[b]) for b in others
        ]
        return tile, np.array(prefix, np.int64).reshape(-1, 3)

    def _score(
        self, box: Box, numbers: Numbers, top: TopList, outcomes: Outcomes
    ) -> tuple[Found, int, int]:
        """Run a box of stage A: the finds, how many there are, how many variants were scored."""
        found = room_for(len(box.streamed) * len(box.prefixes))
        kept, scored = score_tile(
            self._store.long,
            self._store.short,
            self._allowed,
            *self._tile(box, numbers),
            self.market,
            self._costs,
            self._order(top),
            found,
            tally_of(outcomes),
        )
        return found, kept, scored

    def _expand(self, bundle: Bundle, top: TopList) -> tuple[Found, int]:
        """Run a bundle of stage B: the finds and how many there are."""
        axes, part = self.grid.risk, bundle.risk
        levels = [
            axis[at.start : at.stop]
            for axis, at in zip((axes.sl, axes.tp, axes.tsl), part[:3], strict=True)
        ]
        rules = self.rules.sized(None, axes.percent[part.percent.start])
        costs, shares = sizes_of(rules, levels[0])
        found = room_for(len(bundle.bases) * part.combinations)
        kept = expand_risk(
            self._store.long,
            self._store.short,
            self._allowed,
            self._store.rows(self.division.digits(bundle.bases)),
            bundle.bases,
            RiskTile(
                part.sl.start,
                part.tp.start,
                part.tsl.start,
                len(axes.tp),
                len(axes.tsl),
                axes.total,
                self.rules.hold,
                self.grid.entries,
                self.rules.pause,
                part.percent.start,
                len(axes.percent),
            ),
            levels_of(*levels),
            self.market,
            costs,
            shares,
            self._order(top),
            found,
        )
        return found, kept

    def _order(self, top: TopList) -> Order:
        return order_of(
            top.primary, top.secondary, top.min_trades, *top.cut(), distinct=top.distinct
        )

    def _top_list(self, capacity: int, cut: Cut) -> TopList:
        ranking = self.request.ranking
        return TopList(
            capacity,
            ranking.primary_metric,
            ranking.secondary_metric,
            ranking.min_trades,
            distinct=ranking.distinct,
            cut=cut,
        )

    def _no_outcomes(self) -> Outcomes:
        benchmark = float(100.0 * (self.closes[-1] / self.closes[0] - 1.0))  # as in the report
        return Outcomes(
            self.request.ranking.primary_metric, benchmark if np.isfinite(benchmark) else None
        )


class _Weights:
    """How many base variants each stage-B index stands for: the twins of its base."""

    def __init__(self, bases: Int64, twins: Int64 | None, risk_total: int) -> None:
        order = np.argsort(bases)
        self._risk_total = risk_total
        self._bases = bases[order]
        self._twins = np.ones_like(bases) if twins is None else np.asarray(twins, np.int64)[order]

    def of(self, indexes: Int64) -> Int64:
        """Return int64[n], for stage-B indexes int64[n]."""
        return self._twins[np.searchsorted(self._bases, indexes // self._risk_total)]


def _offer(top: TopList, found: Found, kept: int) -> None:
    top.offer(
        found.variant[:kept],
        ruined=found.ruined[:kept],
        trades=found.trades[:kept],
        primary=found.primary[:kept],
        secondary=found.secondary[:kept],
        total_return=found.total_return[:kept],
        signature=found.signature[:kept],
        weights=found.weight[:kept],
    )


def _part(part: range | None, total: int) -> range:
    """Return a range that lies within `range(total)`; None is all of it."""
    if part is None:
        return range(total)
    if part.step != 1 or part.start < 0 or part.stop > total:
        raise ValueError(f"{part} is not a part of range(0, {total})")
    return part
