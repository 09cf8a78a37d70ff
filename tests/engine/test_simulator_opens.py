"""The reference simulator when decisions fill at the next open. Rows are open, high, low, close."""

from tests.engine.hand_cases import fills, near, play, told
from tests.engine.simulator import Execution, RiskLevels, simulate

SL5 = RiskLevels(sl=5.0)


def test_decisions_fill_at_the_next_open_and_keep_their_bars() -> None:
    # Slippage 10 %, fee 1 %, cash 1010. Bar 0 decides; at the open 100 of bar 1: fill 110,
    # Q = 1010 / 1.01 = 1000, quantity 1000 / 110. Bar 2 decides the exit; at the open 121 of bar 3:
    # fill 121 * 0.9 = 108.9, value 1000 / 110 * 108.9 = 990, fee 9.9, net 990 - 1000 - 10 - 9.9.
    run = play(
        "LL..",
        (1.0, 90.0, 1.0, 90.0),
        (100.0, 105.0, 99.0, 104.5),
        (50.0, 130.0, 50.0, 110.0),
        (121.0, 121.0, 7.0, 8.0),
        entry_fill="next_open",
        fee_pct=1.0,
        slippage_pct=10.0,
        init_cash=1010.0,
    )
    assert told(run) == [("long", 0, 2, "signal_exit")]
    assert fills(run) == [(near(110), near(108.9))]
    assert run.trades[0].net == near(-29.9)
    # Marked at closes while it is open: 104.5 * 1000 / 110 = 950 and 110 * 1000 / 110 = 1000.
    assert run.equity == [1010, near(950), near(1000), near(980.1)]


def test_nothing_is_decided_to_be_entered_on_the_last_two_bars() -> None:
    assert told(play("..LL", *[100.0] * 4, entry_fill="next_open")) == []
    assert told(play("LL", *[100.0] * 2, entry_fill="next_open")) == []
    run = play(".LLL", *[100.0] * 4, entry_fill="next_open")
    assert told(run) == [("long", 1, 3, "forced_close")]


def test_what_is_decided_on_the_last_bar_closes_at_its_close_for_its_own_reason() -> None:
    rows = [100.0, 100.0, (100.0, 130.0, 90.0, 90.0)]
    assert told(play("LL.", *rows, entry_fill="next_open")) == [("long", 0, 2, "signal_exit")]
    assert told(play("LLL", *rows, entry_fill="next_open")) == [("long", 0, 2, "forced_close")]
    stopped = play("LLL", *rows, risk=SL5, entry_fill="next_open")
    assert told(stopped) == [("long", 0, 2, "sl")]
    assert fills(stopped) == [(100, 90)]


def test_a_flip_makes_both_fills_at_one_open_with_the_money_of_the_first() -> None:
    # Long 1000 at 100, sold at the open 150 of bar 3: 1500, which is sold short there at 150 and
    # bought back at the close 120: quantity 10, gross 1500 - 1200 = 300.
    rows = [100.0, 100.0, 110.0, (150.0, 150.0, 110.0, 130.0), 120.0]
    run = play("LLSSS", *rows, entry_fill="next_open")
    assert told(run) == [("long", 0, 2, "signal_exit"), ("short", 2, 4, "forced_close")]
    assert fills(run) == [(100, 150), (150, 120)]
    assert [t.quote for t in run.trades] == [1000, 1500]
    assert run.equity == [1000, 1000, 1100, 1700, 1800]


def test_the_safe_takes_its_share_at_the_open_before_the_entry_there() -> None:
    # Won 1000 at the open of bar 3, half of it locked: 1500 are left for the short.
    lock = {"sizing_mode": "strategy_compound_profit_lock", "safe_profit_percent": 50.0}
    run = play("LLSS.", 100.0, 100.0, 100.0, 200.0, 200.0, entry_fill="next_open", **lock)
    assert [(t.quote, t.available, t.safe) for t in run.trades] == [
        (1000, 1500, 500),
        (1500, 1500, 500),
    ]


def test_the_money_for_an_entry_is_looked_at_when_it_fills() -> None:
    # 1000 at the decision on bar 2; the exit at the open of bar 3 leaves 1e-7, a 1e-10 of the cash.
    run = play("LLSS.", 100.0, 100.0, 100.0, 1e-8, 1e-8, entry_fill="next_open")
    assert told(run) == [("long", 0, 2, "signal_exit")]
    assert run.equity[-1] == near(1e-7)


def test_a_stop_seen_at_a_close_fills_at_the_next_open_with_slippage() -> None:
    # Fill 100 * 1.1 = 110, stop 104.5. Bar 2 closes at 104, the open of bar 3 is 120: 120 * 0.9.
    rows = [100.0, (100.0, 110.0, 100.0, 110.0), 104.0, 120.0, 120.0]
    run = play("LLLLL", *rows, risk=SL5, entry_fill="next_open", slippage_pct=10.0)
    assert told(run) == [("long", 0, 2, "sl")]
    assert fills(run) == [(near(110), near(108))]


