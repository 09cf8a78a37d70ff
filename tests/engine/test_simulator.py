"""The reference simulator itself, on cases worked out by hand."""

from dataclasses import replace

import pytest

from tests.engine.simulator import Execution, RiskLevels, Run, simulate


def exits(run: Run) -> list[tuple[int, int, int, str]]:
    return [(t.direction, t.entry_bar, t.exit_bar, t.reason) for t in run.trades]


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-12, abs=1e-12)


def test_an_all_in_long_pays_fees_and_slippage_on_both_fills() -> None:
    # Fee 1 %, slippage 2 %, cash 1010. Entry at close 100: Q = 1010 / 1.01 = 1000, fee 10, A = 0,
    # fill 100 * 1.02 = 102, quantity 1000 / 102 = 9.803921568627452.
    # Exit at close 120: fill 120 * 0.98 = 117.6, value 9.803921568627452 * 117.6
    # = 1152.9411764705883, fee 11.529411764705883, gross 152.9411764705883,
    # net 152.9411764705883 - 10 - 11.529411764705883 = 131.4117647058824,
    # A = 1000 + 152.9411764705883 - 11.529411764705883 = 1141.4117647058824.
    run = simulate(
        [0, 1, 1, 0], [90.0, 100.0, 110.0, 120.0], Execution(1010.0, fee_pct=1.0, slippage_pct=2.0)
    )
    (trade,) = run.trades
    assert exits(run) == [(1, 1, 3, "signal_exit")]
    assert (trade.quote, trade.entry_fill, trade.exit_fill) == (near(1000), near(102), near(117.6))
    assert (trade.entry_fee, trade.exit_fee) == (near(10), near(11.529411764705883))
    assert (trade.gross, trade.net) == (near(152.9411764705883), near(131.4117647058824))
    assert trade.available == near(1141.4117647058824)
    # Marked at raw closes: 9.803921568627452 * 100 and * 110.
    assert run.equity == [
        near(1010),
        near(980.3921568627452),
        near(1078.4313725490197),
        near(1141.4117647058824),
    ]
    # 1141.4117647058824 / 1010 = 1.1301106581246361
    assert run.total_return_pct == near(13.01106581246361)


def test_a_short_gains_when_the_price_falls_and_can_lose_more_than_it_put_in() -> None:
    # No costs, cash 1000. Short at 100: quantity 10. At 80: value 800, gross 1000 - 800 = 200.
    run = simulate([-1, 0, 0], [100.0, 80.0, 80.0], Execution(1000.0))
    assert run.trades[0].net == 200
    assert run.equity == [1000, 1200, 1200]
    # At 250: value 2500, gross 1000 - 2500 = -1500, A = 1000 - 1500 = -500; no further entry.
    run = simulate([-1, 1, 1, 1], [100.0, 250.0, 300.0, 300.0], Execution(1000.0))
    assert exits(run) == [(-1, 0, 1, "signal_exit")]
    assert run.equity == [1000, -500, -500, -500]
    assert run.total_return_pct == -150


def test_a_flip_makes_two_fills_on_one_bar_and_compounds() -> None:
    # Long 1000 at 100 (quantity 10), at 110 worth 1100; short 1100 at 110 (quantity 10),
    # forced out at 99: value 990, gross 110, A = 1210.
    run = simulate([1, -1, -1], [100.0, 110.0, 99.0], Execution(1000.0))
    assert exits(run) == [(1, 0, 1, "signal_exit"), (-1, 1, 2, "forced_close")]
    assert run.trades[1].quote == 1100
    assert run.equity == [1000, 1100, 1210]


def test_nothing_is_entered_on_the_last_bar_but_a_signal_change_there_still_names_the_exit() -> (
    None
):
    assert simulate([0, 0, 1], [1.0, 1.0, 1.0], Execution()).trades == []
    assert simulate([1], [1.0], Execution()).trades == []
    flipped = simulate([1, 1, -1], [1.0, 1.0, 1.0], Execution())
    assert exits(flipped) == [(1, 0, 2, "signal_exit")]
    held = simulate([1, 1, 1], [1.0, 1.0, 1.0], Execution())
    assert exits(held) == [(1, 0, 2, "forced_close")]


