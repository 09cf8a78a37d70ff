"""The deflated Sharpe ratio: the example of its paper, quadrature, and simulation."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.validation import Unknown
from engine.validation.deflated_sharpe import (
    DailyMoments,
    DeflatedSharpe,
    Trials,
    deflated_sharpe,
    expected_highest,
    trials_of,
)

# The example of the paper: five years of 250 days, Sharpe ratios of a year vary by 1/2.
BEST = DailyMoments(2.5 / math.sqrt(250), -3.0, 10.0, 1250)
TRIALS = Trials(100, 0.5 / 250)


def known(best: DailyMoments, trials: Trials) -> DeflatedSharpe:
    found = deflated_sharpe(best, trials)
    assert isinstance(found, DeflatedSharpe)
    return found


def test_the_example_of_the_paper() -> None:
    """100 tries leave 0.9004; 46 would have left 0.9505, as 88 would of normal returns."""
    found = known(BEST, TRIALS)
    assert round(found.expected_highest, 4) == 0.1132
    assert round(found.probability, 4) == 0.9004
    assert round(known(BEST, TRIALS._replace(number=46)).probability, 4) == 0.9505
    normal = BEST._replace(skewness=0.0, kurtosis=3.0)
    assert round(known(normal, TRIALS._replace(number=88)).probability, 4) == 0.9505


# --- another implementation: the normal distribution by its error function and by bisection -------


def plain_cdf(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def plain_quantile(p: float) -> float:
    low, high = -40.0, 40.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if plain_cdf(middle) < p else (low, middle)
    return low


def plain_dsr(best: DailyMoments, trials: Trials) -> float:
    euler = 0.57721566490153286
    # Of the upper tail: 1 - p has few digits of a small p.
    upper = [-plain_quantile(p) for p in (1 / trials.number, 1 / (trials.number * math.e))]
    highest = math.sqrt(trials.variance) * ((1 - euler) * upper[0] + euler * upper[1])
    scatter = 1 - best.skewness * best.sharpe + (best.kurtosis - 1) * best.sharpe**2 / 4
    return plain_cdf((best.sharpe - highest) * math.sqrt((best.days - 1) / scatter))


@settings(max_examples=100, deadline=None)
@given(
    st.floats(-0.5, 0.5),
    st.floats(-3, 3),
    st.floats(0, 40),
    st.integers(2, 5000),
    st.integers(2, 10**9),
    st.floats(1e-8, 0.1),
)
def test_it_is_what_another_implementation_says(
    sharpe: float, skewness: float, above: float, days: int, number: int, variance: float
) -> None:
    best = DailyMoments(sharpe, skewness, 1 + skewness**2 + above, days)
    found = deflated_sharpe(best, Trials(number, variance))
    if isinstance(found, Unknown):  # a radicand that rounds to 0
        assert above < 1e-6
        return
    assert found.probability == pytest.approx(plain_dsr(best, found.trials), abs=1e-9)
    assert json.loads(json.dumps(found.document(), allow_nan=False)) == found.document()


def test_no_moments_that_returns_can_have_are_refused() -> None:
    """The kurtosis is at least 1 + the square of the skewness, so the radicand is positive."""
    random = np.random.default_rng(1)
    for _ in range(200):
        returns = random.standard_normal(30) ** random.integers(1, 8)
        deviations = (returns - returns.mean()) / returns.std()
        skewness, kurtosis = (deviations**3).mean(), (deviations**4).mean()
        lowest = 2 * skewness / (kurtosis - 1)  # where the radicand is
        for sharpe in (returns.mean() / returns.std(), lowest):
            known(DailyMoments(float(sharpe), float(skewness), float(kurtosis), 30), TRIALS)


def test_the_highest_of_lucky_ones_is_about_what_is_expected() -> None:
    """SR0 is an approximation: of 1000 normal numbers, 4000 times, within 1 %."""
    random = np.random.default_rng(2)
    highest = [random.standard_normal(1000).max() for _ in range(4_000)]
    assert expected_highest(Trials(1000, 1.0)) == pytest.approx(np.mean(highest), rel=0.01)


def test_more_tries_prove_less() -> None:
    found = [known(BEST, TRIALS._replace(number=10**n)).probability for n in range(1, 9)]
    assert found == sorted(found, reverse=True)


def test_trials_are_the_defined_ones() -> None:
    sharpes = np.array([0.1, np.nan, -0.2, np.inf, 0.4, -np.inf])
    number, variance = trials_of(sharpes)
    assert number == 3
    assert variance == pytest.approx(pd.Series([0.1, -0.2, 0.4]).var(), rel=1e-15)


@pytest.mark.parametrize(
    ("best", "trials", "reason"),
    [
        (BEST, trials_of(np.array([])), "Only 0 of the variants have a Sharpe ratio"),
        (BEST, trials_of(np.array([0.1, np.nan])), "Only 1 of the variants have a Sharpe ratio"),
        (BEST, trials_of(np.full(7, 0.1)), "All 7 variants have the same Sharpe ratio"),
        (BEST, Trials(7, math.inf), "variance of the Sharpe ratios is no finite number"),
        (BEST._replace(days=1), TRIALS, "traded on 1 days"),
        (BEST._replace(sharpe=math.nan), TRIALS, "is not defined"),
        (BEST._replace(skewness=math.inf), TRIALS, "is not defined"),
        (BEST._replace(kurtosis=math.nan), TRIALS, "is not defined"),
        (DailyMoments(1.0, 2.0, 1.0, 9), TRIALS, "Skewness 2 and kurtosis 1 .* allow no Sharpe"),
    ],
)
def test_what_cannot_be_told_has_a_reason(best: Any, trials: Any, reason: str) -> None:
    found = deflated_sharpe(best, trials)
    assert isinstance(found, Unknown)
    with pytest.raises(ValueError, match=reason):
        raise ValueError(found.reason)
