"""Twins among variants that hold positions: found by what they do alone, and counted exactly.

In stage A two variants are one outcome when they hold the same and have the same starts, those
inside holdings too: with a stop they are entries. In stage B their trades decide.
"""

from collections.abc import Hashable
from dataclasses import replace
from itertools import pairwise
from math import prod
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import memory as budgets
from engine import planes, work
from engine.kernels.tiles import WORTH_COMPARING
from engine.outcomes import Outcomes
from engine.ranking import TopList
from engine.request import Request
from engine.sweep import Sweep
from tests.engine.adapter import close_to, engine_scores
from tests.engine.boxes import boxes
from tests.engine.cases import DIRECTIONS
from tests.engine.plain_outcomes import groups, positions_of, simulated
from tests.engine.simulated_terms import flat_bars
from tests.engine.simulator import LONG, NEUTRAL, Execution, Prices, RiskLevels, simulate
from tests.engine.small_sweeps import (
    AVERAGE,
    RISK,
    TREND,
    candles,
    coarse_candles,
    request,
    ruinous_candles,
)
from tests.engine.test_causality import prefix
from tests.engine.test_hold_sweep import FILLS
from tests.engine.test_sweep import last
from tests.engine.test_twins import SELDOM, everything, expected_a, expected_b, held, stages
from tests.engine.worlds import with_gaps

# Of most levels of these nothing is ever said: rows of the block are alike.
MANY = SELDOM | {
    "params": {"window": {"mode": "explicit", "values": [5]}},
    "name": "many",
}
FEW = SELDOM | {
    "params": {"window": {"mode": "explicit", "values": [6]}},
    "signals": {
        "long_threshold": {"mode": "explicit", "values": [60, 97]},
        "short_threshold": {"mode": "explicit", "values": [40, 2]},
    },
    "name": "few",
}
RARE = FEW | {
    "signals": {
        "long_threshold": {"mode": "explicit", "values": [70]},
        "short_threshold": {"mode": "explicit", "values": [25, 2]},
    },
    "name": "rare",
}
TWO_AVERAGES = TREND | {"params": {"window": {"mode": "explicit", "values": [10, 25]}}}
BLOCKS: dict[str, tuple[list[Any], list[Any]]] = {
    "no exit block": ([AVERAGE, MANY], []),
    "the largest opens": ([MANY, TWO_AVERAGES], [FEW]),
    "the largest closes": ([AVERAGE, RARE], [MANY]),
    "several of both": ([FEW, TWO_AVERAGES], [MANY, RARE]),
}
MORE_STOPS: dict[str, list[float | None]] = {
    "sl": [2.0, None, 0.5, 1.0],
    "tp": [9.0, 1.5],
    "tsl": [None],
}
every_kind = pytest.mark.parametrize("blocks", BLOCKS)
every_fill = pytest.mark.parametrize("fills", FILLS, ids=" ".join)


def wanted(blocks: str, **changes: Any) -> Request:
    entries, exits = BLOCKS[blocks]
    how = {"position": "hold", "exit_grids": exits, "risk": RISK, **changes}
    return request(*entries, **how)


def filling(fills: tuple[str, str], pause: int = 0) -> dict[str, Any]:
    return {"entry_fill": fills[0], "stop_fill": fills[1], "reentry_after_bars": pause}


@pytest.mark.parametrize("direction", DIRECTIONS)
@every_kind
def test_stage_a_finds_the_variants_that_hold_the_same_and_start_alike(
    blocks: str, direction: str
) -> None:
    run = Sweep(wanted(blocks, direction_mode=direction), candles(200))
    found = held(last(run.stage_a()).top)
    assert dict(found) == expected_a(run)
    assert sum(twins for _, twins in found) == run.grid.base_total > len(found)


# On the last but one of the 55 bars signals of many variants begin: nothing is entered there.
@every_fill
@every_kind
def test_starts_at_the_end_count_where_they_may_be_entered(
    blocks: str, fills: tuple[str, str]
) -> None:
    run = Sweep(wanted(blocks, execution=filling(fills)), with_gaps(candles(55), 1))
    assert dict(held(last(run.stage_a()).top)) == expected_a(run)


