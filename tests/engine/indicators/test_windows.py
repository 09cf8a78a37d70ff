"""Sliding windows: exact where they can be, and blind to what has left the window."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.indicators.kernels.smoothing import smooth
from engine.indicators.kernels.volume import running_total
from engine.indicators.kernels.weighted import (
    rolling_weighted_average,
    rolling_weighted_deviation,
    traded_prices,
    traded_runs,
)
from engine.indicators.kernels.windows import (
    equal_runs,
    rolling_deviation,
    rolling_mean,
    rolling_sum,
    rolling_weighted_mean,
)

series = st.lists(
    st.one_of(st.sampled_from([0.1, 0.3, 7.0]), st.floats(1e-6, 1e6)), min_size=1, max_size=60
).map(lambda values: np.array(values, dtype=np.float64))


def windows(x: np.ndarray, window: int) -> list[tuple[int, np.ndarray]]:
    return [(t, x[t - window + 1 : t + 1]) for t in range(window - 1, x.size)]


@settings(max_examples=100, deadline=None)
@given(x=series, window=st.integers(1, 70))
def test_sums_and_means_are_those_of_each_window(x: np.ndarray, window: int) -> None:
    runs = equal_runs(x)
    total, mean, weighted = np.empty(x.size), np.empty(x.size), np.empty(x.size)
    rolling_sum(x, window, total)
    rolling_mean(x, runs, window, mean)
    rolling_weighted_mean(x, runs, window, weighted)
    weights = np.arange(1, window + 1)
    for t, part in windows(x, window):
        assert total[t] == pytest.approx(math.fsum(part), rel=1e-14)
        assert mean[t] == pytest.approx(math.fsum(part) / window, rel=1e-14)
        exact = math.fsum(part * weights) / weights.sum()
        assert weighted[t] == pytest.approx(exact, rel=1e-13)
    for values in (total, mean, weighted):
        assert np.isnan(values).sum() == min(window - 1, x.size)


@settings(max_examples=100, deadline=None)
@given(x=series, window=st.integers(1, 70))
def test_deviations_are_those_of_each_window(x: np.ndarray, window: int) -> None:
    deviation, offset = np.empty(x.size), np.empty(x.size)
    rolling_deviation(x, equal_runs(x), window, deviation, offset)
    for t, part in windows(x, window):
        exact = part.astype(np.longdouble)
        scale = float(np.ptp(part))
        assert deviation[t] == pytest.approx(float(exact.std()), rel=1e-12, abs=1e-15 * scale)
        assert offset[t] == pytest.approx(float(exact[-1] - exact.mean()), abs=1e-13 * scale)


@pytest.mark.parametrize("value", [0.1, 1e-8, 123_456.7, 1e8 / 3.0])
@pytest.mark.parametrize("window", [1, 3, 20, 49])
def test_a_window_of_equal_inputs_is_exact(value: float, window: int) -> None:
    x = np.full(80, value)
    x[:31] = np.linspace(0.7, 1.9, 31) * value
    runs = equal_runs(x)
    mean, weighted, deviation, offset = np.empty((4, x.size))
    rolling_mean(x, runs, window, mean)
    rolling_weighted_mean(x, runs, window, weighted)
    rolling_deviation(x, runs, window, deviation, offset)
    flat = slice(31 + window - 1, None)
    assert (mean[flat] == value).all()
    assert (weighted[flat] == value).all()
    assert (deviation[flat] == 0.0).all()
    assert (offset[flat] == 0.0).all()


def test_an_enormous_bar_leaves_no_trace_once_it_is_out_of_the_window() -> None:
    x = np.random.default_rng(5).normal(1.0, 0.1, 300)
    spiked = x.copy()
    spiked[40] = 1e15
    for window in (2, 7, 50):
        results = []
        for values in (x, spiked):
            runs = equal_runs(values)
            mean, deviation, offset = np.empty((3, x.size))
            rolling_mean(values, runs, window, mean)
            rolling_deviation(values, runs, window, deviation, offset)
            results.append(np.array([mean, deviation, offset])[:, 40 + window :])
        assert np.allclose(results[0], results[1], rtol=1e-12, atol=1e-13)


def test_a_small_deviation_on_a_high_price_keeps_its_digits() -> None:
    x = 1e8 + np.random.default_rng(6).integers(-8, 9, 2_000) / 8.0
    deviation, offset = np.empty((2, x.size))
    rolling_deviation(x, equal_runs(x), 50, deviation, offset)
    for t in range(49, x.size):
        exact = float((x[t - 49 : t + 1] - 1e8).astype(np.longdouble).std())
        assert abs(deviation[t] - exact) <= 1e-12


@pytest.mark.parametrize("wilder", [False, True])
def test_smoothing_leaves_a_constant_series_exactly_constant(wilder: bool) -> None:
    x = np.full(500, 0.1)
    sizes = np.array([1, 2, 3, 7, 14, 90, 200])
    out = np.empty((sizes.size, x.size))
    smooth(x, 0, sizes, wilder, out)
    for window, row in zip(sizes, out, strict=True):
        assert np.isnan(row[: window - 1]).all()
        assert (row[window - 1 :] == 0.1).all()


def weighted(x: np.ndarray, weights: np.ndarray, window: int) -> np.ndarray:
    """Average, mean and deviation of each window, float64[3, T]."""
    results = np.empty((3, x.size))
    traded = traded_prices(x, weights)
    rolling_weighted_average(x, weights, np.array([window]), results[:1])
    rolling_weighted_deviation(traded, weights, traded_runs(x, weights), window, *results[1:])
    return results


@settings(max_examples=100, deadline=None)
@given(x=series, window=st.integers(1, 70), data=st.data())
def test_weighted_means_and_deviations_are_those_of_each_window(
    x: np.ndarray, window: int, data: st.DataObject
) -> None:
    load = st.one_of(st.just(0.0), st.floats(1e-6, 1e6))
    weights = np.array(data.draw(st.lists(load, min_size=x.size, max_size=x.size)))
    average, mean, deviation = weighted(x, weights, window)
    for t, part in windows(x, window):
        load = weights[t - window + 1 : t + 1].astype(np.longdouble)
        if not load.any():
            assert np.isnan([average[t], mean[t], deviation[t]]).all()
            continue
        exact = (load * part).sum() / load.sum()
        spread = float(np.sqrt((load * (part - exact) ** 2).sum() / load.sum()))
        scale = float(np.ptp(traded_prices(x, weights)[t - window + 1 : t + 1]))
        assert average[t] == pytest.approx(float(exact), rel=1e-13)
        noise = 1e-14 * scale + 1e-17 * float(exact)
        assert mean[t] == pytest.approx(float(exact), rel=1e-13, abs=noise)
        assert deviation[t] == pytest.approx(spread, rel=1e-12, abs=noise)
    for values in (average, mean, deviation):
        assert np.isnan(values[: window - 1]).all()


def test_only_bars_with_volume_count() -> None:
    x = np.array([100.0, 7.1, 7.1, 900.0, 7.1, 3.0])
    weights = np.array([0.0, 2.0, 5.0, 0.0, 1.0, 0.0])
    average, mean, deviation = weighted(x, weights, 4)
    assert (average[3:] == 7.1).all()
    assert (mean[3:] == 7.1).all()
    assert (deviation[3:] == 0.0).all()


def test_a_price_that_is_not_traded_changes_no_bit() -> None:
    rng = np.random.default_rng(13)
    x = 42_000.0 + np.cumsum(rng.normal(0.0, 20.0, 400))
    weights = np.where(rng.random(400) < 0.4, 0.0, rng.uniform(0.1, 9.0, 400))
    elsewhere = np.where(weights > 0.0, x, rng.uniform(1e-6, 1e9, 400))
    for window in (1, 2, 7, 50, 400):
        assert np.array_equal(
            weighted(x, weights, window), weighted(elsewhere, weights, window), equal_nan=True
        )


def test_bars_without_weight_hold_the_price_of_the_last_one_with_weight() -> None:
    x = np.array([9.0, 8.0, 1.0, 7.0, 2.0, 6.0, 6.0])
    weights = np.array([0.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0])
    assert traded_prices(x, weights).tolist() == [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    assert traded_prices(x, np.zeros(7)).tolist() == x.tolist()


def test_a_window_is_flat_from_the_first_bar_of_the_price_on_whatever_is_not_traded() -> None:
    """The last other price was traded on bar 1: from there on 4 bars are a window of 0.1 alone."""
    x = np.array([0.7, 0.7, 55.0, 0.1, 0.1, 0.1, 66.0, 0.1])
    weights = np.array([1.0, 2.0, 0.0, 0.3, 0.7, 0.9, 0.0, 0.2])
    average, mean, deviation = weighted(x, weights, 4)
    assert average[4] != 0.1
    assert deviation[4] > 0.0
    for t in (5, 6, 7):
        assert (average[t], mean[t], deviation[t]) == (0.1, 0.1, 0.0)


@pytest.mark.parametrize("value", [0.1, 1e-8, 1e8 / 3.0])
def test_a_weighted_window_of_equal_inputs_is_exact(value: float) -> None:
    x = np.append(np.linspace(0.7, 1.9, 31) * value, np.full(49, value))
    weights = np.random.default_rng(8).uniform(0.1, 9.0, x.size)
    weights[60:70] = 0.0
    for window in (1, 3, 5, 20):
        average, mean, deviation = weighted(x, weights, window)
        traded = np.convolve(weights, np.ones(window))[: x.size] > 0.0
        flat = traded & (np.arange(x.size) >= 31 + window - 1)
        assert (average[flat] == value).all()
        assert (mean[flat] == value).all()
        assert (deviation[flat] == 0.0).all()
        assert np.isnan([average[~traded], mean[~traded], deviation[~traded]]).all()


def test_a_running_total_that_returns_to_near_zero_has_all_its_digits() -> None:
    up = np.random.default_rng(9).uniform(0.0, 1e9, 50_000)
    x = np.concatenate((up, [0.1], -up[::-1], np.zeros(5)))
    total = np.empty(x.size)
    running_total(x, total)
    assert total[-6] == 0.1
    assert (total[-5:] == 0.1).all()
    for t in (10, 40_000, 77_777):
        assert total[t] == pytest.approx(math.fsum(x[: t + 1]), rel=1e-15)
