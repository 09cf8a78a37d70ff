"""A distribution that is ready to be drawn, against the true values."""

import json
import struct
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.outcomes import KEY_SHIFT, distribution
from engine.sweep import Sweep
from tests.engine.plain_outcomes import simulated
from tests.engine.properties_sweeps import last
from tests.engine.small_sweeps import TWO, candles, request

Values = NDArray[np.float64]
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def stored(values: Values, undefined: int = 0, infinite: int = 0) -> dict[str, Any]:
    """Count values by the top bits of a key that has the order of the numbers."""
    keys = []
    for value in values.tolist():
        (bits,) = struct.unpack("<Q", struct.pack("<d", value + 0.0))
        keys.append(bits ^ (2**64 - 1 if bits >> 63 else 2**63))
    bins = Counter(key >> KEY_SHIFT for key in keys)
    return {
        "bins": [list(p) for p in sorted(bins.items())],
        "undefined": undefined,
        "infinite": infinite,
    }


def assert_right(found: dict[str, Any], values: Values, bins: int = 120) -> None:
    edges, counts = np.array(found["edges"]), found["counts"]
    assert len(edges) == len(counts) + 1 <= bins + 1
    assert (np.diff(edges) > 0).all()
    assert sum(counts) == len(values)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for number, edge in enumerate(edges[1:-1].tolist(), start=1):
        near = abs(edge) / 64
        left = sum(counts[:number])
        assert (values < edge - near).sum() <= left <= (values < edge + near).sum()
        if edge == 0.0:
            assert left == (values < 0).sum()
    for tail, outside in (
        (found["below"], lambda off: values < edges[0] - off),
        (found["above"], lambda off: values >= edges[-1] + off),
    ):
        off = max(abs(edges[0]), abs(edges[-1])) / 64
        assert outside(off).sum() <= tail <= outside(-off).sum()
        assert tail <= 0.005 * len(values)


RANDOM = np.random.default_rng(3)
SHAPES: dict[str, Values] = {
    "around zero": RANDOM.normal(0, 30, 5000),
    "all gains": RANDOM.lognormal(2, 1, 5000),
    "all losses": -RANDOM.lognormal(2, 1, 5000),
    "close together": RANDOM.uniform(100, 103, 5000),
    "two humps": np.concatenate([RANDOM.normal(-60, 3, 3000), RANDOM.normal(400, 50, 3000)]),
    "long tail": RANDOM.standard_cauchy(5000) * 10,
    "mostly nothing": np.concatenate([np.zeros(4000), RANDOM.normal(5, 20, 1000)]),
    "whole numbers": RANDOM.integers(0, 400, 5000).astype(float),
    "tiny": RANDOM.normal(0, 1e-9, 500),
    "huge": RANDOM.normal(0, 1, 500) * 1e306,
}


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES.keys())
def test_a_drawing_counts_what_numpy_counts_as_far_as_bins_can_tell(values: Values) -> None:
    assert_right(distribution(stored(values)), values)


@pytest.mark.parametrize("name", ["around zero", "two humps", "all gains"])
def test_edges_lie_at_equal_distances_over_the_middle_99_percent(name: str) -> None:
    values = SHAPES[name]
    found = distribution(stored(values))
    widths = np.diff(found["edges"])
    assert widths == pytest.approx(widths[0])
    assert 60 <= len(widths) <= 120
    low, high = np.quantile(values, [0.005, 0.995])
    assert found["edges"][0] == pytest.approx(low, abs=2 * widths[0])
    assert found["edges"][-1] == pytest.approx(high, abs=2 * widths[0])


def test_zero_is_an_edge_where_it_is_in_range() -> None:
    assert 0.0 in distribution(stored(SHAPES["around zero"]))["edges"]


def test_no_bin_is_narrower_than_what_is_stored() -> None:
    found = distribution(stored(SHAPES["close together"]))
    assert min(found["counts"]) > 0  # no comb of full and empty bins
    assert len(found["counts"]) <= 5


def test_outliers_are_counted_in_the_outer_bins_and_apart() -> None:
    values = np.array([-1e6] * 3 + [*np.linspace(0.0, 100.0, 1000)] + [1e9] * 2)
    found = distribution(stored(values))
    assert 3 <= found["below"] <= 5
    assert 2 <= found["above"] <= 5
    assert found["edges"][0] >= -2
    assert found["edges"][-1] <= 105
    assert sum(found["counts"]) == len(values)


def test_undefined_and_infinite_values_are_told_and_not_distribution() -> None:
    found = distribution(stored(np.array([1.0, 2.0]), undefined=3, infinite=4))
    assert (sum(found["counts"]), found["undefined"], found["infinite"]) == (2, 3, 4)
    assert distribution(stored(np.array([]), undefined=3)) == {
        "edges": [],
        "counts": [],
        "below": 0,
        "above": 0,
        "undefined": 3,
        "infinite": 0,
    }


def test_one_value_alone_has_a_bin_around_it() -> None:
    for value in (0.0, -0.1, 12.5, -1.7e308, 1.7e308):
        found = distribution(stored(np.array([value])))
        assert sum(found["counts"]) == 1
        assert found["edges"][0] <= value <= found["edges"][-1]


@settings(max_examples=300, deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=40), st.integers(2, 150))
@example([-1.7e308, 1.7e308], 2)
def test_any_values_are_drawn(values: list[float], bins: int) -> None:
    found = distribution(stored(np.array(values)), bins=bins)
    assert 1 <= len(found["counts"]) <= bins
    assert sum(found["counts"]) == len(values)
    assert sorted(set(found["edges"])) == found["edges"]
    json.dumps(found, allow_nan=False)


def test_a_drawing_has_two_bins_at_least() -> None:
    with pytest.raises(ValueError, match="bins is 1"):
        distribution(stored(np.array([1.0])), bins=1)


@pytest.mark.parametrize("metric", ["total_return_pct", "profit_factor", "win_rate_pct"])
def test_a_sweep_is_drawn_as_its_variants_are_simulated(metric: str) -> None:
    run = Sweep(request(*TWO, primary=metric, preselect=1), candles())
    last(run.stage_a())
    assert run.outcomes is not None
    document = json.loads(json.dumps(run.outcomes.document()))
    runs = [simulated(run, base) for base in range(run.grid.base_total)]
    returns = np.array([each.total_return_pct for each in runs])
    assert_right(distribution(document["total_return_pct"]), returns)
    primary = distribution(document["primary"])
    assert sum(primary["counts"]) + primary["undefined"] + primary["infinite"] == len(runs)
