"""How stages are cut into shards: nothing is lost, nothing is computed twice, lengths are alike."""

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.shards import shards_of_draws, shards_of_range, shards_of_stage_a
from engine.sweep import Sweep
from engine.work import Division, Part
from tests.engine.small_sweeps import AVERAGE, ONE, STRENGTH, THREE, TREND, candles, request

MANY = {"params": {"window": {"mode": "range", "start": 2, "stop_incl": 301, "step": 1}}}
GRIDS: dict[str, tuple[dict[str, Any], ...]] = {
    "one block": ONE,
    "a large block": (AVERAGE | MANY, TREND),
    "two large blocks": (AVERAGE | MANY, STRENGTH, TREND),
    "small blocks": THREE,
}


@cache
def division(grid: str) -> Division:
    return Sweep(request(*GRIDS[grid]), candles()).division


def cells(part: Part) -> set[tuple[int, int]]:
    return {(row, other) for row in part.streamed for other in part.second}


every_grid = pytest.mark.parametrize("grid", sorted(GRIDS))


@settings(max_examples=150, deadline=None)
@given(
    grid=st.sampled_from(sorted(GRIDS)),
    seconds=st.floats(0.001, 1e6),
    shard_seconds=st.floats(0.05, 600),
    workers=st.integers(1, 1000),
)
def test_every_variant_is_in_one_shard(
    grid: str, seconds: float, shard_seconds: float, workers: int
) -> None:
    whole = cells(division(grid).whole)
    parts = shards_of_stage_a(division(grid), seconds, shard_seconds, workers)
    found = [cell for part in parts for cell in cells(part)]
    assert len(found) == len(whole)
    assert set(found) == whole
    assert all(map(cells, parts))


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(0, 5_000),
    seconds=st.floats(0.001, 1e6),
    shard_seconds=st.floats(0.05, 600),
    workers=st.integers(1, 1000),
)
def test_every_position_of_a_shortlist_is_in_one_shard_and_in_order(
    count: int, seconds: float, shard_seconds: float, workers: int
) -> None:
    parts = shards_of_range(count, seconds, shard_seconds, workers)
    assert [position for part in parts for position in part] == list(range(count))


@every_grid
def test_a_stage_that_takes_no_longer_than_a_shard_is_one(grid: str) -> None:
    assert shards_of_stage_a(division(grid), 7.4, 5.0, 64) == [division(grid).whole]
    assert shards_of_range(1000, 7.4, 5.0, 64) == [range(1000)]


@every_grid
def test_shards_are_as_long_as_they_should_be_where_there_are_variants_enough(grid: str) -> None:
    """As many variants take as long, wherever they are: the last two are quarters."""
    variants = division(grid).variants
    whole = division(grid).whole
    wanted = max(1, min(6, len(whole.streamed) * len(whole.second) // 8))
    parts = shards_of_stage_a(division(grid), 5.0 * wanted, 5.0, 1)
    fair = variants(whole) / wanted
    assert all(variants(part) <= 2 * fair for part in parts)
    if wanted > 1:
        assert variants(parts[-1]) <= 0.5 * max(map(variants, parts))


def test_rows_of_the_streamed_block_stay_together_while_the_second_block_can_be_cut() -> None:
    parts = shards_of_stage_a(division("two large blocks"), 100.0, 5.0, 1)
    assert len(parts) >= 20
    assert all(len(part.streamed) >= 64 for part in parts[:-4])


def test_a_block_that_is_alone_is_cut_down_to_single_variants() -> None:
    streamed = len(division("one block").whole.streamed)
    parts = shards_of_stage_a(division("one block"), 1e6, 5.0, 2)
    assert [len(part.streamed) for part in parts] == [1] * streamed


@pytest.mark.parametrize("workers", [1, 2, 10])
def test_each_worker_finds_two_short_shards_at_the_end(workers: int) -> None:
    lengths = [len(part) for part in shards_of_range(4_000, 500.0, 5.0, workers)]
    assert lengths[0] == 40
    short = [length for length in lengths if length == 10]
    assert 2 * workers <= len(short) < 2 * workers + 4
    assert lengths[-len(short) :] == short


@settings(max_examples=30, deadline=None)
@given(
    grid=st.sampled_from(sorted(GRIDS)),
    draws=st.integers(1, 40),
    shards=st.integers(1, 300),
    workers=st.integers(1, 100),
)
def test_every_variant_of_every_draw_is_in_one_shard(
    grid: str, draws: int, shards: int, workers: int
) -> None:
    whole = cells(division(grid).whole)
    parts = shards_of_draws(division(grid), draws, 5.0 * shards, 5.0, workers)
    found = [(draw, cells(part.part)) for part in parts for draw in part.draws]
    for draw in range(draws):
        mine = [cell for at, found_cells in found if at == draw for cell in found_cells]
        assert len(mine) == len(whole)
        assert set(mine) == whole


def test_a_draw_is_cut_only_if_it_takes_longer_than_a_shard() -> None:
    one = division("two large blocks")
    uncut = shards_of_draws(one, 8, 8 * 7.0, 5.0, 2)
    assert [part.draws for part in uncut[:-4]] == [range(at, at + 1) for at in range(7)]
    assert {part.part for part in uncut[:-4]} == {one.whole}
    assert {part.draws for part in uncut[-4:]} == {range(7, 8)}  # the short ones in the end
    cut = shards_of_draws(one, 8, 8 * 15.0, 5.0, 2)
    assert {part.draws for part in cut} == {range(at, at + 1) for at in range(8)}
    assert len(cut) == 8 * 3 + 3
    several = shards_of_draws(one, 40, 40 * 1.0, 5.0, 2)
    assert [len(part.draws) for part in several] == [5] * 7 + [1, 1, 1, 2]
