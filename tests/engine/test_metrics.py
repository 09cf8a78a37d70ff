"""Ranking metrics of known trades, and against plain loops over the simulator's own run."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.kernels import simulate
from engine.kernels.expansion import RiskTile, expand_risk
from engine.kernels.inputs import (
    allowed_planes,
    costs_of,
    day_ends,
    levels_of,
    market_of,
    order_of,
    room_for,
    sizes_of,
)
from engine.kernels.measures import WORST_TIER
from engine.metrics import equity_curve, variant_metrics
from tests.engine.adapter import engine_trades, plane, rules_of
from tests.engine.cases import SIZINGS, Case, cases
from tests.engine.plain_metrics import measure
from tests.engine.simulator import LONG, SHORT, Execution, RiskLevels
from tests.engine.simulator import simulate as simulate_slowly

HOUR = 3_600_000
FREE = Execution(init_cash=100.0)


def metrics_of(
    signals: list[int], closes: list[float], execution: Execution = FREE, levels: Any = ()
) -> dict[str, float | None]:
    rules = rules_of(execution)
    prices = np.array(closes, np.float64)
    trades = simulate(plane(signals, LONG), plane(signals, SHORT), prices, rules, *levels)
    times = np.arange(len(closes), dtype=np.int64) * 6 * HOUR
    return variant_metrics(trades, equity_curve(trades, prices, rules), times, rules)


@pytest.mark.parametrize("sizing", SIZINGS)
@pytest.mark.parametrize("seed", range(12))
def test_metrics_equal_plain_loops_over_the_simulators_run(sizing: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    closes = (100 * np.exp(np.cumsum(random.normal(0, 0.02, 400)))).tolist()
    signals = np.repeat(random.integers(-1, 2, 60), random.integers(1, 14, 60))[:400].tolist()
    closes = closes[: len(signals)]
    execution = Execution(
        fee_pct=0.075, slippage_pct=0.01, safe_profit_percent=30.0, sizing_mode=sizing
    )
    run = simulate_slowly(signals, closes, execution, RiskLevels(3.0, 9.0, 5.0))
    reference = measure(run, execution.init_cash, [6 * HOUR * bar for bar in range(len(closes))])
    found = metrics_of(signals, closes, execution, (3.0, 9.0, 5.0))
    assert found == pytest.approx(reference.metrics, rel=1e-9)


def test_without_trades_two_metrics_are_defined() -> None:
    found = metrics_of([0, 0, 0], [1.0, 2.0, 3.0])
    assert {name: value for name, value in found.items() if value is not None} == {
        "total_return_pct": 0.0,
        "num_trades": 0.0,
    }


def test_one_win_and_one_loss_are_counted_by_hand() -> None:
    # 100 -> 200 -> 100: one trade gains 100 on 100, one loses 100 on 200.
    found = metrics_of([1, 0, 1, 0], [10.0, 20.0, 20.0, 10.0])
    assert found["num_trades"] == 2
    assert found["total_return_pct"] == 0.0
    assert found["max_drawdown_pct"] == 50.0
    assert found["return_over_max_drawdown"] == 0.0
    assert found["profit_factor"] == 1.0
    assert found["win_rate_pct"] == 50.0
    assert found["expectancy_pct"] == 25.0
    assert found["sqn"] == 0.0
    assert found["sharpe"] is None  # one day


def test_a_trade_that_returns_what_it_cost_is_neither_win_nor_loss() -> None:
    found = metrics_of([1, 0, -1, 0], [3.0, 3.0, 3.0, 3.0])
    assert found["num_trades"] == 2
    assert found["win_rate_pct"] == 0.0
    assert found["profit_factor"] is None


def test_a_gain_over_zero_is_infinite_and_nothing_over_zero_is_undefined() -> None:
    found = metrics_of([1, 0, 0], [10.0, 20.0, 20.0])
    assert found["max_drawdown_pct"] == 0.0
    assert found["return_over_max_drawdown"] == math.inf
    assert found["profit_factor"] == math.inf
    assert metrics_of([1, 0, 0], [10.0, 10.0, 10.0])["return_over_max_drawdown"] is None


def test_daily_ratios_are_undefined_once_a_day_ends_with_nothing() -> None:
    ruined = metrics_of([-1] * 12, [10.0] * 4 + [25.0] * 8)
    assert (ruined["sharpe"], ruined["sortino"], ruined["calmar"]) == (None, None, None)
    broke = metrics_of([-1] * 12, [10.0] * 4 + [20.0] * 8)
    assert broke["total_return_pct"] == -100.0  # exactly nothing is left
    assert (broke["sharpe"], broke["sortino"], broke["calmar"]) == (None, None, None)
    alive = metrics_of([-1] * 12, [10.0] * 4 + [15.0] * 8)
    assert alive["sharpe"] is not None


# --- daily ratios -------------------------------------------------------------------------------


def held(returns: list[float]) -> dict[str, float | None]:
    """Return the metrics of a position that is held over days of four bars with these returns."""
    closes = [100.0]
    for change in returns:
        closes += [closes[-1]] * 3 + [closes[-1] * (1 + change)]
    return metrics_of([1] * len(closes[1:]), closes[1:])


# Returns of days [%], and their ratios at 252 days a year as empyrical's own tests have them
# (tests/test_stats.py: mixed_returns, negative_returns, positive_returns).
PUBLISHED = [
    ([1, 10, -4, 2, 3, 2, 1, -10], 1.7238613961706866, 2.605531251673693),
    ([0, -6, -7, -1, -9, -2, -6, -8, -5], -24.406808633910085, -13.532743075043401),
    ([1, 2, 1, 1, 1, 1, 1, 1, 1], 52.915026221291804, math.inf),
]


@pytest.mark.parametrize(("percent", "sharpe", "sortino"), PUBLISHED)
def test_sharpe_and_sortino_are_those_that_others_publish(
    percent: list[float], sharpe: float, sortino: float
) -> None:
    found = held([change / 100 for change in percent])
    year = math.sqrt(365 / 252)
    assert found["sharpe"] == pytest.approx(year * sharpe, rel=1e-9)
    assert found["sortino"] == pytest.approx(year * sortino, rel=1e-9)


def test_a_deviation_of_roundings_is_none() -> None:
    rising, falling, still = held([0.01] * 8), held([-0.01] * 8), held([0.0] * 8)
    assert (rising["sharpe"], rising["sortino"]) == (math.inf, math.inf)
    assert falling["sharpe"] is None
    assert falling["sortino"] == pytest.approx(-math.sqrt(365))
    assert (still["sharpe"], still["sortino"]) == (None, None)


def test_a_deviation_that_is_more_than_roundings_counts() -> None:
    sharpe = held([0.01, 0.01 + 1e-9] * 4)["sharpe"]
    assert sharpe == pytest.approx(math.sqrt(365) * 0.01 / (1e-9 * math.sqrt(2 / 7)), rel=1e-5)


def test_a_loss_of_a_rounding_is_no_downside() -> None:
    assert held([0.01, 0.02, -1e-15, 0.01])["sortino"] == math.inf


def test_two_days_have_ratios_and_one_has_none() -> None:
    two, one = held([0.01, -0.02]), held([-0.01])
    assert two["sharpe"] == pytest.approx(-math.sqrt(365) * 0.005 / (0.03 / math.sqrt(2)))
    assert two["sortino"] == pytest.approx(-math.sqrt(365) * 0.005 / (0.02 / math.sqrt(2)))
    assert (one["sharpe"], one["sortino"], one["calmar"]) == (None, None, None)


def test_a_few_good_days_are_not_raised_to_a_year() -> None:
    # Compounded for 365 days they would grow by 3e16.
    found = held([0.4] * 4 + [-0.05] * 6)
    assert found["sharpe"] == pytest.approx(math.sqrt(365) * 0.13 / math.sqrt(0.4860 / 9), rel=1e-9)


def test_the_bar_before_midnight_is_the_last_of_its_day() -> None:
    opens = np.arange(22, 50, dtype=np.int64) * HOUR  # 22:00, 23:00, a whole day, 0:00, 1:00
    assert day_ends(opens).tolist() == [1, 25, 27]


def test_a_day_without_a_bar_ends_as_the_day_before() -> None:
    opens = np.array([0, 12, 24, 96, 120], np.int64) * HOUR  # nothing on the third and the fourth
    market = market_of(np.full(5, 100.0), costs_of(rules_of(FREE)), opens)

    assert day_ends(opens).tolist() == [1, 2, 2, 2, 3, 4]
    assert market.day_of.tolist() == [0, 0, 1, 4, 5]


def test_the_day_of_a_bar_is_the_one_it_opens_in() -> None:
    # Bars open at 12:00 and 0:00: the first is a day of its own, and so is the last.
    rules, closes = rules_of(FREE), np.array([100.0, 110.0, 121.0, 133.1])
    trades = simulate(plane([1] * 4, LONG), plane([1] * 4, SHORT), closes, rules)
    opens = np.arange(1, 5, dtype=np.int64) * 12 * HOUR
    assert market_of(closes, costs_of(rules), opens).day_ends.tolist() == [0, 2, 3]
    assert market_of(closes, costs_of(rules), opens).day_of.tolist() == [0, 1, 1, 2]
    found = variant_metrics(trades, equity_curve(trades, closes, rules), opens, rules)
    returns = np.array([0.0, 0.21, 0.1])
    expected = math.sqrt(365) * returns.mean() / returns.std(ddof=1)
    assert found["sharpe"] == pytest.approx(expected, rel=1e-9)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    case=cases(),
    metrics=st.permutations(("sharpe", "sortino", "calmar", "sqn", "total_return_pct")),
    step=st.sampled_from((1, 4, 6, 12, 24)),
    first=st.integers(0, 30),
)
def test_a_daily_ratio_is_ranked_by_the_bits_that_are_reported(
    case: Case, metrics: list[str], step: int, first: int
) -> None:
    rules, closes, risk = rules_of(case.execution), np.array(case.closes), case.risk
    opens = (first + np.arange(len(closes), dtype=np.int64) * step) * HOUR
    found = room_for(1)
    expand_risk(
        plane(case.signals, LONG)[np.newaxis],
        plane(case.signals, SHORT)[np.newaxis],
        allowed_planes(len(closes), rules),
        np.zeros((1, 1), np.int64),
        np.zeros(1, np.int64),
        RiskTile(0, 0, 0, 1, 1, 1),
        levels_of((risk.sl,), (risk.tp,), (risk.tsl,)),
        market_of(closes, costs_of(rules), opens),
        *sizes_of(rules, (None,)),
        order_of(metrics[0], metrics[1], 0, WORST_TIER, np.inf),
        found,
    )
    trades = engine_trades(case.signals, case.closes, case.execution, risk)
    reported = variant_metrics(trades, equity_curve(trades, closes, rules), opens, rules)
    ranked = (found.primary[0], found.secondary[0])
    assert [None if np.isnan(value) else value for value in ranked] == [
        reported[name] for name in metrics[:2]
    ]


def test_locked_profit_counts_as_return() -> None:
    locking = replace(FREE, sizing_mode="strategy_compound_profit_lock", safe_profit_percent=100.0)
    assert metrics_of([1, 0, 0], [10.0, 20.0, 20.0], locking)["total_return_pct"] == 100.0
