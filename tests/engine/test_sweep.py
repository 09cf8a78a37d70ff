"""The staged sweep: its scores are the report's figures, whatever the division of the work."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import memory as budgets
from engine import planes, sweep, work
from engine.kernels import simulate
from engine.metrics import METRICS, equity_curve, variant_metrics
from engine.ranking import TopList
from engine.request import Request
from engine.sweep import Batch, Sweep
from engine.work import Part
from tests.engine.boxes import boxes
from tests.engine.cases import SIZINGS
from tests.engine.small_sweeps import (
    AVERAGE,
    ONE,
    RISK,
    STRENGTH,
    THREE,
    TREND,
    TWO,
    candles,
    request,
    ruinous_candles,
)

Levels = tuple[float | None, float | None, float | None]
OFF: Levels = (None, None, None)


def last(batches: Iterator[Batch]) -> Batch:
    batch = None
    for batch in batches:  # noqa: B007 – the last one is wanted
        pass
    assert batch is not None
    return batch


def ranking(top: TopList) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the list as bytes: equal means equal to the last bit."""
    primary, secondary = top.scores()
    return top.indexes().tobytes(), top.twins().tobytes(), primary.tobytes(), secondary.tobytes()


def figures(run: Sweep, base_index: int, levels: Levels = OFF) -> dict[str, float | None]:
    """Return what the report says of one variant."""
    trades = simulate(*run.planes_of(base_index), run.closes, run.rules, *levels)
    equity = equity_curve(trades, run.closes, run.rules)
    return variant_metrics(trades, equity, run.open_times, run.rules)


def stored(score: float) -> float | None:
    """Return a score as the metrics of a variant have it: undefined is None."""
    return None if np.isnan(score) else float(score)


@pytest.fixture(scope="module")
def shortlist() -> NDArray[np.int64]:
    return last(Sweep(request(*TWO), candles()).stage_a()).top.indexes()[:25]


@pytest.mark.parametrize("sizing", SIZINGS)
@pytest.mark.parametrize("metric", METRICS)
def test_a_stage_a_score_is_the_figure_of_the_report(metric: str, sizing: str) -> None:
    run = Sweep(request(*TWO, primary=metric, sizing_mode=sizing, distinct=False), candles())
    top = last(run.stage_a()).top
    assert len(top) == run.grid.base_total == 168
    for index, score in zip(top.indexes().tolist()[::7], top.scores()[0][::7], strict=True):
        assert stored(score) == figures(run, index)[metric]


@pytest.mark.parametrize("sizing", SIZINGS)
@pytest.mark.parametrize("metric", METRICS)
def test_a_stage_b_score_is_the_figure_of_the_report(
    metric: str, sizing: str, shortlist: NDArray[np.int64]
) -> None:
    wanted = request(*TWO, primary=metric, sizing_mode=sizing, risk=RISK, top_k=600, distinct=False)
    run = Sweep(wanted, candles())
    top = last(run.stage_b(shortlist)).top
    assert len(top) == 25 * 24
    for index, score in zip(top.indexes().tolist()[::11], top.scores()[0][::11], strict=True):
        base, risk = run.grid.split(index)
        assert stored(score) == figures(run, base, run.grid.risk_at(risk))[metric]


@pytest.mark.parametrize("sizing", SIZINGS)
@pytest.mark.parametrize("secondary", [None, "win_rate_pct"])
def test_a_ruined_account_is_scored_as_it_is_reported(sizing: str, secondary: str | None) -> None:
    wanted = request(
        *TWO,
        secondary=secondary,
        sizing_mode=sizing,
        risk=RISK,
        direction_mode="short-only",
        execution={"fixed_quote": 6_000.0},
        min_trades=20,
        top_k=600,
        distinct=False,
    )
    run = Sweep(wanted, ruinous_candles())
    top = last(run.stage_b(np.arange(0, 168, 7))).top
    ruined = 0
    for index, score in zip(top.indexes().tolist(), top.scores()[0].tolist(), strict=True):
        base, risk = run.grid.split(index)
        found = figures(run, base, run.grid.risk_at(risk))
        assert stored(score) == found["total_return_pct"]
        ruined += score <= -100.0
    assert 50 < ruined < 550


def test_the_secondary_metric_is_the_figure_of_the_report() -> None:
    run = Sweep(request(*TWO, primary="num_trades", secondary="sortino"), candles())
    top = last(run.stage_a()).top
    for index, score in zip(top.indexes().tolist(), top.scores()[1], strict=True):
        assert stored(score) == figures(run, index)["sortino"]


@pytest.mark.parametrize("metric", ["total_return_pct", "calmar", "profit_factor"])
def test_stage_b_without_levels_repeats_stage_a_bit_for_bit(metric: str) -> None:
    wanted = request(*THREE, primary=metric, preselect=504, top_k=504, distinct=False)
    run = Sweep(wanted, candles())
    first = last(run.stage_a()).top
    assert len(first) == 504
    second = last(run.stage_b(first.indexes())).top
    assert [s.tobytes() for s in second.scores()] == [s.tobytes() for s in first.scores()]
    # Where all figures are equal the signatures decide, which are of planes there, of trades here.
    assert scores_by_index(second) == scores_by_index(first)


