"""The whole sweep equals brute force: every variant enumerated, simulated and sorted slowly.

Two correct programs differ in the last digits, so two variants whose reference scores agree to 1e-9
may change places; nothing else may.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.grid import Grid
from engine.metric_names import METRICS
from engine.ranking import TopList
from engine.sweep import Batch, Sweep
from tests.engine.adapter import close_to, signals_from
from tests.engine.boxes import boxes
from tests.engine.cases import DIRECTIONS, SIZINGS
from tests.engine.rederive import Signals, rederive
from tests.engine.simulator import Run, Trade
from tests.engine.worlds import Reference, World

SEEDS = (1, 2, 4)
LEAPING_SEEDS = (4, 12, 13)
SECONDARY = dict(zip(METRICS, [None, *METRICS[:-1]], strict=True))
every_world = pytest.mark.parametrize("seed", SEEDS)
every_direction = pytest.mark.parametrize("direction", DIRECTIONS)
every_sizing = pytest.mark.parametrize("sizing", SIZINGS)


@cache
def world_of(seed: int, sizing: str, direction: str) -> World:
    return World(seed, sizing=sizing, direction=direction)


def last(batches: Iterable[Batch]) -> TopList:
    *_, batch = batches
    assert batch.processed == batch.total
    return batch.top


class Order:
    """The total order of a request's ranking over reference results."""

    def __init__(self, primary: str, secondary: str | None, min_trades: int) -> None:
        self.metrics = [primary] if secondary is None else [primary, secondary]
        self.min_trades = min_trades

    def key(self, index: int, run: Run, scores: Iterable[float]) -> tuple[float, ...]:
        parts = [float(run.ruined), float(len(run.trades) < self.min_trades)]
        for metric, score in zip(self.metrics, scores, strict=True):
            ascending = metric == "max_drawdown_pct"
            undefined = math.isnan(score)
            parts += [float(undefined), 0.0 if undefined else score if ascending else -score]
        return (*parts, index)

    def is_sorted(self, keys: Sequence[tuple[float, ...]], references: Sequence[Reference]) -> bool:
        """Return whether keys ascend; where only the index differs, return and trades descend.

        The engine's total returns differ from the simulator's in the last digits.
        """
        pairs = zip(pairwise(keys), pairwise(references), strict=True)
        for (one, other), (former, latter) in pairs:
            first, second = former.run, latter.run
            if one[:-1] != other[:-1]:
                if one > other:
                    return False
            elif not same(first.total_return_pct, second.total_return_pct):
                if first.total_return_pct < second.total_return_pct:
                    return False
            elif len(first.trades) < len(second.trades):
                return False
            if former.outcome == latter.outcome and one[-1] > other[-1]:
                return False
        return True

    def scores(self, reference: Reference) -> list[float]:
        return [reference.measured.metrics[metric] for metric in self.metrics]

    def reference_key(self, index: int, reference: Reference) -> tuple[float, ...]:
        return self.key(index, reference.run, self.scores(reference))

    def clearly_before(self, one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        """Return whether key `one` sorts before `other` by more than rounding.

        Scores that agree to 1e-9 decide nothing, as the engine's may differ in the last digit;
        only an equal number of trades, or both undefined or infinite, asks the next metric.
        """
        if one[:2] != other[:2]:
            return one[:2] < other[:2]
        for place, metric in enumerate(self.metrics):
            (undefined, a), (_, b) = (key[2 + 2 * place : 4 + 2 * place] for key in (one, other))
            if one[2 + 2 * place] != other[2 + 2 * place]:
                return one[2 + 2 * place] < other[2 + 2 * place]
            exact = undefined or math.isinf(a) or metric == "num_trades"
            if not (exact and a == b):
                return a < b and not same(a, b)
        return False

    def hangs_on_rounding(self, references: Mapping[int, Reference]) -> bool:
        return any(set(self.metrics) & r.measured.fragile for r in references.values())


def same(a: float, b: float) -> bool:
    if math.isfinite(a) and math.isfinite(b):
        return close_to(a, b)
    return a == b or (math.isnan(a) and math.isnan(b))


def scores_of(top: TopList, count: int) -> list[list[float]]:
    """Return the scores of every entry as the list holds them."""
    columns = [column.tolist() for column in top.scores()[:count]]
    return [list(row) for row in zip(*columns, strict=True)]


def assert_best(
    top: TopList, references: Mapping[int, Reference], order: Order, capacity: int
) -> None:
    """Check scores, order, ties and completeness of a top list against all variants."""
    indexes = top.indexes().tolist()
    assert len(set(indexes)) == len(indexes) == min(capacity, len(references))
    scored = scores_of(top, len(order.metrics))
    for index, scores in zip(indexes, scored, strict=True):
        expected = order.scores(references[index])
        assert all(map(same, scores, expected)), (index, order.metrics, scores, expected)
    listed = [references[index] for index in indexes]
    runs = [reference.run for reference in listed]
    own_keys = [order.key(*row) for row in zip(indexes, runs, scored, strict=True)]
    assert order.is_sorted(own_keys, listed)

    worst = order.reference_key(indexes[-1], references[indexes[-1]])
    left_out = references.keys() - set(indexes)
    better = [
        i for i in left_out if order.clearly_before(order.reference_key(i, references[i]), worst)
    ]
    assert not better, f"{sorted(better)} are better than {indexes[-1]} but left out"
    equal = [i for i in left_out if references[i].outcome == listed[-1].outcome]
    assert all(i > indexes[-1] for i in equal), "ties go to the smaller index"


def assert_equal_runs_score_equally(top: TopList, references: Mapping[int, Reference]) -> None:
    """Variants with the same trades must have the same bits, or ties would not go by index."""
    seen: dict[tuple[Trade, ...], list[float]] = {}
    for index, scores in zip(top.indexes().tolist(), scores_of(top, 1), strict=True):
        run = tuple(references[index].run.trades)
        assert same(*seen.setdefault(run, scores), *scores)
        assert math.isnan(scores[0]) or seen[run] == scores


@every_sizing
@every_direction
@every_world
def test_both_stages_equal_brute_force(seed: int, direction: str, sizing: str) -> None:
    world = world_of(seed, sizing, direction)
    assert metrics_compared(world) >= 7, "this world decides little: choose another seed"


@every_sizing
@pytest.mark.parametrize("seed", LEAPING_SEEDS)
def test_both_stages_equal_brute_force_where_prices_leap(seed: int, sizing: str) -> None:
    world = World(seed, sizing=sizing, direction="long-short", leaps=True)
    assert metrics_compared(world) >= 7, "this world decides little: choose another seed"
    ruined = [reference.run.ruined for reference in world.references()]
    assert any(ruined)
    assert not all(ruined)


def metrics_compared(world: World) -> int:
    """Rank by every metric that no rounding decides; return how many there are."""
    compared = 0
    for primary, secondary in SECONDARY.items():
        min_trades = 3 if primary in ("win_rate_pct", "sharpe") else 0
        order = Order(primary, secondary, min_trades)
        request = world.request(primary, secondary, min_trades=min_trades)
        sweep = Sweep(request, world.candles)
        shortlist = last(sweep.stage_a())
        top = last(sweep.stage_b(shortlist.indexes()))
        references_b = world.stage_b(shortlist.indexes().tolist())
        if order.hangs_on_rounding(world.stage_a) or order.hangs_on_rounding(references_b):
            continue
        assert_best(shortlist, world.stage_a, order, request.preselect)
        assert_best(top, references_b, order, request.top_k)
        assert_equal_runs_score_equally(top, references_b)
        compared += 1
    return compared


@every_sizing
@every_direction
@every_world
def test_every_signal_equals_the_rederived_one(seed: int, direction: str, sizing: str) -> None:
    world = world_of(seed, sizing, direction)
    sweep = Sweep(world.request(), world.candles)
    for base, expected in enumerate(world.signals):
        assert signals_from(*sweep.planes_of(base), len(expected)) == expected, world.bases[base]


def assert_ranks_are_reproduced(world: World) -> None:
    """Compute the best variants again from what is stored of them, without the engine."""
    request = world.request()
    sweep = Sweep(request, world.candles)
    top = last(sweep.stage_b(last(sweep.stage_a()).indexes()))
    grid, known = Grid.of(request), Signals(world.candles)
    for index, (score,) in zip(top.indexes().tolist(), scores_of(top, 1), strict=True):
        rederived = rederive(grid.variant(index), world.candles, known)
        assert not rederived.doubtful
        assert close_to(score, rederived.total_return_pct)


@every_world
def test_a_stored_variant_reproduces_its_rank(seed: int) -> None:
    assert_ranks_are_reproduced(world_of(seed, "all_in", "long-short"))


def stage_b_without_risk(world: World, metric: str) -> tuple[TopList, TopList]:
    """Return stage A, and stage B over it with all risk axes off."""
    risk = world.template["risk_grid"]
    world.template["risk_grid"] = {"sl": None, "tp": {"mode": "explicit", "values": [None]}}
    try:
        sweep = Sweep(world.request(metric, preselect=100, top_k=100), world.candles)
        shortlist = last(sweep.stage_a())
        return shortlist, last(sweep.stage_b(shortlist.indexes()))
    finally:
        world.template["risk_grid"] = risk


def bits(values: NDArray[np.float64]) -> list[int]:
    return [int(bit) for bit in values.view(np.int64)]


@every_sizing
@pytest.mark.parametrize("metric", METRICS)
def test_risk_off_reproduces_stage_a_bit_for_bit(metric: str, sizing: str) -> None:
    world = World(3, sizing=sizing, direction="long-short")
    shortlist, top = stage_b_without_risk(world, metric)
    assert bits(top.scores()[0]) == bits(shortlist.scores()[0])
    # Where all figures are equal the signatures decide, which are of planes there, of trades here.
    assert bits_by_index(top) == bits_by_index(shortlist)


def bits_by_index(top: TopList) -> dict[int, int]:
    return dict(zip(top.indexes().tolist(), bits(top.scores()[0]), strict=True))


@every_sizing
def test_ranges_of_both_stages_merge_to_the_whole(sizing: str) -> None:
    world = world_of(1, sizing, "long-short")
    sweep = Sweep(world.request("profit_factor", "sqn"), world.candles)
    whole = last(sweep.stage_a())
    parts = [last(sweep.stage_a(part)) for part in reversed(boxes(sweep, [1]))]
    parts[0].merge(parts[1])
    assert parts[0].indexes().tolist() == whole.indexes().tolist()

    shortlist = whole.indexes()
    cut = len(shortlist) // 3
    whole = last(sweep.stage_b(shortlist))
    ranges = (range(cut, len(shortlist)), range(cut))
    parts = [last(sweep.stage_b(shortlist, r)) for r in ranges]
    parts[0].merge(parts[1])
    assert parts[0].indexes().tolist() == whole.indexes().tolist()
    assert bits(parts[0].scores()[0]) == bits(whole.scores()[0])
