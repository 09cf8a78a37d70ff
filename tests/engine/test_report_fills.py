"""Reports of trades that fill at the next open or inside bars, against pandas and by hand."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.report import VariantReport, reports
from engine.timeframes import TIMEFRAMES
from tests.engine.case_sweep import CaseSweep
from tests.engine.cases import SIZINGS, Case
from tests.engine.mode_cases import ModeCase
from tests.engine.plain_metrics import measure
from tests.engine.report_reference import Facts, figures, unequal, unequal_trades
from tests.engine.simulator import LONG, NEUTRAL, SHORT, Execution, Prices, RiskLevels
from tests.engine.test_fills_sweep import every_fill
from tests.engine.test_modes import cases
from tests.engine.test_report_reference import durations
from tests.engine.worlds import START_MS

NAMES = {step: name for name, step in TIMEFRAMES.items()}
HOUR = TIMEFRAMES["1h"]


def report_of(case: Case, prices: Prices) -> VariantReport:
    timeframe = NAMES[prices.close_ms[0] - prices.open_ms[0]]
    variant = CaseSweep(case, timeframe, prices)
    (report,) = reports(variant, [0], top_trades_n=1, result_bytes=2**40)
    return report


@every_fill
@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_figures_and_trades_are_those_of_their_definitions(
    fills: tuple[str, str], data: st.DataObject
) -> None:
    case: ModeCase = data.draw(cases((*fills, "state", 0), data.draw(st.sampled_from(SIZINGS))))
    run, prices, cash = case.run(), case.prices, case.execution.init_cash
    report = report_of(Case(case.signals, [*prices.close], case.execution, case.risk), prices)
    facts = Facts(run.trades, run.equity, prices, case.execution)
    skip = durations(run, cash, measure(run, cash, prices.open_ms).fragile)
    assert unequal(report.metrics, figures(facts), skip) == {}
    assert report.trades is not None
    assert unequal_trades(report.trades, facts) == []


# --- by hand ---------------------------------------------------------------------------------

# Bars of four hours. Bought at the open of bar 1, stopped in it at 102 * 0.95; sold short at the
# open of bar 3, where 950 are left, bought back at the open of bar 5. Nothing opens on bars 5, 6.
SIGNALS = [LONG, LONG, SHORT, SHORT, NEUTRAL, LONG, LONG]
ROWS = (
    (100.0, 101.0, 99.0, 100.0),
    (102.0, 103.0, 95.0, 97.0),
    (97.0, 98.0, 96.0, 97.0),
    (98.0, 99.0, 97.0, 98.0),
    (97.0, 98.0, 96.0, 97.0),
    (104.0, 105.0, 96.0, 97.0),
    (98.0, 99.0, 97.0, 98.0),
)
OPENS = [START_MS + bar * 4 * HOUR for bar in range(len(ROWS))]
BARS = Prices(*zip(*ROWS, strict=True), OPENS, [at + 4 * HOUR for at in OPENS])
AFTER = 950 * (2 - 104 / 98)  # of the short
BY_HAND = {
    "total_profit": AFTER - 1000,
    "num_trades": 2.0,
    # Bar 1; bars 3, 4 and 5, at whose open the short is gone.
    "position_coverage_pct": 100 * 4 / 7,
    # The long is gone at every close; the short is there at two: 950 / 950, then at a close of 97.
    "gross_exposure": (1 + 950 / (950 * (2 - 97 / 98))) / 7,
    # From an open to the close of its bar, and from an open to one two bars later.
    "max_trade_duration_ms": 8.0 * HOUR,
    "avg_trade_duration_ms": 6.0 * HOUR,
    # 1000, 950 until the short wins at 97, and the rest from bar 5 on.
    "max_drawdown_pct": 100 * (1 - AFTER / 1000),
    "avg_drawdown_pct": 100 / 7 * (0.05 * 3 + (1 - 0.95 * (2 - 97 / 98)) + 2 * (1 - AFTER / 1000)),
    # From the close of bar 0, the last at the peak, to that of bar 6.
    "max_drawdown_duration_ms": 24.0 * HOUR,
}


def test_figures_of_next_open_fills_and_a_stop_in_the_bar_of_the_entry_are_those_by_hand() -> None:
    rules = Execution(1000.0, entry_fill="next_open", stop_fill="intrabar")
    report = report_of(Case(SIGNALS, [*BARS.close], rules, RiskLevels(sl=5.0)), BARS)
    found = {name: report.metrics[name] for name in BY_HAND}
    assert found == pytest.approx(BY_HAND, rel=1e-12)
    assert report.trades is not None
    assert [(t["entry_time"][11:16], t["exit_time"][11:16]) for t in report.trades] == [
        ("04:00", "08:00"),
        ("12:00", "20:00"),
    ]