def scores_by_index(top: TopList) -> dict[int, bytes]:
    return {
        index: score.tobytes()
        for index, score in zip(top.indexes().tolist(), top.scores()[0], strict=True)
    }


def test_every_variant_is_counted_and_progress_never_falls(shortlist: NDArray[np.int64]) -> None:
    run = Sweep(request(*TWO, risk=RISK), candles())
    for batches, total in ((run.stage_a(), 168), (run.stage_b(shortlist), 25 * 24)):
        processed = [batch.processed for batch in batches]
        assert all(a <= b for a, b in pairwise(processed))
        assert processed[-1] == total


def test_work_is_cut_into_many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "PIECE_SCANS", 60)
    monkeypatch.setattr(sweep, "PIECES_PER_BATCH", 1)
    run = Sweep(request(*TWO, risk=RISK), candles())
    batches = list(run.stage_a())
    assert len(batches) > 30
    assert len(list(run.stage_b(batches[-1].top.indexes()[:5]))) > 10


def keys_of_the_specification(run: Sweep, stage: str, indexes: list[int]) -> list[tuple[Any, ...]]:
    """Return the keys as they are written down, up to the signature, from the report's figures."""
    wanted = run.request.ranking

    def key(index: int) -> tuple[Any, ...]:
        base, risk = run.grid.split(index) if stage == "stage_b" else (index, None)
        found = figures(run, base, OFF if risk is None else run.grid.risk_at(risk))
        trades, primary = found["num_trades"], found[wanted.primary_metric]
        secondary = found[wanted.secondary_metric] if wanted.secondary_metric else None
        assert trades is not None
        assert found["total_return_pct"] is not None
        return (
            trades < wanted.min_trades,
            primary is None,
            -(primary or 0.0),
            secondary is None,
            secondary or 0.0,  # max_drawdown_pct ascends
            -found["total_return_pct"],
            -trades,
        )

    return [key(index) for index in indexes]


@pytest.mark.parametrize("distinct", [False, True])
def test_the_ranking_is_the_total_order(distinct: bool) -> None:
    wanted = request(
        *TWO,
        primary="num_trades",
        secondary="max_drawdown_pct",
        min_trades=60,
        risk=RISK,
        top_k=80,
        distinct=distinct,
    )
    run = Sweep(wanted, candles())
    first = last(run.stage_a()).top.indexes().tolist()
    keys = keys_of_the_specification(run, "stage_a", first)
    assert keys == sorted(keys)
    if not distinct:
        assert sorted(first) == list(range(168))
    second = last(run.stage_b(np.array(first[-4:]))).top.indexes().tolist()
    keys = keys_of_the_specification(run, "stage_b", second)
    everything = [base * 24 + risk for base in first[-4:] for risk in range(24)]
    all_keys = sorted(keys_of_the_specification(run, "stage_b", everything))
    # Twins have equal keys; so may others, and those are in the list as often as there is room.
    assert keys == all_keys[:80] if not distinct else set(keys) <= set(all_keys)
    assert keys == sorted(keys)


def divided(wanted: Request, threads: int, memory_bytes: int) -> tuple[Any, Any]:
    run = Sweep(wanted, candles(), threads=threads, memory_bytes=memory_bytes)
    first = last(run.stage_a()).top
    return ranking(first), ranking(last(run.stage_b(first.indexes(), twins=first.twins())).top)


