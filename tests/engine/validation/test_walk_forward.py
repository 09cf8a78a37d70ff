"""Walk-forward against plain loops, and that no choice knows the future."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.request.model import WalkForwardMode
from engine.validation import GROWTH_LIMIT, GROWTH_UNIT, Unknown
from engine.validation.walk_forward import WalkForward, walk_forward

MODES: tuple[WalkForwardMode, ...] = ("anchored", "rolling")
every_mode = pytest.mark.parametrize("mode", MODES)


def walked(growths: Any, entries: Any, **wanted: Any) -> WalkForward:
    arrays = np.array(growths, np.int32), np.array(entries, np.int32)
    found = walk_forward(*arrays, **{"folds": 4, "mode": "anchored", "min_trades": 1, **wanted})
    assert isinstance(found, WalkForward)
    return found


def plain_folds(
    growths: list[list[int]], entries: list[list[int]], folds: int, mode: str, least: int
) -> list[tuple[int, int | None, int]]:
    """Eligible variants, the winner and its growth in the test, fold by fold."""
    blocks, found = len(growths[0]), []
    for fold in range(folds):
        test = blocks - folds + fold
        training = range(test) if mode == "anchored" else range(test - (blocks - folds), test)
        best, eligible = None, 0
        for row, entered in enumerate(entries):
            if sum(entered[b] for b in training) < least:
                continue
            eligible += 1
            grown = sum(growths[row][b] for b in training)
            if best is None or grown > sum(growths[best][b] for b in training):
                best = row
        found.append((eligible, best, 0 if best is None else growths[best][test]))
    return found


@st.composite
def searches(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]], int, WalkForwardMode, int]:
    blocks = draw(st.sampled_from([8, 10, 16]))
    variants = draw(st.integers(1, 6))
    largest = draw(st.sampled_from([1, 3, GROWTH_LIMIT]))

    def rows(low: int, high: int) -> list[list[int]]:
        row = st.lists(st.integers(low, high), min_size=blocks, max_size=blocks)
        return draw(st.lists(row, min_size=variants, max_size=variants))

    return (
        rows(-largest, largest),
        rows(0, 3),
        draw(st.integers(1, blocks - 1)),
        draw(st.sampled_from(MODES)),
        draw(st.integers(0, 20)),
    )


@settings(max_examples=100, deadline=None)
@given(searches())
def test_every_fold_is_as_plain_loops_say(search: Any) -> None:
    growths, entries, folds, mode, least = search
    found = walked(growths, entries, folds=folds, mode=mode, min_trades=least)
    expected = plain_folds(*search)
    assert [(f.eligible, f.row, f.test_growth) for f in found.folds] == expected
    assert found.growth == sum(growth for _, _, growth in expected)
    for fold in found.folds:
        blocks = range(fold.first, fold.test)
        assert len(blocks) == (fold.test if mode == "anchored" else len(growths[0]) - folds)
        if fold.row is None:
            assert (fold.train_growth, fold.train_entries, fold.test_entries) == (None, None, 0)
        else:
            assert fold.train_growth == sum(growths[fold.row][b] for b in blocks)
            assert fold.train_entries == sum(entries[fold.row][b] for b in blocks)
            assert fold.test_entries == entries[fold.row][fold.test]
    totals = [sum(row[-folds:]) for row in growths]
    assert found.hindsight_row == totals.index(max(totals))
    assert sum(found.hindsight_growths) == max(totals)
    assert json.loads(json.dumps(found.document(), allow_nan=False))["folds"]


@settings(max_examples=60, deadline=None)
@given(searches(), st.data())
def test_later_blocks_change_no_earlier_choice(search: Any, data: st.DataObject) -> None:
    """Neither their growth nor how many trades they have."""
    growths, entries, folds, mode, least = search
    blocks = len(growths[0])
    since = data.draw(st.integers(blocks - folds, blocks - 1))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    later = np.array(growths), np.array(entries)
    later[0][:, since:] = random.integers(-9, 9, later[0][:, since:].shape)
    later[1][:, since:] = random.integers(0, 40, later[1][:, since:].shape)
    rules = {"folds": folds, "mode": mode, "min_trades": least}
    before, after = walked(growths, entries, **rules), walked(*later, **rules)
    for one, other in zip(before.folds, after.folds, strict=True):
        if one.test <= since:
            chosen = one.row, one.eligible, one.train_growth, one.train_entries
            assert chosen == (other.row, other.eligible, other.train_growth, other.train_entries)


@every_mode
def test_many_variants_are_as_plain_loops_say(mode: WalkForwardMode) -> None:
    random = np.random.default_rng(7)
    growths = random.integers(-50, 50, (2000, 16)).tolist()
    entries = random.integers(0, 4, (2000, 16)).tolist()
    found = walked(growths, entries, folds=12, mode=mode, min_trades=8)
    expected = plain_folds(growths, entries, 12, mode, 8)
    assert [(f.eligible, f.row, f.test_growth) for f in found.folds] == expected


def percent(factor: float) -> float:
    return (factor - 1) * 100


def test_curves_go_on_from_test_to_test() -> None:
    """The first variant doubles until block 4 and then halves; the second one grows by a unit."""
    double = round(math.log(2) * GROWTH_UNIT)
    growths = [[double] * 5 + [-double] * 3, [1] * 8]
    benchmark = np.full(8, math.log(1.5) * GROWTH_UNIT)
    document = walked(
        growths, np.ones((2, 8)), mode="rolling", folds=6, benchmark=benchmark
    ).document()
    folds = document["folds"]
    assert [fold["train_blocks"] for fold in folds] == [[n, n + 1] for n in range(6)]
    assert [fold["test_block"] for fold in folds] == [2, 3, 4, 5, 6, 7]
    assert [fold["row"] for fold in folds] == [0, 0, 0, 0, 1, 1]
    curve = [percent(factor) for factor in (2, 4, 8, 4, 4, 4)]
    assert document["curve_pct"] == pytest.approx(curve, rel=1e-4)
    assert document["return_pct"] == document["curve_pct"][-1]
    assert document["hindsight"]["row"] == 1  # the first one ends where it began
    assert document["hindsight"]["return_pct"] == pytest.approx(100 * 6 / GROWTH_UNIT, rel=1e-4)
    assert document["benchmark"]["curve_pct"] == pytest.approx(
        [percent(1.5**n) for n in range(1, 7)]
    )


@every_mode
def test_a_fold_without_an_eligible_variant_stays_in_cash(mode: WalkForwardMode) -> None:
    entries = np.zeros((3, 8))
    entries[1, 5] = 9
    found = walked(np.full((3, 8), 100), entries, folds=4, mode=mode, min_trades=9)
    assert [fold.row for fold in found.folds] == [None, None, 1, 1]
    assert found.document()["folds"][0] == {
        "train_blocks": [0, 3],
        "test_block": 4,
        "eligible": 0,
        "row": None,
        "train_return_pct": None,
        "train_entries": None,
        "test_return_pct": 0.0,
        "test_entries": 0,
    }
    assert found.growth == 200


def test_one_fold_cannot_beat_hindsight() -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        found = walked(random.integers(-9, 9, (30, 8)), random.integers(0, 2, (30, 8)), folds=1)
        assert found.growth <= sum(found.hindsight_growths)


def test_a_return_that_is_no_finite_number_is_none() -> None:
    document = walked(np.full((1, 16), GROWTH_LIMIT), np.ones((1, 16)), folds=15).document()
    assert document["return_pct"] is None
    assert document["curve_pct"][0] == pytest.approx(100 * math.exp(60))


def test_without_variants_there_is_no_choice() -> None:
    none = np.zeros((0, 8), np.int32)
    found = walk_forward(none, none, folds=2, mode="anchored", min_trades=0)
    assert found == Unknown("There is no variant to choose.")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"folds": 0}, "folds is 0; must be 1 to 7"),
        ({"folds": 8}, "folds is 8; must be 1 to 7"),
        ({"mode": "random"}, "mode is 'random'; must be 'anchored' or 'rolling'"),
        ({"benchmark": np.zeros(7)}, "benchmark has to be 8 finite growths"),
        ({"benchmark": np.full(8, np.nan)}, "benchmark has to be 8 finite growths"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        walked(np.zeros((2, 8)), np.zeros((2, 8)), **wrong)


def test_entries_have_the_shape_of_the_growths() -> None:
    with pytest.raises(ValueError, match=r"entries are int32\[2, 9\]; must be int32\[2, 8\]"):
        walked(np.zeros((2, 8)), np.zeros((2, 9)))
