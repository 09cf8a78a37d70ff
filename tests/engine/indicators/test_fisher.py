"""The Fisher transform, worked out by hand."""

import math

import numpy as np
import pytest

from engine.indicators.kernels.oscillators import fisher


def fisher_of(prices: list[float], window: int) -> np.ndarray:
    x = np.array(prices)
    out = np.empty((1, x.size))
    fisher((x, x), np.array([[float(window)]]), 0, out)
    return out[0]


def test_it_is_ehlers_recurrence() -> None:
    values = fisher_of([1.0, 2.0, 1.5, 1.5], 2)
    first = 0.33  # x = 1: the highest of its window
    second = 0.33 * -1.0 + 0.67 * first
    third = 0.33 * 0.0 + 0.67 * second  # flat: x = 0
    f = 0.0
    for t, v in enumerate((first, second, third), start=1):
        f = 0.5 * math.log((1.0 + v) / (1.0 - v)) + 0.5 * f
        assert values[t] == pytest.approx(f, rel=1e-13)
    assert np.isnan(values[0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_beyond_99_hundredths_it_is_taken_for_999_thousandths(sign: float) -> None:
    """A steady rise: v reaches .9925 at the 12th bar, from then on it counts as .999."""
    values = fisher_of([100.0 + sign * t for t in range(80)], 2)
    v = f = 0.0
    for t in range(1, 80):
        v = 0.33 + 0.67 * v
        if v > 0.99:
            v = 0.999
        f = 0.5 * math.log((1.0 + v) / (1.0 - v)) + 0.5 * f
        assert values[t] == pytest.approx(sign * f, rel=1e-12)
    assert v == 0.999
    assert values[-1] == pytest.approx(sign * math.log(1.999 / 0.001), rel=1e-9)


def test_it_is_zero_while_nothing_has_moved() -> None:
    assert (fisher_of([7.3] * 30, 5)[4:] == 0.0).all()