# Holdings of one bar each are held where they start: two equal planes.
@pytest.mark.parametrize("bars", [10, 15, 20])
def test_holdings_of_one_bar_are_told_apart_where_they_make_the_same_money(bars: int) -> None:
    rng, still = np.random.default_rng(1), candles(bars)
    count = len(still.close)
    market = replace(
        still,
        open=rng.uniform(99, 101, count),
        high=rng.uniform(102, 103, count),
        low=np.full(count, 98.0),
        close=np.full(count, 100.0),
    )
    opening, closing = (
        AVERAGE
        | {
            "name": source,
            "source": {"mode": "explicit", "values": [source]},
            "params": {"window": {"mode": "explicit", "values": windows}},
        }
        for source, windows in (
            ("open", [2, 3, 4, 5, 7, 9, 11, 13, 17, 20]),
            ("high", [2, 3, 5, 8]),
        )
    )
    run = Sweep(request(opening, position="hold", exit_grids=[closing]), market)
    assert dict(held(last(run.stage_a()).top)) == expected_a(run)


def test_variants_that_hold_the_same_and_start_otherwise_are_two_outcomes() -> None:
    run = Sweep(wanted("the largest closes"), candles(300))
    found = held(last(run.stage_a()).top)
    bases = range(run.grid.base_total)
    traded: dict[int, Hashable] = {base: repr(simulated(run, base).trades) for base in bases}
    assert len(groups((base, 1, traded[base]) for base in bases)) < len(found)


@pytest.mark.parametrize("blocks", ["no exit block", "the largest closes"])
def test_what_a_ruined_account_would_have_held_is_no_part_of_it(blocks: str) -> None:
    market = prefix(ruinous_candles(), 250)
    run = Sweep(wanted(blocks, direction_mode="short-only"), market)
    lives = [simulated(run, base) for base in range(run.grid.base_total)]

    def until_ruin(base: int) -> Hashable:
        found = positions_of(run, base)
        lived, count = lives[base], len(found) // 2
        if not lived.ruined:
            return found
        end = lived.trades[-1].exit_bar
        return found[:end], found[count : count + end]

    identities = [(base, 1, until_ruin(base)) for base in range(run.grid.base_total)]
    assert dict(held(last(run.stage_a()).top)) == groups(identities)
    assert any(lived.ruined for lived in lives)


@pytest.mark.parametrize("pause", [0, 3])
@every_fill
@every_kind
def test_stage_b_finds_the_combinations_with_the_same_trades(
    blocks: str, fills: tuple[str, str], pause: int
) -> None:
    market = with_gaps(candles(150), 1)
    run = Sweep(wanted(blocks, execution=filling(fills, pause), preselect=4, top_k=96), market)
    first, second = stages(run)
    assert dict(held(second)) == expected_b(run, held(first))
    assert int(second.twins().sum()) == int(first.twins().sum()) * run.grid.risk_total


@pytest.mark.parametrize(("risk", "pause"), [(RISK, 0), (MORE_STOPS, 3)], ids=["even", "stops"])
@pytest.mark.parametrize("blocks", ["no exit block", "the largest opens"])
def test_a_combination_that_is_ruined_trades_no_more(
    blocks: str, risk: dict[str, list[float | None]], pause: int
) -> None:
    execution = filling(("close", "close"), pause)
    combinations = prod(map(len, risk.values()))
    asked = wanted(blocks, execution=execution, risk=risk, top_k=10 * combinations)
    run = Sweep(asked, prefix(ruinous_candles(), 200))
    shortlist = np.arange(0, run.grid.base_total, 9)[:10]
    found = last(run.stage_b(shortlist)).top
    assert dict(held(found)) == expected_b(run, [(base, 1) for base in shortlist.tolist()])
    ruined = 0
    for index, score in zip(found.indexes().tolist(), found.scores()[0].tolist(), strict=True):
        base, number = run.grid.split(index)
        lived = simulated(run, base, RiskLevels(*run.grid.risk_at(number)))
        assert close_to(score, lived.total_return_pct)
        ruined += lived.ruined
    assert 0 < ruined < len(found)


def test_equal_money_of_different_trades_is_no_twin() -> None:
    run = Sweep(wanted("the largest closes", top_k=96, preselect=4), coarse_candles(150))
    first, second = stages(run)
    assert dict(held(second)) == expected_b(run, held(first))


@pytest.mark.parametrize("market", [candles, ruinous_candles], ids=["calm", "ruinous"])
@every_kind
def test_like_rows_of_the_streamed_block_are_scored_once_and_counted(
    blocks: str, market: Any
) -> None:
    together, apart = (
        Sweep(wanted(blocks, distinct=distinct), market()) for distinct in (True, False)
    )
    (box,) = together.division.boxes([range(block.total) for block in together.grid.blocks])
    assert (len(box.prefixes) >= WORTH_COMPARING) == (blocks not in ("no exit block",))
    for run in (together, apart):
        batch = last(run.stage_a())
        assert batch.processed == batch.total == run.grid.base_total
    assert together.outcomes is not None
    assert apart.outcomes is not None
    assert together.outcomes.document() == apart.outcomes.document()


