"""Accounts and markets to replay trades in, and how even counts have to be."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.kernels import SIZINGS, ExecutionRules, Trades, simulate
from engine.kernels.account import Market
from engine.kernels.inputs import costs_of, market_of
from tests.engine.adapter import plane
from tests.engine.simulator import LONG, SHORT

Floats = NDArray[np.float64]
FREE = ExecutionRules(0.0, 0.0, 0, SIZINGS.index("all_in"), 1.0, 0.3, 0.5)


def sized(sizing: str, **changed: Any) -> ExecutionRules:
    return FREE._replace(sizing=SIZINGS.index(sizing), **changed)


def walk(bars: int, seed: int = 1) -> Market:
    steps = np.random.default_rng(seed).normal(0, 0.05, bars)
    return market_of(100 * np.exp(np.cumsum(steps)), costs_of(FREE))


def plain_drawdown(balances: Sequence[float], first: float) -> float:
    peak, worst = first, 0.0
    for balance in balances:
        peak = max(peak, balance)
        worst = max(worst, (peak - balance) / peak)
    return worst


def assert_even(times: Counter[Any], expected: dict[Any, float]) -> None:
    """Chi-square: what was counted is what is expected, up to one false alarm in 10 000."""
    assert set(times) == set(expected)
    total, weight = sum(times.values()), sum(expected.values())
    square = sum(
        (times[key] - total * share / weight) ** 2 / (total * share / weight)
        for key, share in expected.items()
    )
    degrees = len(expected) - 1
    # Wilson and Hilferty: the cube root of a chi-square is about normal.
    bound = degrees * (1 - 2 / (9 * degrees) + 3.719 * math.sqrt(2 / (9 * degrees))) ** 3
    assert square < bound


def name(value: float) -> float:
    """Two results that differ by rounding have one name."""
    return float(f"{value:.9e}")


def random_trades(seed: int, bars: int, market: Market, rules: ExecutionRules) -> Trades:
    random = np.random.default_rng(seed)
    signals = np.repeat(random.integers(-1, 2, bars), random.integers(1, 9, bars))[:bars].tolist()
    return simulate(
        plane(signals, LONG), plane(signals, SHORT), market.closes, rules, market=market
    )
