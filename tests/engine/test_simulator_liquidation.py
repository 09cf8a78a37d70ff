"""The reference simulator's liquidations: where, when, what is lost, and what comes first."""

import pytest

from tests.engine.hand_cases import fills, near, play, told
from tests.engine.simulator import RiskLevels

SL5 = RiskLevels(sl=5.0)


def test_a_long_is_liquidated_at_a_close_where_its_margin_is_lost() -> None:
    # Level 100 * (1 - 1 / 4) = 75. Q = 400, entry fee 4; of the margin 100
    # nothing comes back, and there is no exit fee.
    run = play("LLL", 100.0, 74.0, 74.0, leverage=4.0, sizing_mode="fixed_quote", fee_pct=1.0)
    (trade,) = run.trades
    assert told(run) == [("long", 0, 1, "liquidation")]
    assert (trade.exit_fill, trade.gross, trade.exit_fee, trade.net) == (75, -100, 0, -104)
    assert run.equity == [996, 896, 896]
    above = play("LLL", 100.0, 75.0000001, 100.0, leverage=4.0)
    assert told(above) == [("long", 0, 2, "forced_close")]


def test_a_short_is_liquidated_above() -> None:
    run = play("SSS", 100.0, 126.0, 126.0, leverage=4.0, sizing_mode="fixed_quote")
    assert (told(run), fills(run)) == ([("short", 0, 1, "liquidation")], [(100, 125)])
    assert run.equity == [1000, 900, 900]


def test_the_liquidation_level_is_measured_from_the_fill_and_its_fill_does_not_slip() -> None:
    # Slippage 10 %: fill 110, level 82.5; short: fill 90, level 112.5.
    run = play("LLL", 100.0, 82.0, 82.0, leverage=4.0, slippage_pct=10.0)
    assert fills(run) == [(near(110), near(82.5))]
    run = play("SSS", 100.0, 113.0, 113.0, leverage=4.0, slippage_pct=10.0)
    assert fills(run) == [(near(90), near(112.5))]


@pytest.mark.parametrize(
    ("direction", "entry", "leverage", "touch"),
    [
        # 51 * (1 - 1 / 20) is below 48.45 in float64, 51 * (1 + 1 / 20) above 53.55.
        ("L", 51.0, 20.0, 48.45),
        ("S", 51.0, 20.0, 53.55),
    ],
)
def test_a_price_that_equals_the_liquidation_level_in_decimals_reaches_it(
    direction: str, entry: float, leverage: float, touch: float
) -> None:
    run = play(direction * 3, entry, touch, entry, leverage=leverage)
    assert run.trades[0].reason == "liquidation"
    assert run.trades[0].exit_fill != touch


def test_inside_the_bar_high_and_low_liquidate_at_the_level_whatever_the_open() -> None:
    rules = {"leverage": 4.0, "stop_fill": "intrabar", "sizing_mode": "fixed_quote"}
    run = play("LLL", 100.0, (100.0, 100.0, 74.0, 99.0), 99.0, **rules)
    assert (told(run), fills(run)) == ([("long", 0, 1, "liquidation")], [(100, 75)])
    run = play("LLL", 100.0, (50.0, 100.0, 50.0, 99.0), 99.0, **rules)
    assert (fills(run), run.equity) == ([(100, 75)], [1000, 900, 900])
    run = play("SSS", 100.0, (100.0, 126.0, 99.0, 99.0), 99.0, **rules)
    assert (told(run), fills(run)) == ([("short", 0, 1, "liquidation")], [(100, 125)])


@pytest.mark.parametrize("stop_fill", ["close", "intrabar"])
def test_liquidation_comes_before_all_other_stops(stop_fill: str) -> None:
    # 70 is beyond the stop 80 and the liquidation 75.
    risk = RiskLevels(sl=20.0, tsl=20.0)
    run = play("LLL", 100.0, 70.0, 70.0, risk=risk, leverage=4.0, stop_fill=stop_fill)
    assert told(run) == [("long", 0, 1, "liquidation")]
    run = play("LLL", 100.0, 78.0, 78.0, risk=risk, leverage=4.0, stop_fill=stop_fill)
    assert told(run) == [("long", 0, 1, "sl")]


