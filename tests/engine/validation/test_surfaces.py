"""Surfaces: every cell equal to a list of its variants, made by plain loops."""

import json
from collections import defaultdict
from itertools import combinations, product
from math import gcd
from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.request import Request
from engine.validation.surfaces import MOST_BINS, coprime_stride, surfaces
from tests.engine.requests import ranged
from tests.engine.small_sweeps import STRENGTH, TREND, request
from tests.engine.validation.plain_grid import Values, asked, base_values
from tests.engine.validation.test_neighbours import BANDS, CROSS, HELD, SAR

Float32 = NDArray[np.float32]
GRIDS: dict[str, tuple[Any, ...]] = {
    "one axis": (TREND,),
    "joint and categorical": (CROSS, BANDS),
    "two rules": (SAR,),
    "three blocks": (CROSS, TREND, STRENGTH),
}
DOWN, UP = "sqn", "max_drawdown_pct"


def drawn(count: int, seed: int) -> Float32:
    """Return scores of few different values, so that many are equal; some are not eligible."""
    random = np.random.default_rng(seed)
    choices = np.array([-2.5, -1.0, 0.0, -0.0, 0.1, 1.0, 3.0, np.inf, np.nan], np.float32)
    return random.choice(choices, count)


def documents(wanted: Request, *args: Any, **others: Any) -> list[dict[str, Any]]:
    """Return all surfaces as they come back from JSON."""
    made = [surface.document() for surface in surfaces(wanted, *args, **others)]
    back: list[dict[str, Any]] = json.loads(json.dumps(made, allow_nan=False))
    return back


def cell_of(
    members: list[int], scores: Float32, returns: Float32, metric: str, stride: int
) -> dict[str, Any]:
    """Return what a document says of a cell with these variants."""
    names = ("variants", "eligible", "profitable_pct", "best", "median", "best_index")
    cell: dict[str, Any] = dict.fromkeys(names)
    if not members:
        return cell
    eligible = [at for at in members if not np.isnan(scores[at])]
    cell |= {"variants": len(members), "eligible": len(eligible)}
    if eligible:
        figures = [float(scores[at]) for at in eligible]
        best = (min if metric == UP else max)(figures)
        cell |= {
            "profitable_pct": 100.0 * sum(returns[at] > 0 for at in eligible) / len(eligible),
            "best": best,
            "median": median(figures),
            "best_index": stride * eligible[figures.index(best)],
        }
    return cell


def assert_as_plain(wanted: Request, scores: Float32, returns: Float32, stride: int = 1) -> None:
    variants = base_values(wanted)[::stride]
    metric = wanted.ranking.primary_metric
    found = documents(wanted, scores, returns=returns, stride=stride)
    axes = axes_of(wanted, base_values(wanted))
    pairs: list[tuple[str, ...]] = list(combinations(axes, 2))
    pairs = [(axis,) for axis in axes] if len(axes) == 1 else pairs
    assert [names_of(document) for document in found] == pairs
    for names, document in zip(pairs, found, strict=True):
        members = defaultdict(list)
        for at, values in enumerate(variants):
            members[tuple(values[name] for name in names)].append(at)
        sides = [document[side]["values"] for side in ("x", "y")[: len(names)]]
        assert sides == [axes[name] for name in names]
        keys = product(*sides)
        cells = [cell_of(members[key], scores, returns, metric, stride) for key in keys]
        assert (document["metric"], document["stride"]) == (metric, stride)
        for name in cells[0]:
            column = [cell[name] for cell in cells]
            infinite = [at for at, value in enumerate(column) if value in (np.inf, -np.inf)]
            assert document.get("infinite", {}).get(name, []) == infinite
            for at in infinite:
                column[at] = None
            assert document[name] == column


def names_of(document: dict[str, Any]) -> tuple[str, ...]:
    return tuple(document[side]["axis"] for side in ("x", "y") if side in document)


def axes_of(wanted: Request, variants: list[Values]) -> dict[str, list[float]]:
    """Return the parameters of which several numbers occur, in the order of the grid."""
    numbers = asked(wanted)
    occurring = {
        name: sorted({values[name] for values in variants})
        for name in variants[0]
        if name in numbers
    }
    return {name: values for name, values in occurring.items() if len(values) > 1}


@pytest.mark.parametrize("metric", [DOWN, UP])
@pytest.mark.parametrize("name", GRIDS)
def test_every_cell_is_what_its_variants_are(name: str, metric: str) -> None:
    wanted = request(*GRIDS[name], primary=metric)
    count = len(base_values(wanted))
    assert_as_plain(wanted, drawn(count, 1), drawn(count, 2))


