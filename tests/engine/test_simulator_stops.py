"""The reference simulator's stops: inside the bar, and what the modes change for those at closes.

Rows are open, high, low, close. Without costs the entry fill is the raw price.
"""

import math

import pytest

from tests.engine.hand_cases import Bar, fills, near, play, told
from tests.engine.simulator import RiskLevels, Run

SL5, TP10, TSL10 = RiskLevels(sl=5.0), RiskLevels(tp=10.0), RiskLevels(tsl=10.0)


def inside(signals: str, *rows: Bar, risk: RiskLevels, **rules: object) -> Run:
    return play(signals, *rows, risk=risk, stop_fill="intrabar", **rules)


def test_a_stop_that_the_low_reaches_fills_at_its_level() -> None:
    rows = [100.0, (100.0, 101.0, 94.0, 101.0), 101.0]
    run = inside("LLL", *rows, risk=SL5)
    assert (told(run), fills(run)) == ([("long", 0, 1, "sl")], [(100, 95)])
    # Seen at closes nothing happens.
    assert told(play("LLL", *rows, risk=SL5)) == [("long", 0, 2, "forced_close")]


def test_a_short_s_stop_is_reached_by_the_high() -> None:
    run = inside("SSS", 100.0, (100.0, 106.0, 99.0, 99.0), 99.0, risk=SL5)
    assert (told(run), fills(run)) == ([("short", 0, 1, "sl")], [(100, 105)])


def test_a_stop_fills_at_the_open_of_a_bar_that_opens_beyond_it() -> None:
    run = inside("LLL", 100.0, (90.0, 101.0, 89.0, 101.0), 101.0, risk=SL5)
    assert (told(run), fills(run)) == ([("long", 0, 1, "sl")], [(100, 90)])
    run = inside("SSS", 100.0, (110.0, 111.0, 99.0, 99.0), 99.0, risk=SL5)
    assert (told(run), fills(run)) == ([("short", 0, 1, "sl")], [(100, 110)])


def test_a_target_fills_at_its_level_or_better_at_the_open() -> None:
    # 100 * (1 + 0.25) and 100 * (1 - 0.25) are exact.
    far = RiskLevels(tp=25.0)
    run = inside("LLL", 100.0, (100.0, 126.0, 100.0, 100.0), 100.0, risk=far)
    assert (told(run), fills(run)) == ([("long", 0, 1, "tp")], [(100, 125)])
    run = inside("LLL", 100.0, (130.0, 131.0, 100.0, 100.0), 100.0, risk=far)
    assert (told(run), fills(run)) == ([("long", 0, 1, "tp")], [(100, 130)])
    run = inside("SSS", 100.0, (100.0, 100.0, 74.0, 100.0), 100.0, risk=far)
    assert (told(run), fills(run)) == ([("short", 0, 1, "tp")], [(100, 75)])
    run = inside("SSS", 100.0, (70.0, 100.0, 69.0, 100.0), 100.0, risk=far)
    assert (told(run), fills(run)) == ([("short", 0, 1, "tp")], [(100, 70)])


def test_the_stop_comes_first_where_a_bar_reaches_both() -> None:
    both = RiskLevels(sl=5.0, tp=10.0)
    run = inside("LLL", 100.0, (100.0, 120.0, 90.0, 100.0), 100.0, risk=both)
    assert (told(run), fills(run)) == ([("long", 0, 1, "sl")], [(100, 95)])


def test_the_stop_comes_first_even_where_the_bar_opens_beyond_the_target() -> None:
    # The level, not the open 115: the bar falls to it later.
    both = RiskLevels(sl=5.0, tp=10.0)
    run = inside("LLL", 100.0, (115.0, 120.0, 90.0, 100.0), 100.0, risk=both)
    assert (told(run), fills(run)) == ([("long", 0, 1, "sl")], [(100, 95)])
    run = inside("SSS", 100.0, (85.0, 110.0, 80.0, 100.0), 100.0, risk=both)
    assert (told(run), fills(run)) == ([("short", 0, 1, "sl")], [(100, 105)])


def test_the_trailing_stop_comes_after_the_stop_loss_and_before_the_target() -> None:
    # Trailing level 98, stop 95, target 110.
    all_three = RiskLevels(sl=5.0, tp=10.0, tsl=2.0)
    run = inside("LLL", 100.0, (100.0, 111.0, 94.0, 100.0), 100.0, risk=all_three)
    assert (told(run), fills(run)) == ([("long", 0, 1, "sl")], [(100, 95)])
    run = inside("LLL", 100.0, (100.0, 111.0, 97.0, 100.0), 100.0, risk=all_three)
    assert (told(run), fills(run)) == ([("long", 0, 1, "tsl")], [(100, 98)])


def test_the_entry_bar_is_not_looked_at_when_it_fills_at_its_close() -> None:
    run = inside("LLL", (100.0, 120.0, 50.0, 100.0), 100.0, 100.0, risk=RiskLevels(sl=5.0, tp=10.0))
    assert told(run) == [("long", 0, 2, "forced_close")]


