"""What holds of every run of the simulator, by the sense of the rules and not by their formulas.

The generated cases are those that the engine is compared on; the first test counts what they reach.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings

from tests.engine.mode_cases import COSTLESS, ModeCase, mode_cases
from tests.engine.simulator import LONG, Trade

LAW = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
RISK_EXITS = ("liquidation", "sl", "tsl", "tp")


def test_generated_cases_reach_every_way_out_in_every_mode() -> None:
    reached: Counter[tuple[str, str, str, str]] = Counter()

    @settings(LAW, max_examples=1500, derandomize=True, database=None)
    @given(mode_cases())
    def count(case: ModeCase) -> None:
        rules = case.execution
        for trade in case.run().trades:
            reached[(trade.reason, rules.position, rules.entry_fill, rules.stop_fill)] += 1

    count()
    for reason in (*RISK_EXITS, "signal_exit", "forced_close"):
        for position in ("state", "hold"):
            for entry_fill in ("close", "next_open"):
                for stop_fill in ("close", "intrabar"):
                    assert reached[(reason, position, entry_fill, stop_fill)] > 0
    assert sum(times for way, times in reached.items() if way[0] == "ruin") > 0


@LAW
@given(mode_cases())
def test_bars_hold_their_opens_and_closes(case: ModeCase) -> None:
    prices = case.prices
    rows = zip(prices.open, prices.high, prices.low, prices.close, strict=True)
    assert all(0 < low <= min(o, c) and max(o, c) <= high for o, high, low, c in rows)
    assert all(
        end <= opens for end, opens in zip(prices.close_ms, prices.open_ms[1:], strict=False)
    )


@LAW
@given(mode_cases())
def test_the_account_adds_up_after_every_trade(case: ModeCase) -> None:
    run, money = case.run(), case.execution.init_cash
    near = case.rounding(run) * (1 + len(run.trades))
    for trade in run.trades:
        money += trade.net
        assert trade.available + trade.safe == pytest.approx(money, abs=near)
    assert run.equity[-1] == pytest.approx(money, abs=near)


@LAW
@given(mode_cases())
def test_trades_follow_one_another_and_keep_the_cooldown(case: ModeCase) -> None:
    run, rules = case.run(), case.execution
    last = len(case.signals) - 1
    last_entry = last - (2 if rules.entry_fill == "next_open" else 1)
    assert all(t.entry_bar < t.exit_bar <= last for t in run.trades)
    assert all(t.entry_bar <= last_entry for t in run.trades)
    for before, after in pairwise(run.trades):
        assert before.exit_bar <= after.entry_bar
        if before.exit_bar == after.entry_bar:
            assert before.direction != after.direction
        # An exit at an open may have been decided by the signal and have become a liquidation.
        if before.reason in RISK_EXITS[1:] and rules.reentry_after_bars:
            assert before.exit_bar + rules.reentry_after_bars < after.entry_bar


def seen(case: ModeCase, trade: Trade) -> Iterator[int]:
    """Yield the bars that a trade has lived through from open to close."""
    first = trade.entry_bar + 1
    inside = case.execution.stop_fill == "intrabar" and trade.reason in RISK_EXITS
    yield from range(first, trade.exit_bar + (0 if inside else 1))


@LAW
@given(mode_cases(stop_fill="intrabar"))
def test_no_position_outlives_a_bar_that_reaches_its_stop_or_target(case: ModeCase) -> None:
    run, prices, risk = case.run(), case.prices, case.risk
    for trade in run.trades:
        if trade.reason == "liquidation":  # perhaps at an open, and dated with the bar before
            continue
        down, up = (risk.sl, risk.tp) if trade.direction == LONG else (risk.tp, risk.sl)
        for bar in seen(case, trade):
            if down is not None:
                assert prices.low[bar] > trade.entry_fill * (1 - down / 100)
            if up is not None:
                assert prices.high[bar] < trade.entry_fill * (1 + up / 100)


@LAW
@given(mode_cases(stop_fill="intrabar", slippage_pct=0.0))
def test_what_fills_inside_a_bar_fills_at_a_price_of_it(case: ModeCase) -> None:
    for trade in case.run().trades:
        if trade.reason in RISK_EXITS[1:]:
            low, high = case.prices.low[trade.exit_bar], case.prices.high[trade.exit_bar]
            assert low * (1 - 2e-12) <= trade.exit_fill <= high * (1 + 2e-12)


@LAW
@given(mode_cases(stop_fill="intrabar", **COSTLESS))
def test_a_stop_loses_its_percent_and_a_gap_and_a_target_gains_at_least_its_percent(
    case: ModeCase,
) -> None:
    for trade in case.run().trades:
        move = trade.direction * (trade.exit_fill / trade.entry_fill - 1)
        if trade.reason == "sl":
            assert case.risk.sl is not None
            level = trade.entry_fill * (1 - trade.direction * case.risk.sl / 100)
            gap = max(0.0, trade.direction * (level - case.prices.open[trade.exit_bar]))
            assert -move == pytest.approx(case.risk.sl / 100 + gap / trade.entry_fill, abs=1e-9)
        if trade.reason == "tp":
            assert case.risk.tp is not None
            assert move >= case.risk.tp / 100 - 1e-9


@LAW
@given(mode_cases(**COSTLESS))
def test_no_more_than_the_margin_is_ever_lost_with_leverage(case: ModeCase) -> None:
    assume(case.execution.leverage is not None)
    for trade in case.run().trades:
        assert trade.net >= -trade.margin * (1 + 1e-9)
        if trade.reason == "liquidation":
            assert trade.net == -trade.margin


@LAW
@given(mode_cases(borrow_pct_per_year=0.0))
def test_funding_is_paid_at_each_eighth_hour_between_two_fills(case: ModeCase) -> None:
    prices, rules = case.prices, case.execution
    for trade in case.run().trades:
        if trade.reason == "liquidation":
            assert trade.carry == 0
            continue
        begin, until = prices.close_ms[trade.entry_bar], prices.close_ms[trade.exit_bar]
        if rules.entry_fill == "next_open":
            begin = prices.open_ms[trade.entry_bar + 1]
        inside = rules.stop_fill == "intrabar" and trade.reason in RISK_EXITS
        waits = rules.entry_fill == "next_open" and not inside
        if waits and trade.reason != "ruin" and trade.exit_bar + 1 < len(case.signals):
            until = prices.open_ms[trade.exit_bar + 1]
        hour = 3_600_000
        due, at = 0, begin - begin % hour + hour
        while at <= until:
            if at // hour % 24 in (0, 8, 16) and not (inside and at == until):
                due += 1
            at += hour
        paid = trade.direction * due * trade.quote * rules.funding_pct_per_8h / 100
        assert trade.carry == pytest.approx(paid, rel=1e-9, abs=1e-12)
