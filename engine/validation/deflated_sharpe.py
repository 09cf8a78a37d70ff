"""Deflated Sharpe ratio: is the best of N Sharpe ratios more than the best of N lucky ones.

Source: D. H. Bailey, M. López de Prado (2014), The deflated Sharpe ratio: correcting for selection
bias, backtest overfitting and non-normality, Journal of Portfolio Management 40 (5). The highest of
N Sharpe ratios of variants without an edge, whose variance is V, is expected to be

    SR0 = √V · ((1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e)))        γ = 0.5772…, Euler's constant

and the probability that the best one's true ratio is above that is

    DSR = Φ((SR − SR0) √(T − 1) / √(1 − γ₃ SR + (γ₄ − 1) SR² / 4))

Sharpe ratios are those of daily returns, not annualised, T is the number of days, γ₃ the skewness
and γ₄ the kurtosis of the best variant's daily returns: 3 where they are normal, not the excess.
V is the variance of a sample, divided by N − 1.

It takes the N variants for independent tries, which neighbours on a grid are not, and N decides it:
so N and SR0 stand beside it.

Edge cases, each `Unknown` with its reason: fewer than two variants; V = 0; fewer than two days; a
Sharpe ratio that is not defined; a radicand that is not positive, which no true moments have.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from engine.validation import Floats, Unknown

EULER = 0.5772156649015329  # to the precision of a float
_NORMAL = NormalDist()


class DailyMoments(NamedTuple):
    """What the daily returns of one variant are like."""

    sharpe: float  # mean by standard deviation, per day
    skewness: float
    kurtosis: float  # 3 = normal
    days: int


class Trials(NamedTuple):
    """The Sharpe ratios that were looked at: how many are defined, and their sample variance."""

    number: int
    variance: float


@dataclass(frozen=True, slots=True)
class DeflatedSharpe:
    """The probability, and what it was made of."""

    probability: float
    expected_highest: float  # SR0, per day
    best: DailyMoments
    trials: Trials

    def document(self) -> dict[str, Any]:
        """Return it as plain data for JSON; all Sharpe ratios are per day."""
        return {
            "probability": self.probability,
            "expected_highest_sharpe": self.expected_highest,
            "sharpe": self.best.sharpe,
            "skewness": self.best.skewness,
            "kurtosis": self.best.kurtosis,
            "days": self.best.days,
            "variants": self.trials.number,
            "variance_of_sharpes": self.trials.variance,
        }


def trials_of(sharpes: Floats) -> Trials:
    """Return what the daily Sharpe ratios float64[N] of all eligible variants are like.

    Those that are not finite are left out. The order of the array decides the last bits.
    """
    defined = sharpes[np.isfinite(sharpes)]
    if len(defined) < 2 or defined.min() == defined.max():
        return Trials(len(defined), 0.0)
    return Trials(len(defined), float(np.var(defined, ddof=1)))


def deflated_sharpe(best: DailyMoments, trials: Trials) -> DeflatedSharpe | Unknown:
    """Return it for the best variant of so many."""
    reason = _unknown(best, trials)
    if reason is not None:
        return Unknown(reason)
    expected = expected_highest(trials)
    radicand = 1.0 - best.skewness * best.sharpe + (best.kurtosis - 1.0) / 4.0 * best.sharpe**2
    if not radicand > 0.0:
        return Unknown(
            f"Skewness {best.skewness:.3g} and kurtosis {best.kurtosis:.3g} of the best variant's"
            f" daily returns allow no Sharpe ratio of {best.sharpe:.3g} a day."
        )
    deviations = (best.sharpe - expected) * math.sqrt(best.days - 1) / math.sqrt(radicand)
    return DeflatedSharpe(_NORMAL.cdf(deviations), expected, best, trials)


def expected_highest(trials: Trials) -> float:
    """Return SR0. Φ⁻¹(1 − p) is −Φ⁻¹(p), which loses no digits where p is small."""
    first = -_NORMAL.inv_cdf(1.0 / trials.number)
    second = -_NORMAL.inv_cdf(1.0 / (trials.number * math.e))
    return math.sqrt(trials.variance) * ((1.0 - EULER) * first + EULER * second)


def _unknown(best: DailyMoments, trials: Trials) -> str | None:
    """Say what is missing."""
    if trials.number < 2:
        return f"Only {trials.number} of the variants have a Sharpe ratio; it takes 2 to choose."
    if not math.isfinite(trials.variance):
        return "The variance of the Sharpe ratios is no finite number."
    if trials.variance <= 0.0:
        return f"All {trials.number} variants have the same Sharpe ratio: nothing was chosen by it."
    if best.days < 2:
        return f"The best variant was traded on {best.days} days; it takes 2 for a Sharpe ratio."
    if not all(map(math.isfinite, (best.sharpe, best.skewness, best.kurtosis))):
        return "The best variant's Sharpe ratio, skewness or kurtosis is not defined."
    return None
