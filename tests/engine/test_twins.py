"""Twins of a real sweep: equal outcomes are found, by identity alone, and counted exactly."""

from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import memory as budgets
from engine import planes, ranking, work
from engine.candles import Candles
from engine.kernels.tiles import WORTH_COMPARING
from engine.outcomes import Outcomes
from engine.ranking import TopList
from engine.sweep import Sweep
from tests.engine.boxes import boxes
from tests.engine.plain_outcomes import groups, positions_of, trades_of
from tests.engine.simulator import RiskLevels
from tests.engine.small_sweeps import (
    AVERAGE,
    RISK,
    THREE,
    TREND,
    TWO,
    candles,
    coarse_candles,
    request,
    ruinous_candles,
)
from tests.engine.test_sweep import last

# Levels of 1 to 6 variants are never reached: rows of this block are alike.
SELDOM = {
    "indicator_id": "momentum.rsi",
    "params": {"window": {"mode": "explicit", "values": [5, 14]}},
    "signals": {
        "long_threshold": {"mode": "explicit", "values": [55, 90, 97, 98, 99]},
        "short_threshold": {"mode": "explicit", "values": [45, 10, 3, 2, 1]},
    },
}
LIKE_ROWS = (AVERAGE, SELDOM, TREND)
Held = list[tuple[int, int]]


def held(top: TopList) -> Held:
    return list(zip(top.indexes().tolist(), top.twins().tolist(), strict=True))


def everything(top: TopList) -> tuple[Held, bytes, bytes]:
    primary, secondary = top.scores()
    return held(top), primary.tobytes(), secondary.tobytes()


def stages(run: Sweep) -> tuple[TopList, TopList]:
    first = last(run.stage_a()).top
    return first, last(run.stage_b(first.indexes(), twins=first.twins())).top


def expected_a(run: Sweep) -> dict[int, int]:
    return groups((base, 1, positions_of(run, base)) for base in range(run.grid.base_total))


def expected_b(run: Sweep, shortlist: Held) -> dict[int, int]:
    return groups(
        (base * run.grid.risk_total + risk, twins, trades_of(run, base, RiskLevels(*levels)))
        for base, twins in shortlist
        for risk, levels in ((r, run.grid.risk_at(r)) for r in range(run.grid.risk_total))
    )


@pytest.mark.parametrize("direction", ["long-short", "long-only", "short-only"])
@pytest.mark.parametrize("blocks", [TWO, THREE, LIKE_ROWS], ids=["two", "three", "like rows"])
def test_stage_a_finds_the_variants_that_hold_the_same(
    blocks: tuple[dict[str, Any], ...], direction: str
) -> None:
    run = Sweep(request(*blocks, direction_mode=direction), candles(300))
    found = held(last(run.stage_a()).top)
    assert dict(found) == expected_a(run)
    assert sum(twins for _, twins in found) == run.grid.base_total


@pytest.mark.parametrize("trend", [0.5, 1.0, 3.0], ids=["falling", "level", "rising"])
def test_like_rows_of_the_streamed_block_are_scored_once_and_counted(trend: float) -> None:
    level = candles(300)
    market = replace(level, close=level.close * np.linspace(1.0, trend, len(level.close)))
    run = Sweep(request(*LIKE_ROWS, distinct=False), market)
    (box,) = run.division.boxes([range(block.total) for block in run.grid.blocks])
    assert len(box.prefixes) >= WORTH_COMPARING
    assert len(expected_a(run)) < run.grid.base_total / 2
    last(run.stage_a())
    apart = run.outcomes
    together = Sweep(request(*LIKE_ROWS), market)
    batch = last(together.stage_a())
    assert batch.processed == batch.total == run.grid.base_total
    assert apart is not None
    assert together.outcomes is not None
    assert together.outcomes.document() == apart.document()


def test_equal_money_of_different_trades_is_no_twin() -> None:
    run = Sweep(request(*THREE), coarse_candles())
    top = last(run.stage_a()).top
    expected = expected_a(run)
    assert dict(held(top)) == expected
    assert len(set(top.scores()[0].tolist())) < len(expected)


@pytest.mark.parametrize("metric", ["total_return_pct", "sqn"])
@pytest.mark.parametrize("sizing", ["all_in", "strategy_compound_profit_lock", "fixed_quote"])
@pytest.mark.parametrize("market", [candles, coarse_candles], ids=["fine", "coarse"])
def test_stage_b_finds_the_combinations_with_the_same_trades(
    metric: str, sizing: str, market: Any
) -> None:
    wanted = request(
        *LIKE_ROWS, primary=metric, sizing_mode=sizing, risk=RISK, preselect=15, top_k=360
    )
    run = Sweep(wanted, market(300))
    first, second = stages(run)
    assert dict(held(second)) == expected_b(run, held(first))
    assert int(second.twins().sum()) == int(first.twins().sum()) * run.grid.risk_total


