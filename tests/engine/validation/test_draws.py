"""Draws in parts that travel as JSON and bytes: together they are what `null` finds alone."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.candles import Candles
from engine.metric_names import METRICS
from engine.ranking import Best
from engine.rate import Cost, Rate
from engine.sweep import Sweep
from engine.validation import Unknown
from engine.validation.drawn import Drawn
from engine.validation.draws import Drawing, Draws
from engine.validation.null import Null, compared, null
from tests.engine.small_sweeps import RISK, THREE, candles, request

COUNT = 4
FOUND = Best("total_return_pct", 0, 3.0)
LEVELS = {"no levels": 504, "levels": 504 + 40 * 24}
"""Variants of a draw."""


def leaping() -> Candles:
    """Three steps by e^±250: of one direction, which is every fourth draw, no double holds them."""
    calm = candles()
    steps = np.zeros(len(calm.close))
    steps[[100, 300, 500]] = 250.0, -250.0, 250.0
    jumps = np.exp(np.cumsum(steps) - 125.0)
    prices = (jumps * column for column in (calm.open, calm.high, calm.low, calm.close))
    return replace(calm, **dict(zip(("open", "high", "low", "close"), prices, strict=True)))


@cache
def sweep(kind: str, *, leaps: bool = False) -> Sweep:
    asked = request(*THREE, risk=RISK, preselect=40, top_k=30, secondary="sharpe")
    if kind == "no levels":
        asked = request(*THREE, secondary="sharpe")
    return Sweep(asked, leaping() if leaps else candles())


@cache
def alone(kind: str, leaps: bool, seed: int) -> Null | Unknown:
    searched = sweep(kind, leaps=leaps)
    return null(searched, FOUND, draws=COUNT, seed=seed, report=lambda _: None)


def draws(kind: str, *, leaps: bool = False, seed: int = 1) -> Draws:
    return Draws(sweep(kind, leaps=leaps), COUNT, seed)


def last(work: Draws, part: dict[str, Any] | None) -> Drawing:
    *_, step = work.run(part)
    return step


def travelled(work: Draws, part: dict[str, Any]) -> Drawn:
    there = json.loads(json.dumps(part))
    return work.read(work.found(last(work, there)).to_bytes())


@settings(max_examples=8, deadline=None)
@given(
    kind=st.sampled_from(sorted(LEVELS)),
    leaps=st.booleans(),
    seed=st.integers(1, 3),
    shard_seconds=st.floats(0.8, 12.0),
    workers=st.integers(1, 4),
    order=st.randoms(use_true_random=False),
)
@example("no levels", False, 1, 1.0, 2, np.random.RandomState(1))
@example("levels", False, 1, 1.0, 2, np.random.RandomState(1))
def test_parts_in_any_order_are_what_null_finds_alone(
    kind: str, leaps: bool, seed: int, shard_seconds: float, workers: int, order: Any
) -> None:
    work = draws(kind, leaps=leaps, seed=seed)
    parts = [part for part, _ in work.pieces(10.0, shard_seconds, workers)]
    order.shuffle(parts)
    whole, *others = [travelled(work, part) for part in parts]
    for other in others:
        whole.merge(other)
    assert compared(FOUND, work, whole) == alone(kind, leaps, seed)


@pytest.mark.parametrize("kind", sorted(LEVELS))
def test_some_draws_leave_what_numbers_hold_and_some_do_not(kind: str) -> None:
    known = {type(alone(kind, True, seed)) for seed in (1, 2, 3)}
    assert known == {Null, Unknown}
    found = alone(kind, False, 1)
    assert isinstance(found, Null)
    assert len({best.value for best in found.draws}) == COUNT


@pytest.mark.parametrize("kind", sorted(LEVELS))
@pytest.mark.parametrize("shard_seconds", [1.0, 5.0])
def test_units_are_variants_and_add_up_to_all_draws(kind: str, shard_seconds: float) -> None:
    work = draws(kind)
    pieces = work.pieces(10.0, shard_seconds, 1)
    assert sum(units for _, units in pieces) == COUNT * LEVELS[kind]
    for part, units in (pieces[0], pieces[-1]):
        steps = list(work.run(part))
        done = [step.processed for step in steps]
        assert {step.total for step in steps} == {units}
        assert done == sorted(done)
        assert done[-1] == units


def test_a_draw_that_takes_longer_than_a_shard_is_cut_where_no_levels_are_chosen() -> None:
    whole = {"draws": [0, 1]}
    assert draws("no levels").pieces(10.0, 2.5, 1)[0].part == whole
    cut = draws("no levels").pieces(10.0, 1.0, 1)
    assert cut[0].part.keys() == {"draws", "streamed", "second"}
    assert len(cut) >= 2 * COUNT
    assert [part for part, _ in draws("levels").pieces(10.0, 1.0, 1)] == [
        {"draws": [draw, draw + 1]} for draw in range(COUNT)
    ]


SIDES = {"streamed": [0, 1], "second": [0, 1]}


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("no levels", {}),
        ("no levels", {"draws": [0, 5]}),
        ("no levels", {"draws": [2, 2]}),
        ("no levels", {"draws": [0, 1], "streamed": [0, 1]}),
        ("no levels", {"draws": [0, 1], "streamed": [0, 1], "second": [0, 99]}),
        ("no levels", {"positions": [0, 1]}),
        ("levels", {"draws": [0, 1]} | SIDES),  # its stage B needs all of the shortlist
        ("levels", {"draws": [-1, 1]}),
    ],
    ids=str,
)
def test_what_is_no_part_of_draws_is_refused(kind: str, part: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="part"):
        draws(kind).run(part)


def test_nothing_is_told_of_draws_that_were_not_searched_once_and_whole() -> None:
    work = draws("no levels")
    first, *others = [travelled(work, part) for part, _ in work.pieces(10.0, 1.0, 1)]
    missing, twice = Drawn(first.metric), Drawn(first.metric)
    for part in others:
        missing.merge(part)
    for part in (first, first, *others):
        twice.merge(part)
    for found in (missing, twice):
        with pytest.raises(ValueError, match="504 variants each"):
            compared(FOUND, work, found)
    missing.merge(first)
    assert isinstance(compared(FOUND, work, missing), Null)


def test_draws_ranked_otherwise_do_not_merge() -> None:
    found = Drawn("sharpe")
    found.take(0, Best("sharpe", 0, 1.5), 7)
    before = found.to_bytes()
    with pytest.raises(ValueError, match="sharpe"):
        found.merge(Drawn("sqn", tradable=False))
    assert found.to_bytes() == before


@given(
    tier=st.integers(0, 7),
    value=st.floats(allow_nan=False),
    variants=st.integers(1, 10**12),
    tradable=st.booleans(),
)
def test_bytes_hold_all_that_was_found(
    tier: int, value: float, variants: int, tradable: bool
) -> None:
    found = Drawn("sqn", tradable)
    found.take(3, Best("sqn", tier, value), variants)
    assert Drawn.from_bytes(found.to_bytes()) == found


@pytest.mark.parametrize("place", [0, 10, -1])
def test_bytes_that_were_damaged_are_refused(place: int) -> None:
    found = Drawn("sqn")
    found.take(3, Best("sqn", 0, 1.25), 9)
    data = bytearray(found.to_bytes())
    data[place] ^= 1
    for damaged in (bytes(data), b"", found.to_bytes()[:-1]):
        with pytest.raises(ValueError, match="no result of draws"):
            Drawn.from_bytes(damaged)


def test_draws_take_as_long_as_so_many_searches() -> None:
    def costs(nanoseconds: float) -> dict[str, Cost]:
        return dict.fromkeys(METRICS, Cost(nanoseconds, 0.0))

    known = Rate(costs(3e6), costs(5e6), costs(7e6), row=0.0, signal=0.0)
    assert draws("no levels").seconds(known) == pytest.approx(COUNT * 504 * 3e-3)
    both = 504 * 3e-3 + 40 * (5e-3 + 24 * 7e-3)
    assert draws("levels").seconds(known) == pytest.approx(COUNT * both)