def test_after_a_risk_exit_the_same_signal_does_not_reopen() -> None:
    # Stop at 100 * 0.95 = 95: bar 1 (95) hits it exactly. Signal stays long through bar 3, so the
    # next entry is the edge on bar 5.
    run = simulate(
        [1, 1, 1, 1, 0, 1, 1],
        [100.0, 95.0, 100.0, 100.0, 100.0, 100.0, 100.0],
        Execution(),
        RiskLevels(sl=5.0),
    )
    assert exits(run) == [(1, 0, 1, "sl"), (1, 5, 6, "forced_close")]


def test_a_risk_exit_and_the_opposite_entry_share_a_bar() -> None:
    # Bar 1: 120 >= 100 * 1.1 hits the target on the bar the signal turns: reason tp, then short.
    run = simulate([1, -1, -1], [100.0, 120.0, 120.0], Execution(), RiskLevels(tp=10.0))
    assert exits(run) == [(1, 0, 1, "tp"), (-1, 1, 2, "forced_close")]


def test_a_stop_loss_is_named_before_a_trailing_stop_hit_by_the_same_close() -> None:
    # Close 90 is below 100 * 0.95 = 95 (stop) and 100 * 0.92 = 92 (trailing). A target cannot
    # share a bar with either: the close that made the peak would have reached it before.
    run = simulate([1, 1, 1], [100.0, 90.0, 90.0], Execution(), RiskLevels(sl=5.0, tsl=8.0))
    assert exits(run) == [(1, 0, 1, "sl")]
    # Above the stop, below the trailing level: 96 > 95, 96 <= 110 * 0.92 = 101.2.
    run = simulate([1] * 4, [100.0, 110.0, 96.0, 96.0], Execution(), RiskLevels(sl=5.0, tsl=8.0))
    assert exits(run) == [(1, 0, 2, "tsl")]


def test_a_trailing_stop_follows_the_best_raw_close_in_both_directions() -> None:
    # Long: peak 120, level 120 * 0.9 = 108; 109 holds, 108 hits exactly.
    long = simulate([1] * 5, [100.0, 120.0, 109.0, 108.0, 90.0], Execution(), RiskLevels(tsl=10.0))
    assert exits(long) == [(1, 0, 3, "tsl")]
    # Short: trough 80, level 80 * 1.25 = 100; 99 holds, 100 hits exactly.
    short = simulate([-1] * 5, [100.0, 80.0, 99.0, 100.0, 90.0], Execution(), RiskLevels(tsl=25.0))
    assert exits(short) == [(-1, 0, 3, "tsl")]


def test_levels_are_measured_from_the_fill_not_from_the_close() -> None:
    # Slippage 10 %: long fill 110, stop 110 * 0.95 = 104.5. The entry close 100 is below it, but
    # the entry bar is not checked; bar 1 at 104 is, and stops.
    run = simulate(
        [1, 1, 1], [100.0, 104.0, 104.0], Execution(slippage_pct=10.0), RiskLevels(sl=5.0)
    )
    assert exits(run) == [(1, 0, 1, "sl")]
    # A short's fill is 90: stop 90 * 1.05 = 94.5, so bar 1 at 95 stops it.
    run = simulate(
        [-1, -1, -1], [100.0, 95.0, 95.0], Execution(slippage_pct=10.0), RiskLevels(sl=5.0)
    )
    assert exits(run) == [(-1, 0, 1, "sl")]


def test_a_forbidden_direction_closes_and_never_opens() -> None:
    signals, closes = [1, -1, 1, -1, -1], [1.0] * 5
    long = simulate(signals, closes, Execution(direction_mode="long-only"))
    assert exits(long) == [(1, 0, 1, "signal_exit"), (1, 2, 3, "signal_exit")]
    short = simulate(signals, closes, Execution(direction_mode="short-only"))
    assert exits(short) == [(-1, 1, 2, "signal_exit"), (-1, 3, 4, "forced_close")]