@pytest.mark.parametrize("blocks", [ONE, TWO, THREE], ids=["one", "two", "three"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("pieces", ["tiny", "usual"])
@pytest.mark.parametrize("memory", ["least", "plenty"])
def test_the_division_of_the_work_changes_nothing(
    blocks: tuple[dict[str, Any], ...],
    threads: int,
    pieces: str,
    memory: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = request(*blocks, primary="sqn", risk=RISK, preselect=60, top_k=40)
    expected = divided(wanted, 1, 2**28)
    if pieces == "tiny":
        monkeypatch.setattr(work, "PIECE_SCANS", 300)
        monkeypatch.setattr(work, "PIECE_VARIANTS", 7)
        monkeypatch.setattr(work, "TILE_BYTES", 1)
        monkeypatch.setattr(planes, "PORTION_BARS", 3_000)
    if memory == "least":
        monkeypatch.setattr(budgets, "MIN_ROWS", 3)
    assert divided(wanted, threads, 1 if memory == "least" else 2**28) == expected


@pytest.mark.parametrize("sizing", ["all_in", "strategy_compound_profit_lock"])
@pytest.mark.parametrize("metric", ["total_return_pct", "sqn"])
@pytest.mark.parametrize("variants", [1, 3, 10])
@pytest.mark.parametrize("hits_bytes", [1, 2**14])
def test_any_tiling_of_the_risk_grid_finds_the_same(
    variants: int, hits_bytes: int, metric: str, sizing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = request(*TWO, primary=metric, sizing_mode=sizing, risk=RISK, preselect=30, top_k=720)
    expected = divided(wanted, 1, 2**28)
    monkeypatch.setattr(work, "PIECE_VARIANTS", variants)
    monkeypatch.setattr(budgets, "HITS_BYTES", hits_bytes)
    assert divided(wanted, 1, 2**28) == expected


CUTS = st.lists(st.integers(0, 44), max_size=3)


@settings(max_examples=40, deadline=None)
@given(streamed=CUTS, second=CUTS, order=st.randoms(use_true_random=False))
def test_any_parts_merge_to_the_whole(streamed: list[int], second: list[int], order: Any) -> None:
    wanted = request(*THREE, preselect=33)
    whole = last(Sweep(wanted, candles()).stage_a()).top
    run = Sweep(wanted, candles(), memory_bytes=1)
    parts = boxes(run, streamed, second)
    order.shuffle(parts)
    merged = TopList(33, "total_return_pct")
    for part in parts:
        batch = last(run.stage_a(part))
        assert batch.processed == batch.total == run.division.variants(part)
        merged.merge(batch.top)
    assert ranking(merged) == ranking(whole)


SLOWER = TREND | {"params": {"window": {"mode": "explicit", "values": [10, 25]}}, "name": "n"}
LARGEST_LAST = (AVERAGE, SLOWER, STRENGTH | {"name": "z"})  # 4 * 2 * 42 variants
LARGEST_FIRST = (STRENGTH | {"name": "a"}, AVERAGE, SLOWER)


@pytest.mark.parametrize("blocks", [LARGEST_LAST, LARGEST_FIRST], ids=["last", "first"])
def test_a_part_scores_its_own_variants_alone(blocks: tuple[dict[str, Any], ...]) -> None:
    run = Sweep(request(*blocks, distinct=False), candles())
    scored: list[int] = []
    for part in boxes(run, [1, 17], [3]):
        batch = last(run.stage_a(part))
        assert run.outcomes is not None
        assert run.outcomes.document()["tried"] == batch.total == len(batch.top)
        for index in batch.top.indexes().tolist():
            numbers = run.grid.block_variants(index)
            layout = run.division.layout
            assert numbers[layout.streamed] in part.streamed
            assert numbers[layout.second] in part.second
            scored.append(index)
    assert sorted(scored) == list(range(336))


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 40), max_size=4))
def test_any_ranges_of_the_shortlist_merge_to_the_whole(cuts: list[int]) -> None:
    run = Sweep(request(*TWO, risk=RISK, preselect=40, top_k=30), candles())
    shortlist = last(run.stage_a()).top.indexes()
    merged = TopList(30, "total_return_pct")
    for start, stop in pairwise([0, *sorted(cuts), 40]):
        merged.merge(last(run.stage_b(shortlist, range(start, stop))).top)
    assert ranking(merged) == ranking(last(run.stage_b(shortlist)).top)


@pytest.mark.parametrize("blocks", [ONE, THREE], ids=["one block", "three"])
def test_a_part_without_variants_of_the_second_block_is_empty(
    blocks: tuple[dict[str, Any], ...],
) -> None:
    run = Sweep(request(*blocks), candles())
    batch = last(run.stage_a(run.division.whole._replace(second=range(0))))
    assert (batch.processed, batch.total, len(batch.top)) == (0, 0, 0)


@pytest.mark.parametrize("streamed", [range(2, 5), range(-1, 2), range(0, 4, 2)])
def test_a_part_outside_the_grid_is_refused(streamed: range) -> None:
    run = Sweep(request(*ONE), candles())
    with pytest.raises(ValueError, match="not a part of"):
        next(run.stage_a(Part(streamed, run.division.whole.second)))


def test_a_closed_stage_leaves_a_usable_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "PIECE_SCANS", 60)
    monkeypatch.setattr(sweep, "PIECES_PER_BATCH", 1)
    run = Sweep(request(*TWO), candles(), threads=2)
    batches = run.stage_a()
    for _ in range(5):
        next(batches)
    batches.close()  # type: ignore[attr-defined]
    whole = last(Sweep(request(*TWO), candles()).stage_a()).top
    assert ranking(last(run.stage_a()).top) == ranking(whole)


@pytest.mark.parametrize("traded", [1, 2, 63, 64, 65, 128])
def test_ranges_around_a_word_are_swept(traded: int) -> None:
    run = Sweep(request(*ONE, risk=RISK, top_k=20), candles(traded))
    first = last(run.stage_a()).top
    second = last(run.stage_b(first.indexes())).top
    for index, score in zip(second.indexes().tolist(), second.scores()[0], strict=True):
        base, risk = run.grid.split(index)
        assert score == figures(run, base, run.grid.risk_at(risk))["total_return_pct"]


def test_only_a_few_arrays_of_the_shortlists_length_are_kept() -> None:
    run = Sweep(request(*THREE, preselect=10, top_k=5), candles())
    first = last(run.stage_a()).top
    assert len(first) == 10
    assert len(last(run.stage_b(first.indexes())).top) == 5
