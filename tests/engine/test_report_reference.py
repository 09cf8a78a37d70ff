"""Every figure of a report equals its definition, computed with pandas or by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from engine.metric_names import METRICS
from engine.metrics import equity_curve, variant_metrics
from engine.report import VariantReport, reports
from engine.report.figures import as_stored
from engine.sweep import Sweep
from engine.timeframes import TIMEFRAMES
from tests.engine.adapter import close_to, engine_trades, rules_of, trade_list
from tests.engine.case_sweep import CaseSweep, still
from tests.engine.cases import SIZINGS, Case, cases, long_cases
from tests.engine.plain_metrics import measure
from tests.engine.report_reference import TABLE, Facts, figures, unequal, unequal_trades
from tests.engine.simulator import Execution, RiskLevels, Run, simulate
from tests.engine.worlds import START_MS, World

RANDOM = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
HOUR = TIMEFRAMES["1h"]


def report_of(case: Case, timeframe: str = "4h") -> VariantReport:
    (report,) = reports(CaseSweep(case, timeframe), [0], top_trades_n=1, result_bytes=2**40)
    return report


def facts_of(run: Run, variant: CaseSweep) -> Facts:
    return Facts(run.trades, run.equity, variant.prices, variant.case.execution)


# --- by hand ---------------------------------------------------------------------------------

WIN_THEN_LOSS = Case(
    [1, 1, 0, 1, 1, 0], [100.0, 90.0, 120.0, 120.0, 60.0, 90.0], Execution(1000.0), RiskLevels()
)
# Bars of 12 hours that open at 0:00 and 12:00: days are pairs of bars.
# Long 1000 at 100 (10 units), 90 -> equity 900, out at 120 -> 1200, net +200.
# Long 1200 at 120 (10 units), 60 -> 600, out at 90 -> 900, net -300.
# Equity: 1000 900 1200 1200 600 900. Days: 900, 1200, 900.
BY_HAND = {
    "total_profit": -100.0,
    "total_return_pct": -10.0,
    "benchmark_return_pct": -10.0,
    "position_coverage_pct": 100.0,
    # Falls below the peak: bar 1 by 100/1000, bar 4 by 600/1200, bar 5 by 300/1200.
    "max_drawdown_pct": 50.0,
    "avg_drawdown_pct": 100 * (0.1 + 0.5 + 0.25) / 6,
    # Episodes: bar 0 to bar 2, and bar 3 (the last at the peak) to bar 5 (the end).
    "max_drawdown_duration_ms": 24.0 * HOUR,
    "avg_drawdown_duration_ms": 24.0 * HOUR,
    "return_over_max_drawdown": -0.2,
    "num_trades": 2.0,
    "win_rate_pct": 50.0,
    "best_trade_pct": 20.0,
    "worst_trade_pct": -25.0,
    "avg_trade_pct": -2.5,
    "expectancy_pct": -2.5,
    "max_trade_duration_ms": 24.0 * HOUR,
    "avg_trade_duration_ms": 24.0 * HOUR,
    # mean -50, deviations +-250: std(ddof 1) = sqrt(2 * 250^2) = 353.55...; sqrt(2) * -50 / that
    "sqn": -0.2,
    "profit_factor": 200 / 300,
    # Q/equity: 1000/1000, 1000/900, 0 on the exit bar, 1200/1200, 1200/600, 0.
    "gross_exposure": (1 + 1000 / 900 + 0 + 1 + 2 + 0) / 6,
    # Daily returns: -0.1, +1/3, -0.25: mean -1/180; growth 0.9 over 3 days.
    "sharpe": -math.sqrt(365)
    / 180
    / math.sqrt(((-0.1 + 1 / 180) ** 2 + (1 / 3 + 1 / 180) ** 2 + (-0.25 + 1 / 180) ** 2) / 2),
    "sortino": -math.sqrt(365) / 180 / math.sqrt((0.01 + 0.0625) / 3),
    "calmar": (0.9 ** (365 / 3) - 1) / 0.5,
}


def test_every_figure_of_a_win_and_a_loss_is_the_one_worked_out_by_hand() -> None:
    metrics = report_of(WIN_THEN_LOSS, "12h").metrics
    assert metrics.keys() == BY_HAND.keys()
    assert unequal(metrics, BY_HAND, frozenset()) == {}


def test_the_pandas_reference_agrees_with_the_figures_worked_out_by_hand() -> None:
    run = simulate(WIN_THEN_LOSS.signals, WIN_THEN_LOSS.closes, WIN_THEN_LOSS.execution)
    reference = figures(facts_of(run, CaseSweep(WIN_THEN_LOSS, "12h")))
    assert unequal(BY_HAND, reference, frozenset()) == {}


def test_without_trades_only_the_figures_that_need_none_are_defined() -> None:
    metrics = report_of(Case([0] * 9, [100.0] * 8 + [150.0], Execution(), RiskLevels())).metrics
    assert {key: value for key, value in metrics.items() if value is not None} == {
        "total_profit": 0,
        "total_return_pct": 0,
        "benchmark_return_pct": 50,
        "position_coverage_pct": 0,
        "num_trades": 0,
        "gross_exposure": 0,
    }


def test_a_single_winning_day_has_no_ratios_and_no_drawdown_duration() -> None:
    metrics = report_of(Case([1, 1], [100.0, 125.0], Execution(1024.0), RiskLevels())).metrics
    undefined = {key for key, value in metrics.items() if value is None}
    # No drawdown and no loss: these are infinite.
    assert metrics["infinite"] == ["return_over_max_drawdown", "profit_factor"]
    assert undefined - set(metrics["infinite"]) == {
        "max_drawdown_duration_ms",
        "avg_drawdown_duration_ms",
        "sqn",
        "sharpe",
        "sortino",
        "calmar",
    }
    assert (metrics["max_drawdown_pct"], metrics["avg_drawdown_pct"]) == (0, 0)


def test_a_curve_that_starts_below_the_cash_is_in_drawdown_from_the_first_close() -> None:
    costly = Case([1, 1, 1, 0], [100.0] * 4, Execution(fee_pct=1.0), RiskLevels())
    metrics = report_of(costly, "1h").metrics
    assert metrics["max_drawdown_duration_ms"] == 3 * HOUR


def test_a_bankrupt_short_has_more_than_full_drawdown_and_no_exposure_or_ratios() -> None:
    # Short 1000 at 100, closed at 300: value 3000, A = 1000 - 2000 = -1000.
    ruin = Case([-1] * 12 + [0], [100.0] * 12 + [300.0], Execution(1000.0), RiskLevels())
    metrics = report_of(ruin).metrics
    assert metrics["total_return_pct"] == -200
    assert metrics["max_drawdown_pct"] == 200
    assert [metrics[key] for key in ("gross_exposure", "sharpe", "sortino", "calmar")] == [None] * 4


def test_a_break_even_trade_neither_wins_nor_loses() -> None:
    flat = Case([1, 1, 0, 1, 0], [3.0, 7.0, 3.0, 3.0, 6.0], Execution(), RiskLevels())
    assert report_of(flat).metrics["win_rate_pct"] == 50


# --- at random -------------------------------------------------------------------------------


@RANDOM
@given(long_cases())
def test_every_figure_equals_its_definition(case: Case) -> None:
    variant = CaseSweep(case)
    run = simulate(case.signals, case.closes, case.execution, case.risk)
    fragile = measure(run, case.execution.init_cash, variant.open_times).fragile
    (report,) = reports(variant, [0], top_trades_n=1, result_bytes=2**40)
    assert report.metrics["num_trades"] == len(run.trades)
    skip = durations(run, case.execution.init_cash, fragile)
    assert unequal(report.metrics, figures(facts_of(run, variant)), skip) == {}


def durations(run: Run, init_cash: float, fragile: frozenset[str]) -> frozenset[str]:
    """Add the durations where whether a bar is at the peak hangs on rounding.

    While money is in a position, equity that comes back to the peak may miss it by a rounding in
    one of two correct programs, and meet it in the other; flat, it is the same number on every bar.
    """
    in_position = {b for trade in run.trades for b in range(trade.entry_bar, trade.exit_bar + 1)}
    peak = init_cash
    for bar, value in enumerate(run.equity):
        if bar in in_position and abs(value - peak) <= 1e-9 * abs(peak):
            return fragile | {"max_drawdown_duration_ms", "avg_drawdown_duration_ms"}
        peak = max(peak, value)
    return fragile


@RANDOM
@given(cases())
def test_every_ranking_metric_equals_its_definition_on_the_engines_own_trades(case: Case) -> None:
    rules, closes = rules_of(case.execution), np.array(case.closes)
    trades = engine_trades(case.signals, case.closes, case.execution, case.risk)
    equity = equity_curve(trades, closes, rules)
    times = START_MS + np.arange(len(closes), dtype=np.int64) * TIMEFRAMES["4h"]
    ours = variant_metrics(trades, equity, times, rules)
    assert list(ours) == list(METRICS)
    run = Run(trade_list(trades), equity.tolist(), 0.0, ruined=False)
    facts = Facts(run.trades, run.equity, still(case.closes, TIMEFRAMES["4h"]), case.execution)
    fragile = measure(run, case.execution.init_cash, facts.prices.open_ms).fragile
    assert unequal(as_stored(ours), figures(facts), fragile) == {}


# --- table, trades, curve --------------------------------------------------------------------


def table_rows(report: VariantReport) -> dict[str, str]:
    assert report.table_md is not None
    lines = report.table_md.strip().splitlines()
    assert lines[0] == "|Metric|Value|"
    rows = [line.strip("|").split("|") for line in lines[2:]]
    assert all(len(row) == 2 for row in rows)
    return {row[0]: row[1] for row in rows}


def wrong_cell(text: str, value: float, decimals: int | None) -> bool:
    """Return whether a cell is not the rounded value in its fixed form."""
    if not math.isfinite(value):
        return text != ("∞" if value == math.inf else "N/A")
    if decimals is None:
        return abs(pd.Timedelta(text) / pd.Timedelta(milliseconds=1) - value) > 1000
    _, _, fraction = text.partition(".")
    untidy = fraction.endswith("0") or text.endswith(".") or (float(text) == 0 and text != "0")
    return untidy or abs(float(text) - value) > 0.5 * 10**-decimals + 1e-9 * abs(value)


@RANDOM
@given(cases())
def test_the_table_holds_every_figure_in_order_and_in_its_form(case: Case) -> None:
    variant = CaseSweep(case)
    (report,) = reports(variant, [0], top_trades_n=0, result_bytes=0)
    rows = table_rows(report)
    assert list(rows) == ["Start", "End", "Duration", *TABLE]
    traded = facts_of(simulate(case.signals, case.closes, case.execution), variant).traded_rows()
    assert {label: rows[label] for label in traded} == traded
    stored = {**report.metrics, "init_cash": case.execution.init_cash}
    infinite = stored.pop("infinite", [])
    values = {key: math.nan if value is None else value for key, value in stored.items()}
    values |= dict.fromkeys(infinite, math.inf)
    wrong = {
        label: (rows[label], values[key])
        for label, (key, decimals) in TABLE.items()
        if wrong_cell(rows[label], values[key], decimals)
    }
    assert not wrong


@RANDOM
@given(cases())
def test_what_is_infinite_prints_as_such_and_what_is_undefined_never_does(case: Case) -> None:
    variant = CaseSweep(case)
    run = simulate(case.signals, case.closes, case.execution, case.risk)
    fragile = measure(run, case.execution.init_cash, variant.open_times).fragile
    skip = durations(run, case.execution.init_cash, fragile)
    (report,) = reports(variant, [0], top_trades_n=0, result_bytes=0)
    rows, expected = table_rows(report), figures(facts_of(run, variant))
    for label, (key, _) in TABLE.items():
        if key in expected and key not in skip:
            assert (rows[label] == "∞") == (expected[key] == math.inf), label
            assert (rows[label] == "N/A") == math.isnan(expected[key]), label


@RANDOM
@given(cases())
def test_the_listed_trades_are_the_simulators(case: Case) -> None:
    run = simulate(case.signals, case.closes, case.execution, case.risk)
    variant = CaseSweep(case)
    (report,) = reports(variant, [0], top_trades_n=1, result_bytes=2**40)
    assert report.trades is not None
    assert unequal_trades(report.trades, facts_of(run, variant)) == []


def test_a_thinned_equity_curve_keeps_its_ends_and_extremes() -> None:
    closes = [100 + 20 * math.sin(bar / 40) + bar % 7 for bar in range(5000)]
    closes[1234], closes[4321] = 500.0, 1.0
    case = Case([1] * 5000, closes, Execution(), RiskLevels())
    run = simulate(case.signals, case.closes, case.execution)
    points = report_of(case).equity
    assert points is not None
    assert len(points) <= 1000
    values = [value for _, value in points]
    times = [time for time, _ in points]
    assert times == sorted(set(times))
    whole = [run.equity[0], run.equity[-1], max(run.equity), min(run.equity)]
    assert all(map(close_to, [values[0], values[-1], max(values), min(values)], whole))


# --- a real sweep ----------------------------------------------------------------------------


@pytest.mark.parametrize("sizing", SIZINGS)
def test_a_swept_variant_is_reported_with_the_number_it_was_ranked_by(sizing: str) -> None:
    world = World(5, sizing=sizing, direction="long-short")
    for metric in METRICS:
        sweep = Sweep(world.request(metric), world.candles)
        *_, stage_a = sweep.stage_a()
        *_, stage_b = sweep.stage_b(stage_a.top.indexes())
        indexes = stage_b.top.indexes().tolist()
        scores = stage_b.top.scores()[0].tolist()
        for index, score, report in zip(
            indexes,
            scores,
            reports(sweep, indexes, top_trades_n=0, result_bytes=2**40),
            strict=True,
        ):
            assert report.variant_index == index
            expected = score if math.isfinite(score) else None
            assert report.metrics[metric] == expected  # bit for bit
            assert (metric in report.metrics.get("infinite", [])) == (score == math.inf)