def test_a_liquidation_seen_at_a_close_does_not_wait_for_the_next_open() -> None:
    rules = {"leverage": 4.0, "entry_fill": "next_open", "sizing_mode": "fixed_quote"}
    run = play("LLLL", 100.0, 100.0, 74.0, 200.0, **rules)
    assert (told(run), fills(run)) == ([("long", 0, 2, "liquidation")], [(100, 75)])
    assert run.equity == [1000, 1000, 900, 900]


@pytest.mark.parametrize("reason", ["signal_exit", "sl"])
def test_an_exit_at_an_open_beyond_the_liquidation_level_is_a_liquidation(reason: str) -> None:
    # Decided on bar 2 at 94, by the signal or the stop; the open of bar 3 is 60. The short that
    # was decided with it opens there.
    rules = {"leverage": 4.0, "entry_fill": "next_open", "sizing_mode": "fixed_quote"}
    risk = SL5 if reason == "sl" else RiskLevels()
    run = play("LLSSS", 100.0, 100.0, 94.0, 60.0, 60.0, risk=risk, **rules)
    assert told(run) == [("long", 0, 2, "liquidation"), ("short", 2, 4, "forced_close")]
    assert fills(run) == [(100, 75), (60, 60)]
    assert run.trades[0].available == 900


def test_an_exit_by_signal_that_becomes_a_liquidation_has_no_cooldown() -> None:
    rules = {"leverage": 4.0, "entry_fill": "next_open", "sizing_mode": "fixed_quote"}
    run = play("LLSSS", 100.0, 100.0, 94.0, 60.0, 60.0, reentry_after_bars=3, **rules)
    assert told(run) == [("long", 0, 2, "liquidation"), ("short", 2, 4, "forced_close")]
    stopped = play("LLSSS", 100.0, 100.0, 94.0, 60.0, 60.0, risk=SL5, reentry_after_bars=3, **rules)
    assert told(stopped) == [("long", 0, 2, "liquidation")]


def test_a_liquidation_is_a_risk_exit_for_what_reopens() -> None:
    rules = {"leverage": 4.0, "position": "hold", "sizing_mode": "fixed_quote"}
    run = play("L.L.L.", 100.0, 100.0, 74.0, 74.0, 74.0, 74.0, **rules)
    assert told(run) == [("long", 0, 2, "liquidation"), ("long", 4, 5, "forced_close")]
    run = play("L.S...", 100.0, 100.0, 74.0, 74.0, 74.0, 74.0, **rules)
    assert told(run) == [("long", 0, 2, "liquidation"), ("short", 2, 5, "forced_close")]
    run = play("L.SLS.", 100.0, 100.0, 74.0, 74.0, 74.0, 74.0, reentry_after_bars=1, **rules)
    assert told(run) == [("long", 0, 2, "liquidation"), ("short", 4, 5, "forced_close")]


def test_with_leverage_a_short_is_liquidated_and_not_ruined() -> None:
    # Once at 100: 200, where an unlevered all-in short is ruined. Nothing is left, so the variant
    # is ruined all the same.
    for entry_fill in ("close", "next_open"):
        run = play("SSSL.", 100.0, 100.0, 250.0, 250.0, 250.0, leverage=1.0, entry_fill=entry_fill)
        assert told(run) == [("short", 0, 2, "liquidation")]
        assert (run.equity[-1], run.ruined) == (0, True)


def test_with_leverage_no_price_ruins_who_has_money_left() -> None:
    # Unlevered, a short of 100 out of 1000 is ruined from 1100 on. Liquidated at 200, 900 are left.
    rules = {"leverage": 1.0, "sizing_mode": "fixed_quote"}
    run = play("SSSL.", 100.0, 2500.0, 2500.0, 2500.0, 2500.0, **rules)
    assert told(run) == [("short", 0, 1, "liquidation"), ("long", 3, 4, "signal_exit")]
    assert not run.ruined