def test_a_fixed_quote_is_capped_by_what_is_available() -> None:
    # Cash 100, fixed 80, no costs. First: Q = 80, A = 20; price halves: back 40, A = 60.
    # Second: Q = min(80, 60) = 60, A = 0; price doubles: 120.
    fixed = Execution(100.0, fixed_quote=80.0, sizing_mode="fixed_quote")
    run = simulate([1, 0, 1, 0], [100.0, 50.0, 50.0, 100.0], fixed)
    assert [t.quote for t in run.trades] == [80, 60]
    assert [t.available for t in run.trades] == [60, 120]
    assert run.equity == [100, 60, 60, 120]


def test_the_safe_takes_its_share_of_a_win_before_the_next_entry() -> None:
    # Cash 1000, 30 % of profit locked. Long 100 -> 150: net 500, 150 to the safe, A = 1350, which
    # is the short's Q on the same bar. Short 150 -> 180: quantity 9, value 1620, gross -270,
    # A = 1080; a loss moves nothing. Total 1080 + 150 = 1230.
    lock = Execution(1000.0, safe_profit_percent=30.0, sizing_mode="strategy_compound_profit_lock")
    run = simulate([1, -1, 0], [100.0, 150.0, 180.0], lock)
    assert [(t.available, t.safe) for t in run.trades] == [(near(1350), 150), (near(1080), 150)]
    assert run.trades[1].quote == near(1350)
    assert run.total_return_pct == near(23.0)


def test_no_entry_when_only_the_safe_has_money() -> None:
    # All profit locked: 1000 -> 2000 locks 1000, A = 1000. Then a short at 100 that is closed at
    # 200 loses everything: A = 0. The safe's 1000 buys nothing.
    lock = Execution(1000.0, safe_profit_percent=100.0, sizing_mode="strategy_compound_profit_lock")
    run = simulate([1, -1, 1, 1], [100.0, 200.0, 400.0, 500.0], lock)
    assert exits(run) == [(1, 0, 1, "signal_exit"), (-1, 1, 2, "signal_exit")]
    assert run.equity == [1000, 2000, 1000, 1000]


@pytest.mark.parametrize(
    ("direction", "risk", "hit", "missed"),
    [
        # In float64 100 * (1 + 10 / 100) is above 110, 100 * (1 - 0.55) below 45: the close misses
        # a level without a margin, although the two are the same decimal.
        (1, RiskLevels(tp=10.0), 110.0, 109.9999999),
        (1, RiskLevels(sl=55.0), 45.0, 45.0000001),
        (1, RiskLevels(tsl=55.0), 45.0, 45.0000001),
        (-1, RiskLevels(tp=55.0), 45.0, 45.0000001),
        (-1, RiskLevels(sl=10.0), 110.0, 109.9999999),
        (-1, RiskLevels(tsl=10.0), 110.0, 109.9999999),
    ],
)
def test_a_close_that_equals_a_level_in_decimals_hits_it_and_the_next_tick_does_not(
    direction: int, risk: RiskLevels, hit: float, missed: float
) -> None:
    (name,) = (level for level in ("sl", "tp", "tsl") if getattr(risk, level))
    for close, reason in ((hit, name), (missed, "forced_close")):
        run = simulate([direction] * 3, [100.0, close, close], Execution(), risk)
        assert run.trades[0].reason == reason


def test_an_all_in_short_is_ruined_where_its_price_has_doubled() -> None:
    # Q = 10000 at 100, nothing else: (0 + 0 + 2 * 10000) / 10000 * 100 = 200. Bar 2 at 250 is the
    # first close from there on: value 25000, gross -15000, A = -5000. Nothing is entered any more.
    run = simulate([0, -1, -1, -1, 1, 1, -1, -1], [100, 100, 250, 150, 90, 90, 94, 94], Execution())
    assert exits(run) == [(-1, 1, 2, "ruin")]
    assert run.ruined
    assert run.equity == [10_000, 10_000, *[-5_000] * 6]
    assert run.total_return_pct == -150
    almost = simulate([-1, -1, 1, 0], [100.0, 199.9999999, 100.0, 110.0], Execution())
    assert exits(almost) == [(-1, 0, 2, "signal_exit"), (1, 2, 3, "signal_exit")]
    assert not almost.ruined


