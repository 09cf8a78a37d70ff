"""Reports of sized and levered positions and of what holding costs, against pandas."""

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.report import reports
from tests.engine.adapter import close_to
from tests.engine.case_sweep import CaseSweep
from tests.engine.cases import Case
from tests.engine.mode_cases import mode_cases
from tests.engine.plain_metrics import measure
from tests.engine.report_reference import Facts, figures, unequal, unequal_trades
from tests.engine.simulator import Execution, RiskLevels
from tests.engine.test_report_fills import BARS
from tests.engine.test_report_hold import report_of
from tests.engine.test_report_reference import durations

# How trades fill and are sized. Where they fill at opens, when a liquidation is over is not told by
# the trade alone: there they are swept in `test_money_sweep`.
WAYS: dict[str, dict[str, Any]] = {
    "at closes": {"entry_fill": "close", "stop_fill": "close"},
    "inside bars": {"entry_fill": "close", "stop_fill": "intrabar"},
    "at opens": {"entry_fill": "next_open", "leverage": None},
}


@pytest.mark.parametrize("way", WAYS)
@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_figures_trades_and_equity_are_those_of_their_definitions(
    way: str, data: st.DataObject
) -> None:
    case = data.draw(mode_cases(**WAYS[way]))
    rules = case.execution
    assume(rules.sizing_mode != "risk_per_trade" or rules.sizing_sl is None)
    assume(rules.leverage is None or rules.slippage_pct < 100 / rules.leverage)
    run, prices, cash = case.run(), case.prices, rules.init_cash
    report = report_of(case)
    facts = Facts(run.trades, run.equity, prices, rules)
    skip = durations(run, cash, measure(run, cash, prices.open_ms).fragile)
    assert unequal(report.metrics, figures(facts), skip) == {}
    assert report.trades is not None
    assert unequal_trades(report.trades, facts) == []
    assert report.equity is not None
    for (_, value), expected in zip(report.equity, run.equity, strict=True):
        assert value is not None
        assert close_to(value, expected)


CHARGES = {
    (): {},
    ("margin",): {"leverage": 2.0},
    ("carry",): {"funding_pct_per_8h": 0.01},
    ("margin", "carry"): {"leverage": 1.0, "borrow_pct_per_year": 3.0},
}


@pytest.mark.parametrize("charges", CHARGES, ids=" ".join)
def test_a_trade_says_its_margin_and_its_carry_where_the_rules_have_them(
    charges: tuple[str, ...],
) -> None:
    rules = Execution(1000.0, **CHARGES[charges])
    case = Case([0, 1, 1, -1, 0, 0, 0], [*BARS.close], rules, RiskLevels())
    (report,) = reports(CaseSweep(case, prices=BARS), [0], top_trades_n=1, result_bytes=2**40)
    assert report.trades
    assert {key for trade in report.trades for key in trade} & {"margin", "carry"} == {*charges}
