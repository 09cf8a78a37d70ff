"""Neighbours: equal to plain loops over every variant, and scored as stage B scores."""

from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import memory as budgets
from engine.candles import Candles
from engine.grid import Variants
from engine.memory import PLANES_BYTES
from engine.ranking import TopList
from engine.request import Request
from engine.sweep import Sweep
from engine.validation.axes import NONE, base_axes, ordered_axes
from engine.validation.neighbours import STEPS, Summary, listed, neighbours
from engine.validation.scoring import Scores, evaluate
from tests.engine.requests import explicit, ranged
from tests.engine.small_sweeps import (
    RISK,
    STRENGTH,
    TREND,
    TWO,
    candles,
    coarse_candles,
    request,
    ruinous_candles,
)
from tests.engine.test_sweep import last, ranking
from tests.engine.validation.plain_grid import Values, base_values, beside, whole_values

# The values ascend nowhere; 30 is no fast one of any pair, and 4 no slow one.
CROSS: dict[str, Any] = {
    "indicator_id": "ma.cross",
    "params": {
        "ma": explicit("wma", "sma"),
        "fast": explicit(9, 30, 5, 12),
        "slow": explicit(20, 4, 10, 25),
    },
}
SAR: dict[str, Any] = {
    "indicator_id": "trend.psar",
    "params": {
        "accel_start": explicit(0.2, 0.02, 0.1),
        "accel_max": explicit(0.1, 0.2),
        "accel_step": ranged(0.02, 0.04, 0.02),
    },
}
BANDS: dict[str, Any] = {
    "indicator_id": "momentum.rsi",
    "source": explicit("hl2", "close"),
    "params": {"window": explicit(14)},
    "signals": {"long_threshold": explicit(30, 20, 25), "short_threshold": explicit(80, 70)},
}
HOURLY = TREND | {"timeframe": "1h"}
HELD: dict[str, Any] = {"position": "hold", "exit_grids": [HOURLY, STRENGTH]}
PERCENT: dict[str, Any] = {
    "sizing_mode": "percent",
    "execution": {"percent": explicit(50, 10, 100)},
}
GRIDS: dict[str, Request] = {
    "one axis": request(TREND),
    "joint and categorical": request(CROSS, BANDS),
    "two rules": request(SAR),
    "risk": request(BANDS, risk=RISK),
    "percent": request(CROSS, risk=RISK, **PERCENT),
    "exits on larger bars": request(TREND, **HELD, risk={"sl": [2.0, 1.0], "tp": [None]}),
    "nothing ordered": request({"indicator_id": "ma.sma", "params": {"window": explicit(5)}}),
}
every_grid = pytest.mark.parametrize("name", GRIDS)


def assert_as_plain(wanted: Request) -> None:
    """Compare all neighbours of all variants of both stages."""
    stages = ((base_axes, base_values(wanted)), (ordered_axes, whole_values(wanted)))
    for axes_of, variants in stages:
        axes = axes_of(wanted)
        found = neighbours(axes, np.arange(len(variants)))
        for expected, mine in zip(beside(wanted, variants), found, strict=True):
            assert expected == {
                (axis.name, step): int(mine[number, side])
                for number, axis in enumerate(axes)
                for side, step in enumerate(STEPS)
                if mine[number, side] != NONE
            }
        assert_occurring(wanted, variants, axes_of)


def assert_occurring(wanted: Request, variants: list[Values], axes_of: Any) -> None:
    """Compare what each axis says of each variant's value."""
    axes = axes_of(wanted)
    for axis in axes:
        occurring = {values[axis.name] for values in variants} - {None}
        assert list(axis.values) == sorted(occurring)
        places = axis.places(np.arange(len(variants)))
        for values, place in zip(variants, places.tolist(), strict=True):
            assert values[axis.name] == (None if place == NONE else axis.values[place])
    ordered = {axis.name for axis in axes}
    for name in set(variants[0]) - ordered:
        numbers = {values[name] for values in variants if not isinstance(values[name], str)}
        assert len(numbers - {None}) < 2