def test_the_close_of_the_fill_bar_is_the_first_that_stops_see() -> None:
    # The entry decision's own close 50 is no stop; the fill bar's close 95 is.
    run = play(
        "LLLL", 50.0, (100.0, 100.0, 95.0, 95.0), 90.0, 90.0, risk=SL5, entry_fill="next_open"
    )
    assert told(run) == [("long", 0, 1, "sl")]
    assert fills(run) == [(100, 90)]


def test_a_trailing_peak_seen_at_closes_starts_at_the_open_that_filled() -> None:
    # Peak 110, level 104.5: the fill bar's close 104 is below. A peak of closes would be 104.
    rows = [100.0, (110.0, 110.0, 104.0, 104.0), 104.0, 104.0]
    run = play("LLLL", *rows, risk=RiskLevels(tsl=5.0), entry_fill="next_open")
    assert told(run) == [("long", 0, 1, "tsl")]
    # Short: trough 90, level 94.5; the close 95 is above.
    rows = [100.0, (90.0, 95.0, 90.0, 95.0), 95.0, 95.0]
    run = play("SSSS", *rows, risk=RiskLevels(tsl=5.0), entry_fill="next_open")
    assert told(run) == [("short", 0, 1, "tsl")]


def test_an_opposite_edge_on_the_bar_of_a_stop_fills_at_the_same_open() -> None:
    run = play("LLSS.", 100.0, 100.0, 95.0, 90.0, 80.0, risk=SL5, entry_fill="next_open")
    assert told(run) == [("long", 0, 2, "sl"), ("short", 2, 4, "signal_exit")]
    assert fills(run) == [(100, 90), (90, 80)]


def test_ruin_closes_at_the_close_before_anything_that_would_fill_later() -> None:
    # Short 1000 at 100, ruined from 200 on: bar 2 closes there, and its stop and its signal do not
    # wait for the open 150 of bar 3.
    rows = [100.0, 100.0, 200.0, 150.0, 150.0]
    run = play("SSL..", *rows, risk=SL5, entry_fill="next_open")
    assert told(run) == [("short", 0, 2, "ruin")]
    assert (fills(run), run.equity[-1], run.ruined) == ([(100, 200)], 0, True)


def test_an_exit_at_an_open_beyond_ruin_keeps_its_reason_and_ruins() -> None:
    # Decided at 110; the open 210 is beyond 200. The long that was decided with it never opens.
    run = play("SSLLL", 100.0, 100.0, 110.0, 210.0, 210.0, entry_fill="next_open")
    assert told(run) == [("short", 0, 2, "signal_exit")]
    assert (run.equity[-1], run.ruined) == (-100, True)


def test_a_close_beyond_ruin_ruins_although_funding_leaves_money() -> None:
    # Short 1000 at 100 from 04:00 to 12:00: 50 % of funding at 08:00 bring 500. Bought back at 210:
    # 1000 - 1100 + 500 = 400 are left, and the long that was decided with it does not open.
    rows = [100.0, 100.0, 110.0, 210.0, 210.0]
    run = play("SSLLL", *rows, entry_fill="next_open", funding_pct_per_8h=50.0)
    assert told(run) == [("short", 0, 2, "signal_exit")]
    assert (run.equity[-1], run.ruined) == (400, True)


def test_a_holding_fills_at_the_next_open_too() -> None:
    rows = [100.0, 110.0, 120.0, 130.0, 140.0]
    run = play("L....", *rows, exits="..S..", position="hold", entry_fill="next_open")
    assert told(run) == [("long", 0, 2, "signal_exit")]
    assert fills(run) == [(110, 130)]


def test_without_prices_every_price_of_a_bar_is_its_close() -> None:
    closes = [100.0, 110.0, 120.0, 130.0]
    run = simulate([1, 1, 0, 0], closes, Execution(1000.0, entry_fill="next_open"))
    assert fills(run) == [(110, 130)]
    inside = simulate([1, 1, 1, 1], closes, Execution(stop_fill="intrabar"), RiskLevels(tp=15.0))
    assert fills(inside) == [(100, 120)]


def test_without_prices_bars_of_four_hours_begin_at_the_epoch() -> None:
    # Long from 04:00 to 16:00: funding at 08:00 and 16:00, 0.01 % of 1000 each.
    run = simulate([1, 1, 1, 0], [100.0] * 4, Execution(1000.0, funding_pct_per_8h=0.01))
    assert run.trades[0].carry == near(0.2)
