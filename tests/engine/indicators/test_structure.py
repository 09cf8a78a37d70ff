"""Ranks, pivots and distances beside plain formulas, where many rows share one computation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.indicators.kernels.pivots import pivots
from engine.indicators.kernels.ranks import FAR, TILE, percent_rank
from engine.indicators.kernels.structure import distance_to_ma

coarse = st.lists(st.integers(1, 5), min_size=1, max_size=60).map(
    lambda values: np.array(values, dtype=np.float64)
)


def ranks(x: np.ndarray, sizes: list[int]) -> np.ndarray:
    out = np.empty((len(sizes), x.size))
    percent_rank((x,), np.array(sizes, dtype=np.float64)[:, None], 0, out)
    return out


@settings(max_examples=100, deadline=None)
@given(x=coarse, sizes=st.lists(st.integers(2, 70), min_size=1, max_size=5))
def test_a_rank_is_the_share_of_the_values_before_that_are_lower(
    x: np.ndarray, sizes: list[int]
) -> None:
    for window, row in zip(sizes, ranks(x, sizes), strict=True):
        assert np.isnan(row[:window]).all()
        for t in range(window, x.size):
            before = x[t - window : t]
            share = 100.0 * (before < x[t]).sum() / window
            assert np.array_equal(
                row[t], np.nan if (before == x[t]).all() else share, equal_nan=True
            )


def test_an_outage_is_not_a_low() -> None:
    x = np.array([3.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0])
    row, longer = ranks(x, [3, 5])
    assert longer[5:7].tolist() == [20.0, 20.0]
    assert row[3:].tolist()[:2] == pytest.approx([100.0 / 3, 0.0 + 100.0 / 3])
    assert np.isnan(row[5:7]).all()
    assert row[7:].tolist() == [0.0, 0.0]


def test_ranks_of_long_windows_are_counted_the_same_way() -> None:
    x = np.random.default_rng(10).integers(0, 500, 3 * FAR).astype(np.float64)
    sizes = [2 * FAR + 1, 7, TILE + 5, 2 * FAR, 3 * FAR, 10**6, 2]
    for window, row in zip(sizes, ranks(x, sizes), strict=True):
        assert np.isnan(row[:window]).all()
        for t in range(window, x.size, 97):
            assert row[t] == 100.0 * (x[t - window : t] < x[t]).sum() / window


@settings(max_examples=200, deadline=None)
@given(x=coarse, depth=coarse, left=st.integers(2, 6), right=st.integers(2, 6))
def test_a_pivot_is_strictly_beyond_its_neighbours(
    x: np.ndarray, depth: np.ndarray, left: int, right: int
) -> None:
    size = min(x.size, depth.size)
    high, low = x[:size], -depth[:size]
    out = np.empty((1, size))
    pivots((high, low), np.array([[left, right]], dtype=np.float64), 0, out)
    state = 0.0
    for t in range(size):
        if t < left + right:
            assert np.isnan(out[0, t])
            continue
        i = t - right
        others = [*range(i - left, i), *range(i + 1, t + 1)]
        top, bottom = (high[i] > high[others]).all(), (low[i] < low[others]).all()
        if top != bottom:
            state = 1.0 if bottom else -1.0
        assert out[0, t] == state


def test_a_pivot_far_above_its_neighbours_is_found_on_any_scale() -> None:
    rise = np.arange(5_000.0) + 3.0 * (np.arange(5_000) % 3 == 0)
    high = np.concatenate((rise, rise[::-1] - 1.0))
    out = np.empty((1, high.size))
    top = int(np.argmax(high[:5_000]))
    pivots((high, np.ones(high.size)), np.array([[4_000.0, 4_000.0]]), 0, out)
    assert (out[0, 8_000 : top + 4_000] == 0.0).all()
    assert (out[0, top + 4_000 :] == -1.0).all()


@pytest.mark.parametrize("window", [2, 5, 14, 100])
def test_the_distance_to_an_average_fades_in_a_long_outage(window: int) -> None:
    walk = 42_000.0 + np.cumsum(np.random.default_rng(11).normal(0.0, 50.0, 300))
    x = np.append(walk, np.full(100_000, walk[-1]))
    out = np.empty((5, x.size))
    distance_to_ma((x, x, x, x), np.full((5, 1), float(window)), 0, out)
    assert np.array_equal(out, np.broadcast_to(out[0], out.shape), equal_nan=True)
    size = np.abs(out[0, 300:])
    assert (size[1:] <= size[:-1]).all()
    assert size[-1] == 0.0
