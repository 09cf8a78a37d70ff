"""Reports of constructed variants whose every figure is known."""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.candles import Candles
from engine.grid import Grid
from engine.report import VariantReport, equity_points, reports, summaries
from engine.request import Request, complete, parse
from engine.timeframes import TIMEFRAMES
from tests.engine.requests import DEFAULTS, LIMITS, document, explicit

START_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
HOUR, DAY = TIMEFRAMES["1h"], TIMEFRAMES["1d"]
FREE = {"init_cash_quote": 1100, "fee_pct": 0, "slippage_pct": 0}
Bits = NDArray[np.uint64]


class World:
    """Given closes and given signals in the place of a sweep; one signal per base variant."""

    def __init__(
        self,
        closes: Sequence[float],
        signals: Sequence[str],
        *,
        timeframe: str = "1h",
        execution: dict[str, float] | None = None,
        risk: dict[str, Any] | None = None,
        sizing: str = "all_in",
    ) -> None:
        whole = document()
        windows = explicit(*range(5, 5 + len(signals)))
        whole["template"] |= {
            "timeframe": timeframe,
            "indicator_grids": [{"indicator_id": "ma.sma", "params": {"window": windows}}],
            "execution": FREE if execution is None else execution,
            "risk_grid": risk or {},
            "sizing_mode": sizing,
        }
        self.request: Request = parse(complete(whole, DEFAULTS, LIMITS))
        self.grid = Grid.of(self.request)
        length = self.request.timeframe_ms
        prices = np.array(closes, dtype=np.float64)
        self.candles = Candles(
            ts_open=START_MS + length * np.arange(len(prices), dtype=np.int64),
            open=prices,
            high=prices,
            low=prices,
            close=prices,
            volume=np.ones_like(prices),
            timeframe_ms=length,
            first=0,
        )
        self.signals = signals

    def planes_of(self, base_index: int) -> tuple[Bits, Bits]:
        return plane(self.signals[base_index], "L"), plane(self.signals[base_index], "S")

    def report(self, index: int = 0) -> VariantReport:
        (only,) = reports(self, [index], top_trades_n=1, result_bytes=2**40)
        return only


