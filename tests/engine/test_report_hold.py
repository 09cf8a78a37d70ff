"""Reports of positions that are held, against pandas: figures, trades and equity curves."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.report import VariantReport, reports
from engine.sweep import Sweep
from tests.engine.adapter import close_to
from tests.engine.case_sweep import CaseSweep
from tests.engine.cases import SIZINGS, Case
from tests.engine.mode_cases import ModeCase
from tests.engine.plain_metrics import measure
from tests.engine.rederive import execution_of, traded_prices
from tests.engine.report_reference import Facts, figures, unequal, unequal_trades
from tests.engine.simulator import Run
from tests.engine.test_hold_sweep import FILLS, WAYS, Way, every_way, last, world_of
from tests.engine.test_modes import cases
from tests.engine.test_report_fills import NAMES
from tests.engine.test_report_reference import durations
from tests.engine.worlds import World

SIZING = st.sampled_from(SIZINGS)
MODES = [(*fills, pause) for fills, pause in zip(FILLS, (0, None, None, 0), strict=True)]


def report_of(case: ModeCase) -> VariantReport:
    prices = case.prices
    timeframe = NAMES[prices.close_ms[0] - prices.open_ms[0]]
    shown = Case(case.signals, [*prices.close], case.execution, case.risk)
    variant = CaseSweep(shown, timeframe, prices, case.exits)
    (report,) = reports(variant, [0], top_trades_n=1, result_bytes=2**40)
    return report


def facts_of(world: World, run: Run) -> Facts:
    prices = traded_prices(world.candles)
    return Facts(run.trades, run.equity, prices, execution_of(world.template))


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(map(str, mode)))
@given(st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_figures_trades_and_equity_are_those_of_their_definitions(
    mode: tuple[str, str, int | None], data: st.DataObject
) -> None:
    entry_fill, stop_fill, pause = mode
    case: ModeCase = data.draw(cases((entry_fill, stop_fill, "hold", pause), data.draw(SIZING)))
    run, prices, cash = case.run(), case.prices, case.execution.init_cash
    report = report_of(case)
    facts = Facts(run.trades, run.equity, prices, case.execution)
    skip = durations(run, cash, measure(run, cash, prices.open_ms).fragile)
    assert unequal(report.metrics, figures(facts), skip) == {}
    assert report.trades is not None
    assert unequal_trades(report.trades, facts) == []
    assert report.equity is not None
    assert [time for time, _ in report.equity] == list(prices.close_ms)
    for (_, value), expected in zip(report.equity, run.equity, strict=True):
        assert value is not None
        assert close_to(value, expected)


@every_way
def test_a_swept_variant_is_reported_with_the_trades_of_the_simulator(way: Way) -> None:
    world = world_of(way)
    sweep = Sweep(world.request(), world.candles)
    shortlist = last(sweep.stage_a()).indexes()[:4]
    best = last(sweep.stage_b(shortlist)).indexes()[::7].tolist()
    references = world.stage_b(shortlist.tolist())
    for report in reports(sweep, best, top_trades_n=len(best), result_bytes=2**40):
        reference = references[report.variant_index]
        facts = facts_of(world, reference.run)
        assert report.trades is not None
        assert unequal_trades(report.trades, facts) == []
        skip = durations(reference.run, facts.init_cash, reference.measured.fragile)
        assert unequal(report.metrics, figures(facts), skip) == {}


def test_every_reason_to_close_is_among_the_trades_that_are_compared() -> None:
    reasons = {
        trade.reason
        for way in WAYS
        for reference in world_of(way).stage_b(range(2)).values()
        for trade in reference.run.trades
    }
    assert reasons >= {"signal_exit", "sl", "tp", "tsl", "forced_close"}