def test_the_fill_bar_is_looked_at_when_it_fills_at_its_open() -> None:
    rows = [100.0, (100.0, 101.0, 94.0, 101.0), 101.0, 101.0]
    run = inside("LLLL", *rows, risk=SL5, entry_fill="next_open")
    assert (told(run), fills(run)) == ([("long", 0, 1, "sl")], [(100, 95)])
    # Closed on the bar it was filled on, so no close has seen it.
    assert run.equity == [1000, 950, 950, 950]


def test_an_exit_at_an_open_precedes_the_stops_of_that_bar() -> None:
    rows = [100.0, 100.0, 100.0, (99.0, 99.0, 50.0, 50.0), 50.0]
    run = inside("LL...", *rows, risk=SL5, entry_fill="next_open")
    assert (told(run), fills(run)) == ([("long", 0, 2, "signal_exit")], [(100, 99)])


def test_an_exit_at_a_close_comes_after_the_stops_of_that_bar() -> None:
    run = inside("L..", 100.0, (100.0, 100.0, 95.0, 99.0), 99.0, risk=SL5)
    assert (told(run), fills(run)) == ([("long", 0, 1, "sl")], [(100, 95)])


def test_an_opposite_edge_on_the_bar_of_a_stop_opens_at_its_close() -> None:
    run = inside("LSS", 100.0, (100.0, 100.0, 90.0, 92.0), 80.0, risk=SL5)
    assert told(run) == [("long", 0, 1, "sl"), ("short", 1, 2, "forced_close")]
    assert fills(run) == [(100, 95), (92, 80)]


def test_an_opposite_edge_on_the_bar_of_a_stop_opens_at_the_next_open() -> None:
    rows = [100.0, 100.0, (100.0, 100.0, 90.0, 92.0), (91.0, 91.0, 80.0, 80.0), 80.0]
    run = inside("LLSSS", *rows, risk=SL5, entry_fill="next_open")
    assert told(run) == [("long", 0, 2, "sl"), ("short", 2, 4, "forced_close")]
    assert fills(run) == [(100, 95), (91, 80)]


def test_the_cooldown_counts_from_the_bar_in_which_a_stop_filled() -> None:
    rows = [100.0, (100.0, 100.0, 90.0, 100.0), 100.0, 100.0, 100.0]
    run = inside("LSLSS", *rows, risk=SL5, reentry_after_bars=1)
    assert told(run) == [("long", 0, 1, "sl"), ("short", 3, 4, "forced_close")]


def test_a_holding_reopens_strictly_after_the_bar_in_which_its_stop_filled() -> None:
    rows = [100.0, 100.0, (100.0, 100.0, 90.0, 100.0), 100.0, 100.0, 100.0]
    run = inside("L.L.LL", *rows, risk=SL5, position="hold")
    assert told(run) == [("long", 0, 2, "sl"), ("long", 4, 5, "forced_close")]


# The trailing peak


def test_a_trailing_level_that_a_bar_raises_is_tested_from_the_next_bar_on() -> None:
    # Bar 1 makes the peak 120: its low 100 is below 108, but the level was still 90. Bar 2 reaches
    # 108; seen at closes it would not.
    rows = [100.0, (100.0, 120.0, 100.0, 119.0), (119.0, 119.0, 107.0, 119.0), 119.0]
    run = inside("LLLL", *rows, risk=TSL10)
    assert (told(run), fills(run)) == ([("long", 0, 2, "tsl")], [(100, 108)])
    # Short: the trough 80 makes 100 from bar 2 on (25 %).
    rows = [100.0, (100.0, 101.0, 80.0, 81.0), (81.0, 102.0, 81.0, 81.0), 81.0]
    run = inside("SSSS", *rows, risk=RiskLevels(tsl=25.0))
    assert (told(run), fills(run)) == ([("short", 0, 2, "tsl")], [(100, 100)])


def test_a_trailing_stop_fills_at_the_open_of_a_bar_that_opens_beyond_it() -> None:
    rows = [100.0, (100.0, 120.0, 100.0, 119.0), (105.0, 119.0, 104.0, 119.0), 119.0]
    run = inside("LLLL", *rows, risk=TSL10)
    assert fills(run) == [(100, 105)]


def test_the_peak_starts_at_the_raw_close_and_not_at_the_entry_bar_s_high_or_the_fill() -> None:
    # Slippage 10 %: fill 110. Level 100 * 0.9 = 90 (of the high 150: 135; of the fill: 99).
    rows = [(100.0, 150.0, 100.0, 100.0), (100.0, 100.0, 90.5, 100.0), (99.0, 99.0, 89.0, 99.0)]
    run = inside("LLL", *rows, risk=TSL10, slippage_pct=10.0)
    assert (told(run), fills(run)) == ([("long", 0, 2, "tsl")], [(near(110), near(81))])


