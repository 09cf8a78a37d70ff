"""Ranking metrics of known trades, and against plain loops over the simulator's own run."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.kernels import SIZINGS, simulate
from engine.metrics import equity_curve, variant_metrics
from tests.engine.adapter import plane, rules_of
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


def test_a_ratio_over_zero_is_stored_as_undefined() -> None:
    found = metrics_of([1, 0, 0], [10.0, 20.0, 20.0])
    assert found["max_drawdown_pct"] == 0.0
    assert found["return_over_max_drawdown"] is None
    assert found["profit_factor"] is None


def test_daily_ratios_are_undefined_once_a_day_ends_with_nothing() -> None:
    ruined = metrics_of([-1] * 12, [10.0] * 4 + [25.0] * 8)
    assert (ruined["sharpe"], ruined["sortino"], ruined["calmar"]) == (None, None, None)
    broke = metrics_of([-1] * 12, [10.0] * 4 + [20.0] * 8)
    assert broke["total_return_pct"] == -100.0  # exactly nothing is left
    assert (broke["sharpe"], broke["sortino"], broke["calmar"]) == (None, None, None)
    alive = metrics_of([-1] * 12, [10.0] * 4 + [15.0] * 8)
    assert alive["sharpe"] is not None


def test_locked_profit_counts_as_return() -> None:
    locking = replace(FREE, sizing_mode="strategy_compound_profit_lock", safe_profit_percent=100.0)
    assert metrics_of([1, 0, 0], [10.0, 20.0, 20.0], locking)["total_return_pct"] == 100.0