@settings(max_examples=15, deadline=None)
@given(
    stride=st.integers(1, 20),
    seed=st.integers(0, 99),
    metric=st.sampled_from((DOWN, UP)),
    held=st.booleans(),
)
def test_only_variants_of_the_stride_are_counted(
    stride: int, seed: int, metric: str, held: bool
) -> None:
    wanted = request(CROSS if held else TREND, primary=metric, **(HELD if held else {}))
    count = len(range(0, len(base_values(wanted)), stride))
    assert_as_plain(wanted, drawn(count, seed), drawn(count, seed + 1), stride)


def test_scores_by_return_tell_the_profit() -> None:
    wanted = request(TREND, STRENGTH)
    scores = drawn(len(base_values(wanted)), 3)
    assert documents(wanted, scores) == documents(wanted, scores, returns=scores)


def test_pairs_that_no_variant_has_are_absent_and_exits_and_larger_bars_have_axes() -> None:
    wanted = request(CROSS, **HELD)
    count = len(base_values(wanted))
    found = {names_of(each): each for each in documents(wanted, np.ones(count, np.float32))}
    assert ("ma.cross fast", "exit trend 1h window") in found
    pairs = found["ma.cross fast", "ma.cross slow"]
    valid = [fast < slow for fast in (5, 9, 12) for slow in (10, 20, 25)]
    for column in ("variants", "eligible", "best", "median", "profitable_pct", "best_index"):
        assert [value is not None for value in pairs[column]] == valid
    assert not all(valid)


def test_nothing_is_made_of_a_sweep_without_an_ordered_axis() -> None:
    wanted = request({"indicator_id": "ma.sma", "params": {"window": [5]}})
    assert documents(wanted, np.zeros(1, np.float32)) == []


@pytest.mark.parametrize("values", [MOST_BINS, MOST_BINS + 1, 333, 1000])
def test_a_long_axis_is_cut_into_runs_of_neighbouring_values(values: int) -> None:
    long = {"indicator_id": "ma.sma", "params": {"window": ranged(2, 2 * values, 2)}}
    wanted = request(long, STRENGTH | {"params": {"window": [9, 3]}, "name": "a"})
    count = len(base_values(wanted))
    scores = np.random.default_rng(4).normal(size=count).astype(np.float32)
    found = next(
        each for each in documents(wanted, scores) if names_of(each)[-1] == "ma.sma window"
    )
    assert names_of(found)[0] == "a window"
    side = found["y"]
    first, last = side["values"], side.get("last", side["values"])
    assert ("binned" in side) == ("last" in side) == (values > MOST_BINS)
    assert side.get("binned", values) == values
    runs = [list(range(low, high + 1, 2)) for low, high in zip(first, last, strict=True)]
    assert len(runs) == MOST_BINS
    assert [window for run in runs for window in run] == list(range(2, 2 * values + 1, 2))
    assert {len(run) for run in runs} <= {values // MOST_BINS, -(-values // MOST_BINS)}
    variants = base_values(wanted)
    for at in range(0, 2 * MOST_BINS, 37):
        window, run = (3, 9)[at // MOST_BINS], runs[at % MOST_BINS]
        members = [
            number
            for number, each in enumerate(variants)
            if each["a window"] == window and each["ma.sma window"] in run
        ]
        cell = cell_of(members, scores, scores, "total_return_pct", 1)
        assert {name: found[name][at] for name in cell} == cell


@given(total=st.integers(1, 10**12), most=st.integers(1, 10**6))
def test_a_stride_shares_no_divisor_with_the_variants(total: int, most: int) -> None:
    stride = coprime_stride(total, most)
    assert gcd(stride, total) == 1
    assert -(-total // stride) <= most
    least = -(-total // most)
    assert all(gcd(other, total) > 1 for other in range(least, stride))


def test_what_does_not_fit_the_sweep_is_refused() -> None:
    wanted = request(TREND, primary=DOWN)
    scores = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="sqn tell no profit"):
        surfaces(wanted, scores)
    with pytest.raises(
        ValueError, match="2 returns, but 3 base variants with a stride of 1 have 3"
    ):
        surfaces(wanted, scores, returns=scores[:2])
    with pytest.raises(ValueError, match="3 scores, but 3 base variants with a stride of 2 have 2"):
        surfaces(wanted, scores, returns=scores, stride=2)