def test_stage_b_counts_each_base_once_where_its_twins_are_not_given() -> None:
    run = Sweep(request(*LIKE_ROWS, risk=RISK, preselect=5, top_k=120), candles(300))
    shortlist = last(run.stage_a()).top.indexes()
    second = last(run.stage_b(shortlist)).top
    assert dict(held(second)) == expected_b(run, [(base, 1) for base in shortlist.tolist()])


def test_as_many_twins_as_variants_of_the_shortlist_are_asked() -> None:
    run = Sweep(request(*TWO, risk=RISK), candles(300))
    with pytest.raises(ValueError, match="1 counts of twins for a shortlist of 2"):
        next(run.stage_b(np.array([0, 1]), twins=np.array([1])))


def test_every_variant_stands_for_itself_where_that_is_asked() -> None:
    wanted = request(*LIKE_ROWS, risk=RISK, distinct=False, preselect=30, top_k=720)
    first, second = stages(Sweep(wanted, candles(300)))
    assert (len(first), len(second)) == (30, 720)
    assert set(first.twins().tolist()) == set(second.twins().tolist()) == {1}


@pytest.mark.parametrize("places", [1, 7, 40])
def test_a_shorter_list_is_the_beginning_of_a_longer_one(places: int) -> None:
    long, short = (
        last(Sweep(request(*LIKE_ROWS, preselect=k), coarse_candles()).stage_a()).top
        for k in (1000, places)
    )
    assert held(short) == held(long)[:places]


# --- any division of the work ----------------------------------------------------------------


def sweep_of(market: str, **changes: Any) -> Sweep:
    wanted: dict[str, Candles] = {
        "fine": candles(300),
        "coarse": coarse_candles(),
        "ruinous": ruinous_candles(),
    }
    options = {"threads": changes.pop("threads", 1), "memory_bytes": changes.pop("memory", 2**28)}
    return Sweep(request(*LIKE_ROWS, risk=RISK, **changes), wanted[market], **options)


@pytest.mark.parametrize("market", ["fine", "coarse", "ruinous"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("pieces", [1, 50, 3_000])
def test_pieces_tiles_and_threads_change_no_outcome_and_no_count(
    market: str, threads: int, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"preselect": 12, "top_k": 9, "direction_mode": "long-short"}
    usual = sweep_of(market, **limits)
    expected = [everything(top) for top in stages(usual)]
    monkeypatch.setattr(work, "PIECE_SCANS", 8 * pieces)
    monkeypatch.setattr(work, "LEAST_PIECE_SCANS", 8)
    monkeypatch.setattr(work, "PIECE_VARIANTS", max(2, pieces // 40))
    monkeypatch.setattr(work, "TILE_BYTES", 1)
    monkeypatch.setattr(planes, "PORTION_BARS", 3_000)
    monkeypatch.setattr(budgets, "MIN_ROWS", 3)
    monkeypatch.setattr(ranking, "MIN_ROOM", 1)
    run = sweep_of(market, threads=threads, memory=1 if pieces == 50 else 2**28, **limits)
    assert [everything(top) for top in stages(run)] == expected
    assert usual.outcomes is not None
    assert run.outcomes is not None
    assert run.outcomes.document() == usual.outcomes.document()


@settings(max_examples=60, deadline=None)
@given(
    market=st.sampled_from(("fine", "coarse", "ruinous")),
    capacity=st.integers(1, 30),
    cuts=st.lists(st.integers(0, 50), max_size=3),
    random=st.randoms(use_true_random=False),
)
def test_any_parts_merge_to_the_same_outcomes_and_counts(
    market: str, capacity: int, cuts: list[int], random: Random
) -> None:
    run = sweep_of(market, preselect=capacity)
    whole = last(run.stage_a()).top
    assert run.outcomes is not None
    counted = run.outcomes.document()
    parts = boxes(run, cuts, cuts)
    random.shuffle(parts)
    merged, outcomes = TopList(capacity, "total_return_pct"), None
    for part in parts:
        merged.merge(last(run.stage_a(part)).top)
        if outcomes is None:
            outcomes = run.outcomes
        else:
            outcomes.merge(run.outcomes)
    assert everything(merged) == everything(whole)
    assert isinstance(outcomes, Outcomes)
    assert outcomes.document() == counted


@settings(max_examples=60, deadline=None)
@given(
    market=st.sampled_from(("fine", "coarse", "ruinous")),
    capacity=st.integers(1, 60),
    cuts=st.lists(st.integers(0, 25), max_size=4),
    random=st.randoms(use_true_random=False),
)
def test_any_ranges_of_the_shortlist_merge_to_the_same_outcomes_and_counts(
    market: str, capacity: int, cuts: list[int], random: Random
) -> None:
    run = sweep_of(market, preselect=25, top_k=capacity)
    first = last(run.stage_a()).top
    shortlist, twins = first.indexes(), first.twins()
    whole = last(run.stage_b(shortlist, twins=twins)).top
    ranges = [range(a, b) for a, b in pairwise([0, *sorted(cuts), 25])]
    random.shuffle(ranges)
    merged = TopList(capacity, "total_return_pct")
    for part in ranges:
        merged.merge(last(run.stage_b(shortlist, part, twins=twins)).top)
    assert everything(merged) == everything(whole)
