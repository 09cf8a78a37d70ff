"""The engine's execution equals the bar-by-bar simulator, and obeys laws of its own."""

from dataclasses import replace

from hypothesis import HealthCheck, assume, example, given, settings

from tests.engine.adapter import close_to, difference, engine_run
from tests.engine.cases import Case, cases, long_cases, short_cases
from tests.engine.simulator import LONG, SHORT, Execution, RiskLevels, simulate

PARITY = settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
LAW = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
NO_RISK = RiskLevels()


def assert_parity(case: Case) -> None:
    reference = simulate(case.signals, case.closes, case.execution, case.risk)
    ours = engine_run(case.signals, case.closes, case.execution, case.risk)
    assert difference(ours, reference) is None, difference(ours, reference)


@PARITY
@given(short_cases())
@example(Case([1], [100.0], Execution(), NO_RISK))
@example(Case([1, 1], [100.0, 100.0], Execution(), NO_RISK))
@example(Case([-1, 1, 1], [100.0, 201.0, 100.0], Execution(), NO_RISK))
@example(Case([1, 1, 1], [100.0, 110.0, 110.0], Execution(), RiskLevels(tp=1.0, tsl=1e-15)))
def test_a_few_bars_trade_as_in_the_simulator(case: Case) -> None:
    assert_parity(case)


@PARITY
@given(long_cases())
def test_hundreds_of_bars_trade_as_in_the_simulator(case: Case) -> None:
    assert_parity(case)


@LAW
@given(cases())
def test_doubling_prices_and_money_changes_no_return(case: Case) -> None:
    richer = replace(
        case.execution,
        init_cash=2 * case.execution.init_cash,
        fixed_quote=2 * case.execution.fixed_quote,
    )
    once = engine_run(case.signals, case.closes, case.execution, case.risk)
    twice = engine_run(case.signals, [2 * close for close in case.closes], richer, case.risk)
    assert twice.total_return_pct == once.total_return_pct
    assert [t.reason for t in twice.trades] == [t.reason for t in once.trades]


@LAW
@given(cases())
def test_costs_never_help_while_there_is_money_and_no_risk_level(case: Case) -> None:
    costly = engine_run(case.signals, case.closes, case.execution, NO_RISK)
    assume(all(t.available > 1e-6 * case.execution.init_cash for t in costly.trades))
    free_of_costs = replace(case.execution, fee_pct=0.0, slippage_pct=0.0)
    free = engine_run(case.signals, case.closes, free_of_costs, NO_RISK)
    tolerance = 1e-9 * max(1.0, abs(free.total_return_pct))
    assert costly.total_return_pct <= free.total_return_pct + tolerance


@LAW
@given(cases())
def test_short_on_the_negated_signal_loses_what_long_gains_on_an_uncapped_quote(case: Case) -> None:
    # More cash than any of these prices can lose for a position of this size.
    execution = replace(
        case.execution,
        init_cash=1e6,
        fee_pct=0.0,
        slippage_pct=0.0,
        sizing_mode="fixed_quote",
        fixed_quote=1e-3,
    )
    negated = [-signal for signal in case.signals]
    long = engine_run(
        case.signals, case.closes, replace(execution, direction_mode="long-only"), NO_RISK
    )
    short = engine_run(
        negated, case.closes, replace(execution, direction_mode="short-only"), NO_RISK
    )
    assert all(t.quote == execution.fixed_quote for t in long.trades + short.trades)
    assert all(close_to(b.net, -a.net) for a, b in zip(long.trades, short.trades, strict=True))
    assert close_to(short.total_return_pct, -long.total_return_pct)


@LAW
@given(cases())
def test_long_only_never_looks_at_short_signals_but_as_an_exit(case: Case) -> None:
    long_only = replace(case.execution, direction_mode="long-only")
    flattened = [signal if signal == LONG else 0 for signal in case.signals]
    assert engine_run(case.signals, case.closes, long_only, case.risk) == engine_run(
        flattened, case.closes, long_only, case.risk
    )


@LAW
@given(cases())
def test_nothing_of_the_future_changes_a_finished_trade(case: Case) -> None:
    assume(len(case.closes) > 2)
    cut = len(case.closes) // 2
    whole = engine_run(case.signals, case.closes, case.execution, case.risk)
    part = engine_run(case.signals[:cut], case.closes[:cut], case.execution, case.risk)
    finished = [t for t in whole.trades if t.exit_bar < cut - 1]
    assert part.trades[: len(finished)] == finished


@LAW
@given(cases())
def test_a_run_of_one_signal_is_at_most_one_trade(case: Case) -> None:
    run = engine_run(case.signals, case.closes, case.execution, case.risk)
    for trade in run.trades:
        wanted = LONG if trade.direction == LONG else SHORT
        assert all(s == wanted for s in case.signals[trade.entry_bar : trade.exit_bar])
        before = case.signals[trade.entry_bar - 1] if trade.entry_bar else 0
        assert before != wanted