def test_a_target_and_a_signal_at_one_price_are_two_outcomes_where_orders_slip() -> None:
    rules = Execution(slippage_pct=1.0, position="hold", stop_fill="intrabar", reentry_after_bars=1)
    target = 100.0 * 1.01 * 1.1
    closes = [100.0, 100.0, target, 100.0]
    opens, highs, lows = [100.0] * 4, [100.0, 100.0, target, 100.0], [100.0] * 4
    times = flat_bars(closes)
    prices = Prices(opens, highs, lows, closes, times.open_ms, times.close_ms)
    signals, exits = [LONG, NEUTRAL, NEUTRAL, NEUTRAL], [(False, bar == 2) for bar in range(4)]
    axes = (None,), (10.0, None), (None,)
    found = engine_scores(signals, closes, rules, axes, prices=prices, exits=exits)
    fills = [
        simulate(signals, closes, rules, RiskLevels(tp=level), prices, exits).trades[0]
        for level in axes[1]
    ]
    assert [trade.exit_bar for trade in fills] == [2, 2]
    assert fills[0].exit_fill == target > fills[1].exit_fill
    assert found.signature[0].tolist() != found.signature[1].tolist()


# --- any division of the work ----------------------------------------------------------------


@pytest.mark.parametrize("metric", ["total_return_pct", "sqn"])
@pytest.mark.parametrize("pause", [0, 3])
@every_kind
def test_threads_memory_and_pieces_change_no_outcome_and_no_count(
    blocks: str, pause: int, metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = wanted(
        blocks,
        primary=metric,
        execution=filling(("close", "close"), pause),
        preselect=12,
        top_k=40,
    )
    usual = Sweep(asked, candles())
    expected = [everything(top) for top in stages(usual)]
    monkeypatch.setattr(work, "PIECE_SCANS", 300)
    monkeypatch.setattr(work, "LEAST_PIECE_SCANS", 8)
    monkeypatch.setattr(work, "PIECE_VARIANTS", 5)
    monkeypatch.setattr(work, "TILE_BYTES", 1)
    monkeypatch.setattr(planes, "PORTION_BARS", 3_000)
    for threads, memory in ((2, 2**28), (1, 1)):
        if memory == 1:
            monkeypatch.setattr(budgets, "MIN_ROWS", 3)
        run = Sweep(asked, candles(), threads=threads, memory_bytes=memory)
        assert [everything(top) for top in stages(run)] == expected
        assert usual.outcomes is not None
        assert run.outcomes is not None
        assert run.outcomes.document() == usual.outcomes.document()


@settings(max_examples=30, deadline=None)
@given(
    blocks=st.sampled_from(sorted(BLOCKS)),
    capacity=st.integers(1, 30),
    cuts=st.lists(st.integers(0, 4), max_size=5),
    random=st.randoms(use_true_random=False),
)
def test_any_parts_merge_to_the_same_outcomes_and_counts(
    blocks: str, capacity: int, cuts: list[int], random: Random
) -> None:
    run = Sweep(wanted(blocks, preselect=capacity), candles(300), memory_bytes=1)
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


@settings(max_examples=20, deadline=None)
@given(
    blocks=st.sampled_from(sorted(BLOCKS)),
    capacity=st.integers(1, 60),
    cuts=st.lists(st.integers(0, 10), max_size=4),
    random=st.randoms(use_true_random=False),
)
def test_any_ranges_of_the_shortlist_merge_to_the_same_outcomes_and_counts(
    blocks: str, capacity: int, cuts: list[int], random: Random
) -> None:
    asked = wanted(
        blocks, execution=filling(("next_open", "intrabar"), 3), preselect=10, top_k=capacity
    )
    run = Sweep(asked, candles(300))
    first = last(run.stage_a()).top
    shortlist, twins = first.indexes(), first.twins()
    whole = last(run.stage_b(shortlist, twins=twins)).top
    count = len(shortlist)
    ranges = [range(a, b) for a, b in pairwise([0, *sorted(min(c, count) for c in cuts), count])]
    random.shuffle(ranges)
    merged = TopList(capacity, "total_return_pct")
    for part in ranges:
        merged.merge(last(run.stage_b(shortlist, part, twins=twins)).top)
    assert everything(merged) == everything(whole)