def test_the_peak_starts_at_the_open_that_filled_and_its_bar_is_tested_with_it() -> None:
    # Level 110 * 0.9 = 99 on the fill bar, whose high 130 counts from the next bar on: 117.
    rows = [50.0, (110.0, 130.0, 99.5, 120.0), (120.0, 120.0, 116.0, 120.0), 120.0]
    run = inside("LLLL", *rows, risk=TSL10, entry_fill="next_open")
    assert (told(run), fills(run)) == ([("long", 0, 2, "tsl")], [(110, 117)])
    rows[1] = (110.0, 130.0, 98.5, 120.0)
    run = inside("LLLL", *rows, risk=TSL10, entry_fill="next_open")
    assert (told(run), fills(run)) == ([("long", 0, 1, "tsl")], [(110, 99)])


# Margins and slippage


@pytest.mark.parametrize(
    ("direction", "risk", "touch", "written"),
    [
        # 100 * (1 - 0.55) is 44.99999999999999, below 45; 100 * (1 + 0.1) is above 110.
        ("L", RiskLevels(sl=55.0), 45.0, 100 * (1 - 0.55)),
        ("L", RiskLevels(tsl=55.0), 45.0, 100 * (1 - 0.55)),
        ("S", RiskLevels(tp=55.0), 45.0, 100 * (1 - 0.55)),
        ("L", RiskLevels(tp=10.0), 110.0, 100 * (1 + 0.1)),
        ("S", RiskLevels(sl=10.0), 110.0, 100 * (1 + 0.1)),
        ("S", RiskLevels(tsl=10.0), 110.0, 100 * (1 + 0.1)),
    ],
)
def test_a_price_that_equals_a_level_in_decimals_reaches_it_and_fills_at_it_as_written(
    direction: str, risk: RiskLevels, touch: float, written: float
) -> None:
    assert written != touch
    row = (100.0, max(100.0, touch), min(100.0, touch), 100.0)
    run = inside(direction * 3, 100.0, row, 100.0, risk=risk)
    assert fills(run) == [(100, written)]
    short_of_it = touch + (1e-7 if touch < 100 else -1e-7)
    row = (100.0, max(100.0, short_of_it), min(100.0, short_of_it), 100.0)
    run = inside(direction * 3, 100.0, row, 100.0, risk=risk)
    assert run.trades[0].reason == "forced_close"


def test_the_margin_is_1e_12_of_the_level_to_the_last_bit() -> None:
    level = 95.0 * (1 + 1e-12)  # the stop is 100 * 0.95 = 95
    for low, reason in ((level, "sl"), (math.nextafter(level, 100), "forced_close")):
        run = inside("LLL", 100.0, (100.0, 100.0, low, 100.0), 100.0, risk=SL5)
        assert run.trades[0].reason == reason


def test_slippage_is_paid_on_stops_and_not_on_targets() -> None:
    # Fill 110. Stop 104.5, sold at 104.5 * 0.9 = 94.05. Target 110 * 1.1 = 121, sold at 121.
    run = inside("LLL", 100.0, (110.0, 110.0, 100.0, 110.0), 110.0, risk=SL5, slippage_pct=10.0)
    assert fills(run) == [(near(110), near(94.05))]
    run = inside("LLL", 100.0, (110.0, 122.0, 110.0, 110.0), 110.0, risk=TP10, slippage_pct=10.0)
    assert fills(run) == [(near(110), near(121))]
    # A short is filled at 90: target 90 * 0.9 = 81, bought at 81; stop 94.5, bought at 103.95.
    run = inside("SSS", 100.0, (90.0, 90.0, 80.0, 90.0), 90.0, risk=TP10, slippage_pct=10.0)
    assert fills(run) == [(near(90), near(81))]
    run = inside("SSS", 100.0, (90.0, 95.0, 90.0, 90.0), 90.0, risk=SL5, slippage_pct=10.0)
    assert fills(run) == [(near(90), near(103.95))]


def test_a_target_seen_at_a_close_is_a_market_order_and_slips() -> None:
    run = play("LLL", 100.0, 122.0, 122.0, risk=TP10, slippage_pct=10.0)
    assert (told(run), fills(run)) == ([("long", 0, 1, "tp")], [(near(110), near(109.8))])


# Ruin


def test_a_short_is_ruined_by_a_stop_that_fills_beyond_its_ruin() -> None:
    # Ruined from 200 on; the bar opens at 210.
    run = inside("SSS.", 100.0, (210.0, 210.0, 90.0, 90.0), 90.0, 90.0, risk=SL5)
    assert (told(run), fills(run)) == ([("short", 0, 1, "sl")], [(100, 210)])
    assert (run.equity[-1], run.ruined) == (-100, True)


def test_a_high_alone_ruins_nobody() -> None:
    run = inside("SS..", 100.0, (100.0, 900.0, 100.0, 100.0), 100.0, 100.0, risk=RiskLevels())
    assert told(run) == [("short", 0, 2, "signal_exit")]
    assert not run.ruined


def test_ruin_at_a_close_comes_after_the_signal_when_fills_are_at_closes() -> None:
    rows = [100.0, 100.0, 210.0, 210.0]
    run = inside("SS.L", *rows, risk=RiskLevels())
    assert (told(run), run.ruined) == ([("short", 0, 2, "signal_exit")], True)
    run = inside("SSSS", *rows, risk=RiskLevels())
    assert (told(run), run.ruined) == ([("short", 0, 2, "ruin")], True)
