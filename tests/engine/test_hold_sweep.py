"""Sweeps that hold positions, by brute force: entry and exit blocks, pauses, stops, all fills.

As `test_execution_sweep`: every variant is enumerated, its indicators, signals and trades are made
again by plain loops on the raw candles, and sorted slowly.
"""

import math
from functools import cache
from itertools import product
from typing import Any

import pytest

from engine import memory as budgets
from engine import planes, work
from engine.grid import Grid
from engine.kernels.inputs import words_for
from engine.memory import Layout
from engine.metric_names import METRICS
from engine.report import reports
from engine.sweep import Sweep
from tests.engine.adapter import bars_of_plane, close_to, signals_from
from tests.engine.cases import DIRECTIONS, SIZINGS
from tests.engine.hold_shapes import SHAPES
from tests.engine.rederive import Signals, rederive
from tests.engine.test_execution_sweep import (
    bits,
    bits_by_index,
    last,
    metrics_compared,
    scores_of,
    stage_b_without_risk,
)
from tests.engine.worlds import World, explicit

FILLS = tuple(product(("close", "next_open"), ("close", "intrabar")))
LEVELS = {
    "sl": explicit(None, 1.5),
    "tp": explicit(3.0, None),
    "tsl": explicit(None, 4.0),
}
# Every shape under every way to fill; direction, sizing and pause change from one to the next.
WAYS = [
    (shape, fills, DIRECTIONS[(s + 2 * f) % 3], SIZINGS[(s + f) % 4], (0, 3)[(s + f // 2) % 2])
    for (s, shape), (f, fills) in product(enumerate(SHAPES), enumerate(FILLS))
]
BARS = (129, 150, 64, 200, 193)  # nearly all hold positions through a border of 64
Way = tuple[str, tuple[str, str], str, str, int]


def name_of(way: Way) -> str:
    shape, fills, direction, sizing, pause = way
    return " ".join((shape, *fills, direction, sizing, str(pause)))


every_way = pytest.mark.parametrize("way", WAYS, ids=name_of)
every_shape = pytest.mark.parametrize("shape", SHAPES)


@cache
def world_of(way: Way, seed: int = 1) -> World:
    return made(way, seed)


def made(way: Way, seed: int, **changes: Any) -> World:
    shape, fills, direction, sizing, pause = way
    world = World(
        seed,
        sizing=sizing,
        direction=direction,
        blocks=SHAPES[shape].entries,
        fills=fills,
        exits=SHAPES[shape].exits,
        pause=pause,
        traded=BARS[WAYS.index(way) % len(BARS)] if way in WAYS else None,
        **changes,
    )
    world.template["risk_grid"] = LEVELS
    return world


@every_shape
def test_a_shape_streams_the_block_it_is_named_for(shape: str) -> None:
    grid = Grid.of(world_of((shape, FILLS[0], DIRECTIONS[0], SIZINGS[0], 0)).request())
    totals = [block.total for block in grid.blocks]
    streamed = Layout.of(totals, [1] * len(totals), words_for(300), 2**28).streamed
    assert (streamed >= grid.entries) == SHAPES[shape].exit_streamed
    assert (grid.entries, len(totals) - grid.entries) == (
        len(SHAPES[shape].entries),
        len(SHAPES[shape].exits),
    )


@every_way
def test_both_stages_equal_brute_force(way: Way) -> None:
    assert metrics_compared(world_of(way)) >= 7, "this world decides little: choose another seed"


@pytest.mark.parametrize(("fills", "pause"), [*zip(FILLS, (0, 3, 3, 0), strict=True)])
def test_both_stages_equal_brute_force_where_prices_leap(
    fills: tuple[str, str], pause: int
) -> None:
    way = "two open, two close", fills, "long-short", "all_in", pause
    world = made(way, 8, leaps=True)
    assert metrics_compared(world) >= 7, "this world decides little: choose another seed"
    ruined = [reference.run.ruined for reference in world.references()]
    assert any(ruined)
    assert not all(ruined)


@every_way
def test_what_opens_and_what_closes_equals_the_rederived(way: Way) -> None:
    world = world_of(way)
    sweep = Sweep(world.request(), world.candles)
    for base, (signals, exits) in enumerate(zip(world.signals, world.exits, strict=True)):
        assert signals_from(*sweep.planes_of(base), len(signals)) == signals, world.bases[base]
        closing = sweep.exit_planes_of(base)
        if exits is None:
            assert closing is None
            continue
        assert closing is not None
        said = [bars_of_plane(plane, len(signals)) for plane in closing]
        assert list(zip(*said, strict=True)) == exits, world.bases[base]


@every_way
def test_a_stored_variant_reproduces_its_rank(way: Way) -> None:
    world = world_of(way)
    sweep = Sweep(world.request(), world.candles)
    top = last(sweep.stage_b(last(sweep.stage_a()).indexes()))
    known = Signals(world.candles)
    for index, (score,) in zip(top.indexes().tolist(), scores_of(top, 1), strict=True):
        rederived = rederive(sweep.grid.variant(index), world.candles, known)
        assert not rederived.doubtful
        assert close_to(score, rederived.total_return_pct)


@every_way
def test_a_swept_variant_is_reported_with_the_number_it_was_ranked_by(way: Way) -> None:
    world = world_of(way)
    for metric in ("total_return_pct", "sortino"):
        sweep = Sweep(world.request(metric), world.candles)
        top = last(sweep.stage_b(last(sweep.stage_a()).indexes()))
        rows = reports(sweep, top.indexes().tolist(), top_trades_n=0, result_bytes=2**40)
        for score, row in zip(top.scores()[0].tolist(), rows, strict=True):
            assert row.metrics[metric] == (score if math.isfinite(score) else None)


@pytest.mark.parametrize("metric", METRICS)
@every_shape
def test_risk_off_reproduces_stage_a_bit_for_bit(shape: str, metric: str) -> None:
    world = world_of((shape, ("next_open", "intrabar"), "long-short", "all_in", 0), 3)
    shortlist, top = stage_b_without_risk(world, metric)
    assert bits(top.scores()[0]) == bits(shortlist.scores()[0])
    assert bits_by_index(top) == bits_by_index(shortlist)


@every_way
def test_neither_threads_nor_memory_nor_pieces_change_a_list(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(way)
    wanted = [world.request(metric) for metric in ("total_return_pct", "sqn")]

    def lists(**how: int) -> list[Any]:
        found = []
        for request in wanted:
            sweep = Sweep(request, world.candles, **how)
            first = last(sweep.stage_a())
            second = last(sweep.stage_b(first.indexes()))
            found += [(bits_by_index(top), top.indexes().tolist()) for top in (first, second)]
        return found

    expected = lists()
    monkeypatch.setattr(work, "PIECE_SCANS", 300)
    monkeypatch.setattr(work, "PIECE_VARIANTS", 5)
    monkeypatch.setattr(work, "TILE_BYTES", 1)
    monkeypatch.setattr(planes, "PORTION_BARS", 3_000)
    assert lists(threads=2) == expected
    monkeypatch.setattr(budgets, "MIN_ROWS", 3)
    sweep = Sweep(wanted[0], world.candles, memory_bytes=1)
    fitting = sum(block.total for block in sweep.grid.blocks)
    assert sweep._store.layout.rows < fitting, "all of it fits: nothing is shown"
    assert lists(threads=2, memory_bytes=1) == expected
