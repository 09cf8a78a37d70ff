"""Trend indicators where comparing with an oracle at 1e-9 says too little."""

from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.candles import Candles
from engine.indicators.compute import compute
from engine.indicators.kernels.stops import psar
from engine.indicators.registry import get
from tests.engine.indicators.samples import BARS, random_walk, scenarios

Floats = NDArray[np.float64]

accelerations = st.sampled_from((0.0, 0.01, 0.02, 0.1, 0.25, 0.5, 1.0))


def values(indicator_id: str, output: str, candles: Candles, *row: float) -> Floats:
    indicator = get(indicator_id)
    params = np.array([row], dtype=np.float64)
    return compute(indicator, indicator.output(output), candles, None, params)[0]


def replaced(candles: Candles, **columns: Any) -> Candles:
    fields = {name: getattr(candles, name) for name in Candles.__dataclass_fields__}
    return Candles(**(fields | columns))


@settings(max_examples=100, deadline=None)
@given(
    middles=st.lists(st.integers(8, 14), min_size=2, max_size=80),
    scale=st.sampled_from((1e-8, 0.1, 1.0, 6e4)),
    first=accelerations,
    step=accelerations,
    second=accelerations,
)
def test_the_parabolic_stop_is_ta_libs_to_the_bit_on_coarse_prices(
    middles: list[int], scale: float, first: float, step: float, second: float
) -> None:
    start, most = sorted((first, second))
    centre = np.array(middles, dtype=np.float64)
    high = (centre + np.arange(centre.size) % 3) * scale
    low = (centre - np.arange(centre.size) % 2) * scale
    wanted = np.abs(talib.SAREXT(high, low, 0.0, 0.0, *(start, step, most) * 2))
    actual = np.empty((1, centre.size))
    psar((high, low), np.array([[start, step, most]]), 0, actual)
    assert np.array_equal(actual[0], wanted, equal_nan=True)


@pytest.mark.parametrize("price", [0.1, 1e-8, 60_000.7, 1e8 / 3.0])
def test_constant_prices_have_no_slope_and_are_their_own_channel(price: float) -> None:
    flat = np.full(BARS, price)
    candles = replaced(random_walk(), open=flat, high=flat, low=flat, close=flat)
    assert (values("trend.linreg_slope", "slope", candles, 20)[19:] == 0.0).all()
    assert (values("trend.donchian", "middle", candles, 20)[19:] == price).all()
    for output in ("middle", "upper", "lower"):
        assert (values("trend.keltner", output, candles, 20, 2.0)[20:] == price).all()
    for output in ("long_stop", "short_stop"):
        assert (values("trend.chandelier_exit", output, candles, 20, 2.0)[20:] == price).all()
    assert (values("trend.ichimoku", "tk_diff", candles, 9, 26, 52, 26)[25:] == 0.0).all()


@pytest.mark.parametrize("window", [2, 9, 60])
def test_the_slope_is_zero_on_the_flat_windows_of_a_moving_series(window: int) -> None:
    candles = scenarios()["outage in the middle"]
    slope = values("trend.linreg_slope", "slope", candles, window)
    assert (slope[99 + window - 1 : 190] == 0.0).all()


@pytest.mark.parametrize("window", [2, 14])
def test_an_outage_of_any_length_leaves_directional_movement_as_it_is(window: int) -> None:
    """Its sums shrink by the same factor, until they are too small to be told apart."""
    bars = 60_000
    walk = random_walk(bars=bars)
    columns = {name: getattr(walk, name).copy() for name in ("open", "high", "low", "close")}
    for column in columns.values():
        column[100:-100] = walk.close[99]
    candles = replaced(walk, **columns)
    di_diff = values("trend.adx", "di_diff", candles, window, 2)
    assert (di_diff[100:-100] == di_diff[100]).sum() >= bars - 201
    strength = values("trend.adx", "adx", candles, window, 5)
    settled = strength[1_000:-100]
    assert (settled == settled[0]).all()
    assert np.isfinite(strength[-100:]).all()


def test_adx_starts_with_the_first_defined_dx() -> None:
    candles = scenarios()["random walk"]
    columns = {name: getattr(candles, name).copy() for name in ("open", "high", "low", "close")}
    for column in columns.values():
        column[:50] = candles.open[50]
    late = replaced(candles, **columns)
    moved = np.flatnonzero(np.diff(late.high) + np.diff(late.low))[0] + 1
    assert np.flatnonzero(~np.isnan(values("trend.adx", "di_diff", late, 5, 9)))[0] == moved
    assert np.flatnonzero(~np.isnan(values("trend.adx", "adx", late, 5, 9)))[0] == moved + 8


def test_the_cloud_is_what_was_computed_displacement_bars_earlier() -> None:
    candles = scenarios()["random walk"]
    high = np.lib.stride_tricks.sliding_window_view(candles.high, 52).max(axis=1)
    low = np.lib.stride_tricks.sliding_window_view(candles.low, 52).min(axis=1)
    for displacement in (1, 26, 200):
        span_b = values("trend.ichimoku", "span_b", candles, 9, 26, 52, displacement)
        assert np.isnan(span_b[: 51 + displacement]).all()
        wanted = ((high + low) / 2.0)[: BARS - 51 - displacement]
        assert np.array_equal(span_b[51 + displacement :], wanted)