def test_slippage_lowers_the_close_that_ruins() -> None:
    # Fill 100 * 0.9 = 90: ruined from 180 on.
    for close, reason in ((180.0, "ruin"), (179.9999999, "forced_close")):
        run = simulate([-1] * 3, [100.0, close, 100.0], Execution(slippage_pct=10.0))
        assert run.trades[0].reason == reason


def test_a_short_of_a_fixed_quote_is_ruined_where_it_has_lost_all_cash() -> None:
    # 100 of 10000 without costs: (9900 + 200) / 100 = 101 times the entry.
    fixed = Execution(fixed_quote=100.0, sizing_mode="fixed_quote")
    run = simulate([-1] * 4, [1.0, 100.9999999, 101.0, 101.0], fixed)
    assert exits(run) == [(-1, 0, 2, "ruin")]
    assert (run.ruined, run.equity[-1]) == (True, 0)
    # A fee of 1 % leaves 9899: (9899 + 200) / 100 = 100.99.
    run = simulate([-1] * 4, [1.0, 100.98, 100.991, 1.0], replace(fixed, fee_pct=1.0))
    assert exits(run) == [(-1, 0, 2, "ruin")]


def test_the_safe_counts_for_a_short_until_it_is_lost_too() -> None:
    # Long 100 -> 200 wins 1000: 500 to the safe, A = 1500. Short 1500 at 200 with 500 aside:
    # (0 + 500 + 3000) / 1500 * 200 = 466.67. At 460 it is worth -450 and all there is is 50.
    lock = Execution(1000.0, safe_profit_percent=50.0, sizing_mode="strategy_compound_profit_lock")
    run = simulate([1, -1, -1, -1], [100.0, 200.0, 460.0, 300.0], lock)
    assert exits(run) == [(1, 0, 1, "signal_exit"), (-1, 1, 3, "forced_close")]
    assert not run.ruined
    run = simulate([1, -1, -1, -1], [100.0, 200.0, 467.0, 300.0], lock)
    assert exits(run)[1:] == [(-1, 1, 2, "ruin")]
    assert run.ruined


def test_an_exit_that_comes_before_ruin_keeps_its_reason_and_ruins_as_well() -> None:
    stopped = simulate([-1, -1, -1], [100.0, 250.0, 90.0], Execution(), RiskLevels(sl=5.0))
    assert exits(stopped) == [(-1, 0, 1, "sl")]
    flipped = simulate([-1, 1, 1], [100.0, 250.0, 90.0], Execution())
    assert exits(flipped) == [(-1, 0, 1, "signal_exit")]
    on_the_last_bar = simulate([-1, -1], [100.0, 250.0], Execution())
    assert exits(on_the_last_bar) == [(-1, 0, 1, "ruin")]
    assert stopped.ruined
    assert flipped.ruined
    assert on_the_last_bar.ruined


def test_costs_can_take_the_last_cash_before_the_price_has_doubled() -> None:
    # Fee 10 %: Q = 1000 / 1.1 = 909.09 at 100; at 195 the value is 1772.73, its fee 177.27 and
    # A = 909.09 + 909.09 - 1772.73 - 177.27 = -131.82. A loss of 60 % is no ruin.
    costly = Execution(1000.0, fee_pct=10.0)
    run = simulate([-1, -1, 0, 1, 1], [100.0, 120.0, 195.0, 90.0, 90.0], costly)
    assert exits(run) == [(-1, 0, 2, "signal_exit")]
    assert run.ruined
    assert not simulate([-1, 0, 0], [100.0, 160.0, 90.0], Execution()).ruined


def test_a_safe_outlives_the_cash_and_nothing_is_ruined() -> None:
    lock = Execution(1000.0, safe_profit_percent=100.0, sizing_mode="strategy_compound_profit_lock")
    run = simulate([1, -1, 0, 1, 1], [100.0, 200.0, 400.0, 400.0, 500.0], lock)
    assert run.equity[-1] == 1000
    assert not run.ruined