def plane(signals: str, wanted: str) -> Bits:
    words = np.zeros(-(-len(signals) // 64), dtype=np.uint64)
    for bar, signal in enumerate(signals):
        if signal == wanted:
            words[bar // 64] |= np.uint64(1 << (bar % 64))
    return words


def rows(table: str | None) -> dict[str, str]:
    assert table is not None
    return dict(line.strip("|").split("|") for line in table.splitlines()[2:])


ONE_LOSS = World([100, 110, 121, 100, 90, 99], [".LL..."])


def test_the_table_of_one_losing_trade_is_known_to_the_digit() -> None:
    assert ONE_LOSS.report().table_md == (
        "|Metric|Value|\n"
        "|---|---|\n"
        "|Start|2024-01-01T00:00:00Z|\n"
        "|End|2024-01-01T06:00:00Z|\n"
        "|Duration|0 days 06:00:00|\n"
        "|Init. Cash|1100|\n"
        "|Total Profit|-100|\n"
        "|Total Return [%]|-9.0909|\n"
        "|Benchmark Return [%]|-1|\n"
        "|Position Coverage [%]|50|\n"
        "|Max. Drawdown [%]|17.3554|\n"
        "|Avg. Drawdown [%]|8.6777|\n"
        "|Max. Drawdown Duration|0 days 03:00:00|\n"
        "|Avg. Drawdown Duration|0 days 03:00:00|\n"
        "|Num. Trades|1|\n"
        "|Win Rate [%]|0|\n"
        "|Best Trade [%]|-9.0909|\n"
        "|Worst Trade [%]|-9.0909|\n"
        "|Avg. Trade [%]|-9.0909|\n"
        "|Max. Trade Duration|0 days 02:00:00|\n"
        "|Avg. Trade Duration|0 days 02:00:00|\n"
        "|Expectancy [%]|-9.0909|\n"
        "|SQN|N/A|\n"
        "|Profit Factor|0|\n"
        "|Gross Exposure|0.31818|\n"
        "|Sharpe|N/A|\n"
        "|Sortino|N/A|\n"
        "|Calmar|N/A|\n"
    )


def test_the_equity_of_one_losing_trade_is_known() -> None:
    assert ONE_LOSS.report().equity == [
        [START_MS + bar * HOUR, pytest.approx(value)]
        for bar, value in enumerate([1100, 1100, 1210, 1000, 1000, 1000], start=1)
    ]


def test_without_trades_only_what_needs_none_is_defined() -> None:
    report = World([100, 110, 121], ["..."]).report()
    values = rows(report.table_md)
    undefined = {label for label, value in values.items() if value == "N/A"}
    assert undefined == set(values) - {
        "Start",
        "End",
        "Duration",
        "Init. Cash",
        "Total Profit",
        "Total Return [%]",
        "Benchmark Return [%]",
        "Position Coverage [%]",
        "Num. Trades",
        "Gross Exposure",
    }
    assert values["Benchmark Return [%]"] == "21"
    assert [values[k] for k in ("Total Profit", "Num. Trades", "Gross Exposure")] == ["0"] * 3
    assert report.trades == []
    assert report.total_return_pct == 0


def test_daily_ratios_follow_their_formulas() -> None:
    world = World(
        [100, 110, 99, 108.9],
        ["LLLL"],
        timeframe="1d",
        execution=FREE | {"init_cash_quote": 1000},
    )
    returns = [0.0, 0.1, -0.1, 0.1]
    mean = sum(returns) / 4
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / 3)
    downside = math.sqrt(0.1**2 / 4)
    metrics = world.report().metrics
    assert metrics["sharpe"] == pytest.approx(math.sqrt(365) * mean / deviation, rel=1e-9)
    assert metrics["sortino"] == pytest.approx(math.sqrt(365) * mean / downside, rel=1e-9)
    annual = math.prod(1 + r for r in returns) ** (365 / 4) - 1
    assert metrics["calmar"] == pytest.approx(annual / 0.1, rel=1e-9)


def test_drawdown_episodes_last_from_the_peak_to_the_bar_that_is_back() -> None:
    # Down for two bars and back, then down for one bar and above the peak.
    metrics = World([100, 90, 95, 100, 98, 105, 105], ["LLLLLL."]).report().metrics
    assert metrics["max_drawdown_duration_ms"] == 3 * HOUR
    assert metrics["avg_drawdown_duration_ms"] == 2.5 * HOUR
    assert metrics["avg_drawdown_pct"] == pytest.approx((10 + 5 + 2) / 7)
    assert metrics["max_drawdown_pct"] == pytest.approx(10)


def test_a_rising_curve_has_no_drawdown_to_last() -> None:
    values = rows(World([100, 110, 121], ["LLL"]).report().table_md)
    assert values["Max. Drawdown [%]"] == "0"
    assert values["Avg. Drawdown [%]"] == "0"
    assert values["Max. Drawdown Duration"] == values["Avg. Drawdown Duration"] == "N/A"


def test_a_drawdown_open_at_the_end_lasts_to_the_last_bar() -> None:
    metrics = World([100, 120, 110, 100, 100], ["LL..."]).report().metrics
    assert metrics["max_drawdown_duration_ms"] == 3 * HOUR


def test_the_peak_starts_at_the_initial_cash() -> None:
    execution = FREE | {"fee_pct": 1.0}
    metrics = World([100, 100, 100], ["LL."], execution=execution).report().metrics
    assert metrics["max_drawdown_duration_ms"] == 2 * HOUR
    assert metrics["max_drawdown_pct"] == pytest.approx(100 * (1 - 0.99 / 1.01))


def test_a_short_that_loses_everything_has_no_exposure_and_no_ratios() -> None:
    report = World([100, 100, 250, 250], ["SSSS"]).report()
    values = rows(report.table_md)
    assert values["Gross Exposure"] == "N/A"
    assert values["Total Return [%]"] == "-150"
    assert values["Max. Drawdown [%]"] == "150"


def test_a_bar_in_two_trades_is_covered_once() -> None:
    metrics = World([100, 101, 102, 103, 104], ["LLSS."]).report().metrics
    assert metrics["num_trades"] == 2
    assert metrics["position_coverage_pct"] == 100  # entry at 0, turn at 2, exit at 4


def test_exposure_counts_what_was_paid_for_the_position() -> None:
    execution = FREE | {"init_cash_quote": 1000, "fixed_quote": 250}
    world = World([100] * 4, ["LL.."], execution=execution, sizing="fixed_quote")
    assert world.report().metrics["gross_exposure"] == pytest.approx(2 * 0.25 / 4)


def test_best_and_worst_trade_are_relative_to_what_was_paid() -> None:
    metrics = World([100, 110, 110, 99, 99, 99], ["L.L..."]).report().metrics
    assert metrics["best_trade_pct"] == pytest.approx(10)
    assert metrics["worst_trade_pct"] == pytest.approx(-10)
    assert metrics["avg_trade_pct"] == metrics["expectancy_pct"]
    assert metrics["total_profit"] == pytest.approx(1100 * 1.1 * 0.9 - 1100)


def test_a_trade_names_its_times_amounts_costs_and_reason() -> None:
    execution = {"init_cash_quote": 1010, "fee_pct": 1.0, "slippage_pct": 0}
    world = World([100, 110, 120, 120], ["SL.."], execution=execution)
    trades = world.report().trades
    assert trades is not None
    short, long = trades
    assert short == {
        "id": 1,
        "direction": "short",
        "entry_time": "2024-01-01T01:00:00Z",
        "exit_time": "2024-01-01T02:00:00Z",
        "entry_price": 100.0,
        "exit_price": 110.0,
        "quantity": pytest.approx(10),
        "entry_quote": pytest.approx(1000),
        "exit_quote": pytest.approx(1100),
        "entry_fee": pytest.approx(10),
        "exit_fee": pytest.approx(11),
        "gross_pnl": pytest.approx(-100),
        "net_pnl": pytest.approx(-121),
        "return_pct": pytest.approx(-12.1),
        "exit_reason": "signal_exit",
    }
    assert (long["id"], long["direction"], long["entry_time"]) == (
        2,
        "long",
        "2024-01-01T02:00:00Z",
    )


@pytest.mark.parametrize(
    ("closes", "risk", "reason"),
    [
        ([100, 95, 90, 90], {"sl": explicit(5)}, "sl"),
        ([100, 105, 110, 110], {"tp": explicit(5)}, "tp"),
        ([100, 110, 104, 104], {"tsl": explicit(5)}, "tsl"),
        ([100, 101, 102, 103], {}, "forced_close"),
    ],
)
def test_a_trade_says_why_it_ended(closes: list[float], risk: Any, reason: str) -> None:
    trades = World(closes, ["LLLL"], risk=risk).report().trades
    assert trades is not None
    assert [trade["exit_reason"] for trade in trades] == [reason]


MANY = World(
    [100, 102, 99, 104, 101, 107, 103, 98],
    ["L.L.L.L.", "LLLLLLLL", "SSLLSSLL"],
    risk={"sl": explicit(None, 1), "tp": explicit(2)},
)


def test_reports_come_in_the_order_asked_with_keys_of_the_grid() -> None:
    indexes = np.array([4, 1, 3], dtype=np.int64)
    found = list(reports(MANY, indexes, top_trades_n=0, result_bytes=2**40))
    assert [report.rank for report in found] == [1, 2, 3]
    assert [report.variant_index for report in found] == [4, 1, 3]
    for report in found:
        assert report.payload == MANY.grid.variant(report.variant_index)
        assert report.variant_key == MANY.grid.variant_key(report.variant_index)
        assert report.indicator_variant_key == MANY.grid.indicator_variant_key(report.variant_index)


def test_only_the_best_come_with_trades_and_equity() -> None:
    found = list(reports(MANY, [0, 1, 2], top_trades_n=2, result_bytes=2**40))
    assert [report.trades is not None for report in found] == [True, True, False]
    assert [report.equity is not None for report in found] == [True, True, False]
    assert all(report.table_md for report in found)


def test_a_summary_has_the_figures_of_the_report_and_nothing_heavy() -> None:
    for summary, report in zip(
        summaries(MANY, range(6)),
        reports(MANY, range(6), top_trades_n=6, result_bytes=2**40),
        strict=True,
    ):
        assert (summary.table_md, summary.trades, summary.equity) == (None, None, None)
        assert summary.metrics.items() <= report.metrics.items()
        assert summary.total_return_pct == report.total_return_pct
        assert summary.payload == report.payload


def test_a_report_is_json_as_it_stands() -> None:
    for world in (MANY, ONE_LOSS, World([100, 100, 250, 250], ["SSSS"])):
        report = world.report()
        parts = (report.metrics, report.payload, report.trades, report.equity)
        assert json.loads(json.dumps(parts, allow_nan=False)) == list(parts)


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400),
    repeats=st.integers(1, 20),
)
@settings(max_examples=100, deadline=None)
def test_a_thinned_curve_keeps_its_ends_and_extremes(values: list[float], repeats: int) -> None:
    equity = np.repeat(np.array(values), repeats)
    times = START_MS + HOUR * np.arange(len(equity), dtype=np.int64)
    points = equity_points(equity, times)
    kept = [value for _, value in points]
    assert len(points) <= 1000
    assert [times[0], times[-1]] == [points[0][0], points[-1][0]]
    assert (min(kept), max(kept)) == (equity.min(), equity.max())
    assert all(earlier[0] < later[0] for earlier, later in pairwise(points))
    assert all(value == equity[(time - START_MS) // HOUR] for time, value in points)


def test_a_short_curve_is_kept_whole() -> None:
    assert len(equity_points(np.arange(1000.0), np.arange(1000))) == 1000


def test_one_traded_bar_has_a_report() -> None:
    values = rows(World([100], ["L"]).report().table_md)
    assert values["Num. Trades"] == "0"
    assert values["Benchmark Return [%]"] == "0"