@every_grid
def test_neighbours_are_those_of_plain_loops(name: str) -> None:
    assert_as_plain(GRIDS[name])


def test_axes_stand_in_the_order_of_the_grid_with_their_values_ascending() -> None:
    axes = ordered_axes(request(CROSS, TREND, risk=RISK, **PERCENT))
    assert [(axis.block, axis.part, axis.parameter, axis.values) for axis in axes] == [
        ("ma.cross", "params", "fast", (5, 9, 12)),
        ("ma.cross", "params", "slow", (10, 20, 25)),
        ("trend", "params", "window", (2, 10, 25)),
        (None, "risk", "sl", (0.5, 2.0)),
        (None, "risk", "tp", (0.25, 1.0, 3.0)),
        (None, "execution", "percent", (10.0, 50.0, 100.0)),
    ]
    assert all(isinstance(value, int) for axis in axes[:3] for value in axis.values)


numbers = st.lists(st.integers(2, 40), min_size=1, max_size=4, unique=True)
levels = st.lists(st.none() | st.integers(1, 50).map(float), min_size=1, max_size=4, unique=True)


@st.composite
def grids(draw: st.DrawFn) -> Request:
    fast, slow = draw(numbers), draw(numbers)
    if not min(fast) < max(slow):
        slow = [*slow, 60]
    cross = CROSS | {
        "params": {"ma": explicit("sma", "ema"), "fast": explicit(*fast), "slow": explicit(*slow)}
    }
    bands = BANDS | {
        "signals": {
            "long_threshold": explicit(*draw(numbers)),
            "short_threshold": explicit(*draw(numbers)),
        }
    }
    blocks = draw(st.sampled_from(((cross,), (bands,), (cross, TREND), (TREND, bands))))
    return request(*blocks, risk={"sl": draw(levels), "tp": draw(levels), "tsl": [None]})


@settings(max_examples=25, deadline=None)
@given(wanted=grids())
def test_neighbours_of_any_grid_are_those_of_plain_loops(wanted: Request) -> None:
    assert_as_plain(wanted)


@settings(max_examples=40, deadline=None)
@given(wanted=grids(), data=st.data())
def test_who_is_beside_is_a_matter_of_both_and_steps_reach_every_value(
    wanted: Request, data: st.DataObject
) -> None:
    axes = ordered_axes(wanted)
    variants = Variants.of(wanted)
    index = data.draw(st.integers(0, variants.base_total * variants.risk_total - 1))
    for number, axis in enumerate(axes):
        at = np.array([index])
        lower, higher = neighbours(axes, at)[0, number]
        for neighbour, back in ((lower, 1), (higher, 0)):
            if neighbour != NONE:
                assert neighbours(axes, np.array([neighbour]))[0, number, back] == index
        if axis.places(at)[0] == NONE:
            assert (lower, higher) == (NONE, NONE)
            continue
        seen = [int(axis.places(at)[0])]
        for step in STEPS.values():
            walker = axis.beside(at, step)
            while walker[0] != NONE:
                seen.append(int(axis.places(walker)[0]))
                walker = axis.beside(walker, step)
        values = whole_values(wanted)[index]
        fast, slow = values.get("ma.cross fast", 0), values.get("ma.cross slow", 99)
        assert sorted(seen) == [
            place
            for place, value in enumerate(axis.values)
            if (axis.parameter != "fast" or value < slow)
            and (axis.parameter != "slow" or value > fast)
        ]


def test_a_page_lists_neighbours_with_axis_step_and_value() -> None:
    axes = ordered_axes(GRIDS["risk"])
    index = 0  # long 30, short 80; sl 2, tp off, tsl off
    names = [entry["axis"] for entry in listed(axes, neighbours(axes, np.array([index]))[0])]
    assert names == ["momentum.rsi long_threshold", "momentum.rsi short_threshold", "sl"]
    first, *_, last_one = listed(axes, neighbours(axes, np.array([index]))[0])
    assert first == {
        "axis": "momentum.rsi long_threshold",
        "step": "lower",
        "value": 25.0,
        "variant_index": 2 * 2 * 24,
    }
    assert last_one == {"axis": "sl", "step": "lower", "value": 0.5, "variant_index": 16}


