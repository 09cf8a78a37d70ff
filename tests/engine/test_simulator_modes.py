"""The reference simulator when it holds, and when it waits after a stop.

The other modes, one idea a file: `test_simulator_opens`, `_stops`, `_sizing`, `_liquidation`,
`_carry`. Where only the bars of trades matter all prices are 100.
"""

import pytest

from tests.engine.hand_cases import play, told
from tests.engine.simulator import RiskLevels

SL5 = RiskLevels(sl=5.0)


# Hold


def test_what_was_opened_is_held_through_neutral_until_the_opposite_signal() -> None:
    held = play("L..S..", *[100.0] * 6, position="hold")
    assert told(held) == [("long", 0, 3, "signal_exit"), ("short", 3, 5, "forced_close")]
    state = play("L..S..", *[100.0] * 6)
    assert told(state) == [("long", 0, 1, "signal_exit"), ("short", 3, 4, "signal_exit")]


def test_without_exit_blocks_only_the_opposite_signal_closes() -> None:
    run = play("S....L.", *[100.0] * 7, position="hold")
    assert told(run) == [("short", 0, 5, "signal_exit"), ("long", 5, 6, "forced_close")]


def test_a_short_of_an_exit_block_closes_a_long_and_a_long_of_one_does_not() -> None:
    run = play("L....", *[100.0] * 5, exits=".L.S.", position="hold")
    assert told(run) == [("long", 0, 3, "signal_exit")]


def test_a_long_of_an_exit_block_closes_a_short_and_a_short_of_one_does_not() -> None:
    run = play("S....", *[100.0] * 5, exits=".S.L.", position="hold")
    assert told(run) == [("short", 0, 3, "signal_exit")]


@pytest.mark.parametrize(("signals", "direction"), [("L...", "long"), ("S...", "short")])
def test_exit_blocks_that_say_both_close_either(signals: str, direction: str) -> None:
    run = play(signals, *[100.0] * 4, exits=".B..", position="hold")
    assert told(run) == [(direction, 0, 1, "signal_exit")]


@pytest.mark.parametrize(
    ("signals", "mode", "direction"),
    [("L.S..", "long-only", "long"), ("S.L..", "short-only", "short")],
)
def test_a_forbidden_entry_signal_still_resets(signals: str, mode: str, direction: str) -> None:
    run = play(signals, *[100.0] * 5, position="hold", direction_mode=mode)
    assert told(run) == [(direction, 0, 2, "signal_exit")]


def test_an_edge_on_a_reset_is_lost_however_long_the_signal_lasts() -> None:
    # The edge of bar 1 meets a SHORT of an exit block; bars 2 and 3 are no edge; bar 5 is one.
    run = play(".LLL.L.", *[100.0] * 7, exits=".S.....", position="hold")
    assert told(run) == [("long", 5, 6, "forced_close")]
    run = play(".SSS.S.", *[100.0] * 7, exits=".L.....", position="hold")
    assert told(run) == [("short", 5, 6, "forced_close")]


def test_an_edge_meets_no_reset_of_the_other_direction() -> None:
    run = play(".L..", *[100.0] * 4, exits=".L..", position="hold")
    assert told(run) == [("long", 1, 3, "forced_close")]


def test_an_opposite_edge_whose_own_direction_is_reset_only_closes() -> None:
    # Bar 2 says LONG, which closes the short; an exit block says SHORT, so no long opens.
    run = play("S.LL.", *[100.0] * 5, exits="..S..", position="hold")
    assert told(run) == [("short", 0, 2, "signal_exit")]


def test_a_signal_that_goes_on_does_not_reopen_what_an_exit_block_closed() -> None:
    run = play("LLLL.L.", *[100.0] * 7, exits=".S.....", position="hold")
    assert told(run) == [("long", 0, 1, "signal_exit"), ("long", 5, 6, "forced_close")]


def test_an_edge_inside_a_holding_changes_nothing() -> None:
    run = play("L.L.LS", *[100.0] * 6, position="hold")
    assert told(run) == [("long", 0, 5, "signal_exit")]


def test_the_bar_before_the_first_counts_as_neutral() -> None:
    run = play("LL.", *[100.0] * 3, position="hold")
    assert told(run) == [("long", 0, 2, "forced_close")]


def test_nothing_is_entered_on_the_last_bar_of_a_holding() -> None:
    assert told(play("..L", *[100.0] * 3, position="hold")) == []
    flipped = play("L.S", *[100.0] * 3, position="hold")
    assert told(flipped) == [("long", 0, 2, "signal_exit")]


def test_after_a_stop_the_next_edge_reopens_inside_what_would_have_been_the_same_holding() -> None:
    # Stop at 95 on bar 1. The signal has not closed the holding, yet bar 3 opens it again.
    run = play("L..L..", 100.0, 95.0, 95.0, 95.0, 95.0, 95.0, risk=SL5, position="hold")
    assert told(run) == [("long", 0, 1, "sl"), ("long", 3, 5, "forced_close")]


def test_an_edge_of_the_same_direction_on_the_bar_of_a_stop_does_not_reopen() -> None:
    run = play("L.LLL.L.", 100.0, 100.0, *[95.0] * 6, risk=SL5, position="hold")
    assert told(run) == [("long", 0, 2, "sl"), ("long", 6, 7, "forced_close")]


def test_an_opposite_edge_on_the_bar_of_a_stop_flips() -> None:
    run = play("L.S..", 100.0, 100.0, 95.0, 95.0, 95.0, risk=SL5, position="hold")
    assert told(run) == [("long", 0, 2, "sl"), ("short", 2, 4, "forced_close")]


# Waiting after a stop


def test_edges_within_the_cooldown_are_lost_on_the_bar_of_the_stop_too() -> None:
    # Stop on bar 1, two bars of cooldown: the edges of bars 1, 2 and 3 are lost, bar 4 opens.
    run = play("LSLSLL", 100.0, *[95.0] * 5, risk=SL5, reentry_after_bars=2)
    assert told(run) == [("long", 0, 1, "sl"), ("long", 4, 5, "forced_close")]
    at_once = play("LSLSLL", 100.0, *[95.0] * 5, risk=SL5)
    assert [t.entry_bar for t in at_once.trades] == [0, 1, 2, 3, 4]


def test_a_signal_that_outlasts_the_cooldown_is_no_edge() -> None:
    run = play("L.LLL.L.", 100.0, *[95.0] * 7, risk=SL5, reentry_after_bars=2)
    assert told(run) == [("long", 0, 1, "sl"), ("long", 6, 7, "signal_exit")]


def test_the_cooldown_holds_for_a_holding() -> None:
    run = play("L.L.L.", 100.0, *[95.0] * 5, risk=SL5, reentry_after_bars=1, position="hold")
    assert told(run) == [("long", 0, 1, "sl"), ("long", 4, 5, "forced_close")]


def test_an_exit_by_signal_has_no_cooldown() -> None:
    run = play("L.L.", *[100.0] * 4, reentry_after_bars=5)
    assert told(run) == [("long", 0, 1, "signal_exit"), ("long", 2, 3, "signal_exit")]


def test_the_cooldown_counts_from_the_bar_of_the_decision() -> None:
    # Decided on bar 2, filled at the open of bar 3; one bar of cooldown is bar 3.
    run = play(
        "LL.L.L..",
        100.0,
        100.0,
        *[95.0] * 6,
        risk=SL5,
        reentry_after_bars=1,
        entry_fill="next_open",
    )
    assert told(run) == [("long", 0, 2, "sl"), ("long", 5, 6, "signal_exit")]
