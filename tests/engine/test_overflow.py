"""No number of a variant can fail a job: what overflows is undefined, wherever it is shown."""

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.candles import Candles
from engine.kernels import simulate
from engine.metric_names import METRICS
from engine.metrics import equity_curve, variant_metrics
from engine.ranking import TopList
from engine.report import VariantReport, equity_points, reports, summaries
from engine.sweep import Sweep
from tests.engine.case_sweep import CaseSweep
from tests.engine.cases import SIZINGS, Case, risk_levels
from tests.engine.properties_sweeps import law
from tests.engine.simulator import LONG, NEUTRAL, SHORT, Execution, RiskLevels
from tests.engine.small_sweeps import candles, request
from tests.engine.test_report import World, rows

BARS = 2_200
LOW, HIGH = 1.0, 2.0


def assert_json(report: VariantReport) -> None:
    whole = asdict(report)
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole


# --- the balance doubles 1 100 times ------------------------------------------------------------


def doubling(sizing: str = "all_in") -> VariantReport:
    world = World([LOW, HIGH] * (BARS // 2), ["L." * (BARS // 2)], sizing=sizing)
    return world.report()


@pytest.mark.parametrize("sizing", SIZINGS)
def test_a_variant_whose_money_overflows_has_a_report(sizing: str) -> None:
    assert_json(doubling(sizing))


def test_a_return_that_overflowed_is_undefined_and_never_0() -> None:
    report = doubling()
    assert report.total_return_pct is None
    assert report.metrics["total_return_pct"] is None
    assert rows(report.table_md)["Total Return [%]"] == "N/A"
    assert rows(report.table_md)["Total Profit"] == "N/A"


def test_what_did_not_overflow_is_still_told() -> None:
    metrics = doubling().metrics
    assert metrics["num_trades"] == BARS // 2
    assert metrics["max_trade_duration_ms"] == 3_600_000
    assert metrics["benchmark_return_pct"] == 100
    assert metrics["position_coverage_pct"] == 100


def test_no_metric_counts_only_the_trades_before_the_overflow() -> None:
    known = {name for name in METRICS if doubling().metrics[name] is not None}
    assert known == {"num_trades"}


def test_trades_and_equity_are_numbers_until_they_overflow() -> None:
    report = doubling()
    assert report.trades is not None
    assert report.equity is not None
    first, last = report.trades[0], report.trades[-1]
    assert (first["net_pnl"], first["return_pct"]) == (1100.0, 100.0)
    assert (last["entry_quote"], last["net_pnl"], last["return_pct"]) == (None, None, None)
    assert (last["entry_price"], last["exit_price"]) == (LOW, HIGH)
    assert report.equity[0][1] == 1100.0
    assert report.equity[-1][1] is None


def test_a_summary_tells_an_overflow_as_the_report_does() -> None:
    world = World([LOW, HIGH] * (BARS // 2), ["L." * (BARS // 2)])
    (summary,) = summaries(world, [0])
    assert_json(summary)
    assert summary.total_return_pct is None


def test_a_thinned_curve_keeps_the_extremes_beside_what_is_undefined() -> None:
    equity = np.full(5_000, 10.0)
    equity[1_001], equity[1_002], equity[1_003] = np.nan, 99.0, 1.0
    equity[1_004] = np.inf
    values = [value for _, value in equity_points(equity, np.arange(5_000))]
    assert {1.0, 99.0} <= set(values)
    assert all(value is None or math.isfinite(value) for value in values)


# --- anything ------------------------------------------------------------------------------------

WILD = (5e-324, 1e-308, 1e-300, 1e-9, 1.0, 2.0, 100.0, 1e9, 1e300, 1.7e308)
prices = st.sampled_from(WILD) | st.floats(5e-324, 1.7e308)


def wild_executions() -> st.SearchStrategy[Execution]:
    money = st.sampled_from((1e-300, 1e-9, 1.0, 1e4, 1e15))
    return st.builds(
        Execution,
        init_cash=money,
        fee_pct=st.sampled_from((0.0, 0.075, 49.9)),
        slippage_pct=st.sampled_from((0.0, 0.01, 49.9)),
        fixed_quote=money,
        safe_profit_percent=st.sampled_from((0.0, 30.0, 100.0)),
        direction_mode=st.sampled_from(("long-short", "long-only", "short-only")),
        sizing_mode=st.sampled_from(SIZINGS),
    )


@st.composite
def wild_cases(draw: st.DrawFn) -> Case:
    """A few wild bars, again and again: whatever they do to the money, it is done many times."""
    bar = st.tuples(st.sampled_from((LONG, SHORT, NEUTRAL)), prices)
    pattern = draw(st.lists(bar, min_size=1, max_size=8))
    bars = pattern * draw(st.sampled_from((1, 2, 30, 300)))
    return Case(
        [signal for signal, _ in bars],
        [close for _, close in bars],
        draw(wild_executions()),
        draw(st.just(RiskLevels()) | risk_levels()),
    )


@law(300)
@given(wild_cases())
def test_every_number_of_every_report_is_json(case: Case) -> None:
    sweep = CaseSweep(case)
    (report,) = reports(sweep, [0], top_trades_n=1, result_bytes=2**40)
    (summary,) = summaries(sweep, [0])
    assert report.trades is not None
    assert report.equity is not None
    for shown in (report, summary):
        assert_json(shown)


# --- in the ranking ------------------------------------------------------------------------------


def exploding_candles() -> Candles:
    """Return candles on which mean reversion doubles its money every other bar."""
    calm = candles(BARS)
    close = np.where(np.arange(len(calm.close)) % 2 == 0, LOW, HIGH)
    return replace(calm, open=close, high=close, low=close, close=close)


REVERSION = {
    "indicator_id": "momentum.rsi",
    "params": {"window": {"mode": "explicit", "values": [3, 8]}},
    "signals": {
        "long_threshold": {"mode": "explicit", "values": [50, 0.5]},  # 0.5 is never met
        "short_threshold": {"mode": "explicit", "values": [50.5, 99]},
    },
}


def swept(metric: str, sizing: str) -> tuple[Sweep, TopList, TopList]:
    off: dict[str, Any] = {"sl": [None], "tp": [None, 500.0], "tsl": [None]}
    wanted = request(
        REVERSION,
        primary=metric,
        sizing_mode=sizing,
        risk=off,
        execution={"fee_pct": 0.0, "slippage_pct": 0.0},
        distinct=False,
    )
    run = Sweep(wanted, exploding_candles())
    *_, first = run.stage_a()
    *_, second = run.stage_b(first.top.indexes())
    return run, first.top, second.top


@pytest.mark.parametrize("sizing", SIZINGS)
@pytest.mark.parametrize("metric", METRICS)
def test_a_score_of_either_stage_is_the_figure_of_the_report(metric: str, sizing: str) -> None:
    run, first, second = swept(metric, sizing)
    assert len(second) == 2 * len(first) == 16
    bases = dict(zip(first.indexes().tolist(), first.scores()[0].tolist(), strict=True))
    for index, score in zip(second.indexes().tolist(), second.scores()[0].tolist(), strict=True):
        base, _ = run.grid.split(index)
        trades = simulate(*run.planes_of(base), run.closes, run.rules)
        curve = equity_curve(trades, run.closes, run.rules)
        figure = variant_metrics(trades, curve, run.open_times, run.rules)[metric]
        for found in (score, bases[base]):
            assert (None if np.isnan(found) else float(found)) == figure


def test_money_that_overflowed_ranks_behind_every_return() -> None:
    _, first, second = swept("total_return_pct", "all_in")
    for top in (first, second):
        scores = top.scores()[0]
        defined = int(np.isfinite(scores).sum())
        assert 0 < defined < len(scores)
        assert np.isnan(scores[defined:]).all()


@pytest.mark.parametrize("metric", ["sqn", "sharpe"])
def test_a_quotient_whose_denominator_overflows_is_undefined_and_never_0(metric: str) -> None:
    # Two days at 1, two at 1e200, two at 1.1: the squares of what is won and lost are infinite.
    closes = [1.0] * 12 + [1e200] * 12 + [1.1] * 12
    case = Case([1] * 18 + [0] + [1] * 17, closes, Execution(), RiskLevels())
    (report,) = reports(CaseSweep(case), [0], top_trades_n=0, result_bytes=0)
    assert report.metrics["num_trades"] == 2
    assert report.total_return_pct == pytest.approx(10)
    assert report.metrics[metric] is None


def test_a_loss_that_overflows_defines_no_metric() -> None:
    case = Case([1, 0, -1, 0], [1.0, 2.0, 1e-300, 1e300], Execution(), RiskLevels())
    (report,) = reports(CaseSweep(case), [0], top_trades_n=0, result_bytes=0)
    assert {name for name in METRICS if report.metrics[name] is not None} == {"num_trades"}


def test_a_drawdown_below_a_peak_that_overflowed_is_undefined() -> None:
    # In position equity is infinite, at the exit it is not.
    closes = [1e-300, 1e300, 1e-300, 1e-300]
    case = Case([1, 1, 1, 0], closes, Execution(), RiskLevels())
    (report,) = reports(CaseSweep(case), [0], top_trades_n=0, result_bytes=0)
    assert report.total_return_pct == pytest.approx(0)
    drawdowns = ("max_drawdown_pct", "avg_drawdown_pct", "return_over_max_drawdown", "calmar")
    assert [report.metrics[name] for name in drawdowns] == [None] * 4