WAYS: dict[str, tuple[Request, Candles]] = {
    "by return": (request(*TWO, risk=RISK), coarse_candles()),
    "by sqn": (request(*TWO, risk=RISK, primary="sqn"), candles(300)),
    "few trades": (request(*TWO, risk=RISK, min_trades=20), candles(300)),
    "ruined": (request(*TWO, risk=RISK), ruinous_candles()),
    "percent": (request(TREND, risk=RISK, **PERCENT), candles(300)),
    "risk per trade": (
        request(TREND, risk={"sl": [4.0, 1.5], "tp": [3.0, None]}, sizing_mode="risk_per_trade"),
        candles(300),
    ),
    "held": (
        request(TREND, **HELD, risk={"sl": [2.0, None], "tp": [None, 1.0]}),
        candles(300),
    ),
    "inside bars": (
        request(
            *TWO,
            risk=RISK,
            execution={"entry_fill": "next_open", "stop_fill": "intrabar", "reentry_after_bars": 3},
        ),
        candles(300),
    ),
}


ROOMS = [(way, PLANES_BYTES) for way in WAYS] + [("by return", 1), ("held", 1)]


@pytest.mark.parametrize(("way", "memory_bytes"), ROOMS)
def test_variants_that_are_evaluated_rank_as_stage_b_ranks_them(
    way: str, memory_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if memory_bytes == 1:  # a few block variants at a time
        monkeypatch.setattr(budgets, "MIN_ROWS", 5)
    wanted, bars = WAYS[way]
    wanted = replace(wanted, top_k=wanted.preselect * wanted.risk.total)
    sweep = Sweep(wanted, bars)
    everything = np.arange(sweep.grid.base_total * sweep.grid.risk_total)
    top = last(sweep.stage_b(np.arange(sweep.grid.base_total))).top
    mixed = np.random.default_rng(1).permutation(everything)
    scores = evaluate(Sweep(wanted, bars), mixed, threads=2, memory_bytes=memory_bytes)
    again = TopList(top.capacity, top.primary, None, top.min_trades)
    again.offer(
        mixed,
        ruined=scores.ruined,
        trades=scores.trades,
        primary=scores.primary,
        secondary=np.full(len(mixed), np.nan),
        total_return=scores.total_return,
        signature=scores.signature,
        weights=np.ones(len(mixed), np.int64),
    )
    indexes, _, primary, _ = ranking(top)
    assert len(top) > 5
    assert ranking(again) == (indexes, top.twins().tobytes(), primary, ranking(top)[3])
    if way == "ruined":
        assert 0 < scores.ruined.sum() < len(mixed)


def test_variants_may_be_asked_for_in_any_order_and_twice_and_not_at_all() -> None:
    wanted, bars = WAYS["by return"]
    sweep = Sweep(wanted, bars)
    some = np.array([500, 3, 500, 77, 4000])
    whole = evaluate(sweep, some)
    for row, index in enumerate(some):
        alone = evaluate(sweep, np.array([index]))
        for column, other in zip(whole, alone, strict=True):
            assert column[row : row + 1].tobytes() == other.tobytes()
    assert len(evaluate(sweep, some[:0]).trades) == 0


def scores_of(
    ruined: list[bool], primary: list[float], returns: list[float], marks: list[int]
) -> Scores:
    signature = np.array([[7, mark] for mark in marks], np.uint64).reshape(-1, 2)
    trades = np.full(len(ruined), 5)
    columns = np.array(primary, np.float64), np.array(returns, np.float64)
    return Scores(np.array(ruined, np.bool_), trades, *columns, signature)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(("metric", "worst"), [("sqn", 1.0), ("max_drawdown_pct", 4.0)])
def test_a_summary_has_median_and_worst_by_the_direction_of_the_metric(
    metric: str, worst: float
) -> None:
    own = scores_of([False] * 3, [9.0] * 3, [9.0] * 3, [0, 1, 2])
    others = scores_of(
        [False, True, False, False, False, False],
        [4.0, 99.0, 1.0, NAN, 2.0, INF],
        [-5.0, -100.0, 30.0, 0.0, NAN, 8.0],
        [0, 5, 0, 1, 0, 2],
    )
    of = np.array([0, 0, 0, 0, 0, 2])
    assert Summary.of(metric, own, of, others).document() == [
        {
            "number": 5,
            "ruined": 1,
            "twins": 3,
            "median_return": -2.5,
            "worst_return": -100.0,
            "defined": 3,
            "median_primary": 2.0,
            "worst_primary": worst,
        },
        {
            "number": 0,
            "ruined": 0,
            "twins": 0,
            "median_return": None,
            "worst_return": None,
            "defined": 0,
            "median_primary": None,
            "worst_primary": None,
        },
        {
            "number": 1,
            "ruined": 0,
            "twins": 1,
            "median_return": 8.0,
            "worst_return": 8.0,
            "defined": 1,
            "median_primary": None,
            "worst_primary": None,
            "infinite": ["median_primary", "worst_primary"],
        },
    ]


figure = st.floats(-1e6, 1e6) | st.just(NAN)


@settings(max_examples=60, deadline=None)
@given(
    drawn=st.lists(
        st.tuples(st.integers(0, 3), st.booleans(), figure, figure, st.integers(0, 1)), max_size=30
    ),
    metric=st.sampled_from(("profit_factor", "max_drawdown_pct")),
)
def test_a_summary_is_what_plain_python_finds(drawn: list[Any], metric: str) -> None:
    own = scores_of([False] * 4, [0.0] * 4, [0.0] * 4, [0] * 4)
    of, *columns = (list(column) for column in zip(*drawn, strict=True)) if drawn else [[]] * 5
    ruined, primary, returns, marks = columns
    found = Summary.of(metric, own, np.array(of, np.int64), scores_of(*columns)).document()
    worst = max if metric == "max_drawdown_pct" else min
    for row, document in enumerate(found):
        mine = [at for at, owner in enumerate(of) if owner == row]
        made = [returns[at] for at in mine if returns[at] == returns[at]]
        ranked = [primary[at] for at in mine if primary[at] == primary[at] and not ruined[at]]
        assert document == {
            "number": len(mine),
            "ruined": sum(ruined[at] for at in mine),
            "twins": sum(marks[at] == 0 for at in mine),
            "median_return": pytest.approx(median(made)) if made else None,
            "worst_return": min(made) if made else None,
            "defined": len(ranked),
            "median_primary": pytest.approx(median(ranked)) if ranked else None,
            "worst_primary": worst(ranked) if ranked else None,
        }


def test_neighbours_of_the_best_go_from_a_sweep_to_a_document() -> None:
    wanted, bars = WAYS["by return"]
    sweep = Sweep(wanted, bars)
    rows = last(sweep.stage_b(np.arange(sweep.grid.base_total))).top.indexes()[:20]
    axes = ordered_axes(wanted)
    found = neighbours(axes, rows)
    there = found != NONE
    of: NDArray[np.int64] = np.nonzero(there)[0]
    own, others = evaluate(sweep, rows), evaluate(sweep, found[there])
    documents = Summary.of("total_return_pct", own, of, others).document()
    plain = beside(wanted, whole_values(wanted))
    returns = evaluate(sweep, np.arange(sweep.grid.base_total * sweep.grid.risk_total)).total_return
    for row, document in zip(rows.tolist(), documents, strict=True):
        expected = [float(returns[other]) for other in plain[row].values()]
        assert document["number"] == len(expected) > 3
        assert document["worst_return"] == min(expected) == document["worst_primary"]
        assert document["median_return"] == pytest.approx(median(expected))
