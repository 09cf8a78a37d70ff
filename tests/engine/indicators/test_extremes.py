"""Extremes of sliding windows, and which of equal ones counts."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.indicators.kernels.extremes import highest, latest_high_since_low, lowest

prices = st.one_of(st.integers(1, 5).map(float), st.floats(1e-8, 1e8))
series = st.lists(st.tuples(prices, prices), min_size=1, max_size=60).map(
    lambda pairs: np.array(pairs, dtype=np.float64).T.copy()
)


@settings(max_examples=200, deadline=None)
@given(xy=series, window=st.integers(1, 70))
def test_extremes_are_those_of_each_window(xy: np.ndarray, window: int) -> None:
    high, low = xy
    top, bottom, lead = np.empty((3, high.size))
    highest(high, window, top)
    lowest(low, window, bottom)
    latest_high_since_low(high, low, window, lead)
    for values in (top, bottom, lead):
        assert np.isnan(values).sum() == min(window - 1, high.size)
    for t in range(window - 1, high.size):
        highs, lows = high[t - window + 1 : t + 1], low[t - window + 1 : t + 1]
        assert top[t] == highs.max()
        assert bottom[t] == lows.min()
        latest_top = max(np.flatnonzero(highs == highs.max()))
        latest_bottom = max(np.flatnonzero(lows == lows.min()))
        assert lead[t] == latest_top - latest_bottom


def test_an_infinite_window_reads_nothing() -> None:
    x = np.array([1.0, 2.0])
    out = np.zeros((3, 2))
    highest(x, 1_000_000, out[0])
    lowest(x, 1_000_000, out[1])
    latest_high_since_low(x, x, 1_000_001, out[2])
    assert np.isnan(out).all()
