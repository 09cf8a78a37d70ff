"""Sweeps with sizes, leverage and what holding costs, by brute force.

As `test_execution_sweep`: every variant is enumerated, simulated bar by bar on the raw candles and
sorted slowly.
"""

import math
from typing import Any

import pytest

from engine import memory as budgets
from engine import work
from engine.metric_names import METRICS
from engine.report import reports
from engine.sweep import Sweep
from tests.engine.test_execution_sweep import (
    assert_ranks_are_reproduced,
    bits,
    last,
    metrics_compared,
    scores_of,
    stage_b_without_risk,
)
from tests.engine.test_sweep import ranking
from tests.engine.worlds import World, explicit

HELD: dict[str, Any] = {"exits": []}
NEXT_OPEN: dict[str, Any] = {"fills": ("next_open", "intrabar")}
INSIDE: dict[str, Any] = {"fills": ("close", "intrabar")}
STORED = {"funding_pct_per_8h": "stored", "borrow_pct_per_year": 40.0}
COSTS = {"funding_pct_per_8h": 0.05, "borrow_pct_per_year": 40.0}

# What each is called, its sizing, the members of its execution, and how else it trades.
MONEY: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "percent": ("percent", {"percent": explicit(30.0, 99.0, 100.0)}, {}),
    "percent held": ("percent", {"percent": explicit(100.0, 12.5)}, HELD | NEXT_OPEN),
    "risk": ("risk_per_trade", {"risk_per_trade_pct": 1.5}, {}),
    "risk inside bars": ("risk_per_trade", {"risk_per_trade_pct": 3.0}, INSIDE),
    "leverage": ("all_in", {"leverage": 20}, {}),
    "leverage held": ("strategy_compound_profit_lock", {"leverage": 15}, HELD | {"pause": 3}),
    "leverage at opens": ("fixed_quote", {"leverage": 25}, NEXT_OPEN),
    "leverage inside bars": ("percent", {"leverage": 20, "percent": 40.0}, HELD | INSIDE),
    "leverage by risk": ("risk_per_trade", {"leverage": 30, "risk_per_trade_pct": 2.0}, NEXT_OPEN),
    "carry": ("all_in", COSTS, {}),
    "carry at opens": ("percent", COSTS | {"percent": explicit(50.0, 80.0)}, NEXT_OPEN),
    "carry as stored": ("percent", STORED | {"percent": explicit(50.0, 80.0)}, INSIDE),
    "carry with leverage": ("all_in", COSTS | {"leverage": 25}, HELD | INSIDE),
}
every_way = pytest.mark.parametrize("way", MONEY)


def world_of(way: str, seed: int = 2, direction: str = "long-short") -> World:
    sizing, money, trading = MONEY[way]
    return World(seed, sizing=sizing, direction=direction, money=money, **trading)


@every_way
def test_both_stages_equal_brute_force(way: str) -> None:
    world = world_of(way)
    assert metrics_compared(world) >= 7, "this world decides little: choose another seed"
    if "leverage" in way:
        reasons = {t.reason for of in world.references() for t in of.run.trades}
        assert "liquidation" in reasons
    if "carry" in way:
        assert any(t.carry != 0.0 for of in world.references() for t in of.run.trades)


@every_way
def test_a_stored_variant_reproduces_its_rank(way: str) -> None:
    assert_ranks_are_reproduced(world_of(way))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("way", [way for way in MONEY if "risk" not in way])
def test_risk_off_reproduces_stage_a_bit_for_bit(metric: str, way: str) -> None:
    world = world_of(way, seed=3)
    if isinstance(world.template["execution"].get("percent"), dict):
        world.template["execution"]["percent"] = 30.0
    shortlist, top = stage_b_without_risk(world, metric)
    assert bits(top.scores()[0]) == bits(shortlist.scores()[0])


@every_way
def test_a_variant_is_reported_with_the_number_it_was_ranked_by(way: str) -> None:
    world = world_of(way, seed=5)
    for metric in METRICS:
        sweep = Sweep(world.request(metric), world.candles)
        top = last(sweep.stage_b(last(sweep.stage_a()).indexes()))
        found = reports(sweep, top.indexes().tolist(), top_trades_n=0, result_bytes=0)
        for report, (score,) in zip(found, scores_of(top, 1), strict=True):
            assert report.metrics[metric] == (score if math.isfinite(score) else None)


def divided(way: str, metric: str, **options: int) -> list[object]:
    world = world_of(way)
    run = Sweep(world.request(metric), world.candles, **options)
    first = last(run.stage_a())
    return [ranking(first), ranking(last(run.stage_b(first.indexes(), twins=first.twins())))]


@every_way
@pytest.mark.parametrize("metric", ["total_return_pct", "sharpe"])
def test_the_division_of_the_work_changes_nothing(
    metric: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = divided(way, metric, threads=1)
    monkeypatch.setattr(work, "PIECE_SCANS", 300)
    monkeypatch.setattr(work, "PIECE_VARIANTS", 7)
    monkeypatch.setattr(work, "TILE_BYTES", 1)
    monkeypatch.setattr(budgets, "HITS_BYTES", 1)
    monkeypatch.setattr(budgets, "MIN_ROWS", 3)
    assert divided(way, metric, threads=2, memory_bytes=1) == expected
