"""Sweeps whose entries fill at the next open and whose stops are seen inside bars, by brute force.

As `test_execution_sweep`: every variant is enumerated, simulated bar by bar on the raw candles and
sorted slowly. Bars open at prices of their own.
"""

import math
from functools import cache

import pytest

from engine import memory as budgets
from engine import work
from engine.metric_names import METRICS
from engine.report import reports
from engine.sweep import Sweep
from tests.engine.cases import DIRECTIONS, SIZINGS
from tests.engine.small_sweeps import RISK, TWO, candles, request
from tests.engine.test_execution_sweep import (
    assert_ranks_are_reproduced,
    bits,
    bits_by_index,
    last,
    metrics_compared,
    scores_of,
    stage_b_without_risk,
)
from tests.engine.test_sweep import ranking
from tests.engine.test_twins import LIKE_ROWS, expected_a, expected_b, held
from tests.engine.worlds import World, with_gaps

FILLS = (("close", "intrabar"), ("next_open", "close"), ("next_open", "intrabar"))
WAYS = tuple(zip(SIZINGS, (*DIRECTIONS, "long-short"), strict=True))
every_fill = pytest.mark.parametrize("fills", FILLS, ids=" ".join)


@cache
def world_of(seed: int, sizing: str, direction: str, fills: tuple[str, str]) -> World:
    return World(seed, sizing=sizing, direction=direction, fills=fills)


@every_fill
@pytest.mark.parametrize(("sizing", "direction"), WAYS)
def test_both_stages_equal_brute_force(sizing: str, direction: str, fills: tuple[str, str]) -> None:
    world = world_of(2, sizing, direction, fills)
    assert metrics_compared(world) >= 7, "this world decides little: choose another seed"


@every_fill
@pytest.mark.parametrize("sizing", ["all_in", "fixed_quote"])
def test_both_stages_equal_brute_force_where_prices_leap(
    sizing: str, fills: tuple[str, str]
) -> None:
    world = World(4, sizing=sizing, direction="long-short", leaps=True, fills=fills)
    assert metrics_compared(world) >= 7, "this world decides little: choose another seed"
    ruined = [reference.run.ruined for reference in world.references()]
    assert any(ruined)
    assert not all(ruined)


@every_fill
def test_a_stored_variant_reproduces_its_rank(fills: tuple[str, str]) -> None:
    assert_ranks_are_reproduced(world_of(2, *WAYS[0], fills))


@every_fill
@pytest.mark.parametrize("metric", METRICS)
def test_risk_off_reproduces_stage_a_bit_for_bit(metric: str, fills: tuple[str, str]) -> None:
    world = world_of(3, "all_in", "long-short", fills)
    shortlist, top = stage_b_without_risk(world, metric)
    assert bits(top.scores()[0]) == bits(shortlist.scores()[0])
    assert bits_by_index(top) == bits_by_index(shortlist)


# On the last but one of the 55 bars signals of many variants begin: nothing is entered there.
@every_fill
@pytest.mark.parametrize("traded", [55, 300])
def test_variants_that_do_the_same_are_one_outcome(traded: int, fills: tuple[str, str]) -> None:
    execution = dict(zip(("entry_fill", "stop_fill"), fills, strict=True))
    wanted = request(*LIKE_ROWS, execution=execution, risk=RISK, preselect=1000, top_k=360)
    run = Sweep(wanted, with_gaps(candles(traded), 1))
    first = last(run.stage_a())
    assert dict(held(first)) == expected_a(run)
    shortlist, twins = first.indexes()[:15], first.twins()[:15]
    second = last(run.stage_b(shortlist, twins=twins))
    assert dict(held(second)) == expected_b(run, held(first)[:15])


@every_fill
@pytest.mark.parametrize("sizing", SIZINGS)
def test_a_variant_is_reported_with_the_number_it_was_ranked_by(
    sizing: str, fills: tuple[str, str]
) -> None:
    world = world_of(5, sizing, "long-short", fills)
    for metric in METRICS:
        sweep = Sweep(world.request(metric), world.candles)
        top = last(sweep.stage_b(last(sweep.stage_a()).indexes()))
        found = reports(sweep, top.indexes().tolist(), top_trades_n=0, result_bytes=0)
        for report, (score,) in zip(found, scores_of(top, 1), strict=True):
            assert report.metrics[metric] == (score if math.isfinite(score) else None)


def divided(fills: tuple[str, str], metric: str, **options: int) -> list[object]:
    execution = dict(zip(("entry_fill", "stop_fill"), fills, strict=True))
    wanted = request(*TWO, primary=metric, execution=execution, risk=RISK, preselect=60, top_k=40)
    run = Sweep(wanted, with_gaps(candles(300), 1), **options)
    first = last(run.stage_a())
    second = last(run.stage_b(first.indexes(), twins=first.twins()))
    return [ranking(first), ranking(second)]


@every_fill
@pytest.mark.parametrize("metric", ["total_return_pct", "sqn", "sharpe"])
def test_the_division_of_the_work_changes_nothing(
    metric: str, fills: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = divided(fills, metric, threads=1)
    monkeypatch.setattr(work, "PIECE_SCANS", 300)
    monkeypatch.setattr(work, "PIECE_VARIANTS", 7)
    monkeypatch.setattr(work, "TILE_BYTES", 1)
    monkeypatch.setattr(budgets, "HITS_BYTES", 1)
    monkeypatch.setattr(budgets, "MIN_ROWS", 3)
    assert divided(fills, metric, threads=2, memory_bytes=1) == expected
