"""The reference simulator's funding and borrowing.

Bars last four hours from the epoch, so bars 1, 3, 5, ... close when funding is due (08, 16, 00).
"""

import math

import pytest

from tests.engine.hand_cases import near, play, told
from tests.engine.simulator import Execution, Prices, RiskLevels, Run, simulate

SL5 = RiskLevels(sl=5.0)
LOCK = {"sizing_mode": "strategy_compound_profit_lock", "safe_profit_percent": 50.0}


def carried(run: Run) -> list[float]:
    return [t.carry for t in run.trades]


@pytest.mark.parametrize(
    ("signals", "stamps"),
    [
        ("LLL.....", 2),  # 04:00 to 16:00: 08 and 16
        (".LL.....", 1),  # 08:00 to 16:00: the entry's own 08 does not count, the exit's 16 does
        ("..L.....", 1),  # 12:00 to 16:00
        (".L......", 0),  # 08:00 to 12:00
        ("LLLLLL..", 3),  # 04:00 to 28:00: 08, 16, 24
    ],
)
def test_a_long_pays_funding_at_00_08_and_16_after_its_entry_up_to_its_exit(
    signals: str, stamps: int
) -> None:
    run = play(signals, *[100.0] * 8, funding_pct_per_8h=0.5)
    assert carried(run) == [near(5 * stamps)]  # 0.5 % of 1000 each
    assert run.trades[0].net == near(-5 * stamps)
    assert run.equity[-1] == near(1000 - 5 * stamps)


def test_fills_at_opens_are_dated_with_the_open() -> None:
    # From the open of bar 2, 08:00 (not counted), to the open of bar 4, 16:00 (counted).
    run = play(".LL.....", *[100.0] * 8, funding_pct_per_8h=0.5, entry_fill="next_open")
    assert carried(run) == [near(5)]


def test_funding_counts_while_a_market_is_closed() -> None:
    # Bar 1 closes at 08:00, bar 2 opens at 30:00: what bar 1 decides fills at the one or the other.
    hours = [(0, 4), (4, 8), (30, 34), (34, 38), (38, 42)]
    open_ms, close_ms = ([span[end] * 3_600_000 for span in hours] for end in (0, 1))
    flat = [100.0] * 5
    prices = Prices(flat, flat, flat, flat, open_ms, close_ms)
    paid = {}
    for entry_fill in ("close", "next_open"):
        rules = Execution(1000.0, funding_pct_per_8h=0.5, entry_fill=entry_fill)
        paid[entry_fill] = carried(simulate([0, 1, 1, 0, 0], flat, rules, prices=prices))
    # From 08:00 to 38:00: 16, 24 and 32. From 30:00 to 38:00: 32.
    assert paid == {"close": [near(15)], "next_open": [near(5)]}


def test_an_exit_that_is_decided_on_the_last_bar_is_dated_with_its_close() -> None:
    # From 04:00 to the close of bar 3, 16:00.
    run = play("LLL.", *[100.0] * 4, funding_pct_per_8h=0.5, entry_fill="next_open")
    assert carried(run) == [near(10)]


def test_a_stop_inside_a_bar_that_closes_when_funding_is_due_pays_none() -> None:
    # Bar 3 closes at 16:00: only 08:00 is paid. The stop seen at that close pays both.
    rows = [100.0, 100.0, 100.0, (100.0, 100.0, 90.0, 90.0), 90.0]
    inside = play("LLLLL", *rows, risk=SL5, funding_pct_per_8h=0.5, stop_fill="intrabar")
    assert carried(inside) == [near(5)]
    at_close = play("LLLLL", *rows, risk=SL5, funding_pct_per_8h=0.5)
    assert carried(at_close) == [near(10)]


def test_a_short_receives_what_a_long_pays_and_a_negative_percent_turns_it_round() -> None:
    assert carried(play("SSS.", *[100.0] * 4, funding_pct_per_8h=0.5)) == [near(-10)]
    assert carried(play("LLL.", *[100.0] * 4, funding_pct_per_8h=-0.5)) == [near(-10)]
    assert carried(play("SSS.", *[100.0] * 4, funding_pct_per_8h=-0.5)) == [near(10)]


HOUR = 3_600_000
# At 04:00, 07:00, 08:00, 12:00, 16:00 and 20:00: none at regular hours alone, one negative.
SERIES = [
    *((4 * HOUR, 0.1), (7 * HOUR, 0.2), (8 * HOUR, 0.4), (12 * HOUR, -0.8)),
    *((16 * HOUR, 1.6), (20 * HOUR, 3.2)),
]


@pytest.mark.parametrize(
    ("signals", "percent"),
    [
        ("LLL.....", 0.2 + 0.4 - 0.8 + 1.6),  # 04:00 to 16:00: after its entry, up to its exit
        (".LL.....", -0.8 + 1.6),  # 08:00 to 16:00
        (".L......", -0.8),  # 08:00 to 12:00
        ("SS......", -0.2 - 0.4 + 0.8),  # a short gets what a long pays, 04:00 to 12:00
        ("......L.", 0.0),  # 28:00 to 32:00: nothing is known of it
    ],
)
def test_a_series_is_paid_at_its_own_times_and_a_missing_payment_costs_nothing(
    signals: str, percent: float
) -> None:
    run = play(signals, *[100.0] * 8, funding_rates=SERIES)
    assert carried(run) == [near(10 * percent)]  # of 1000
    assert run.equity[-1] == near(1000 - 10 * percent)


def test_a_series_takes_the_place_of_the_percent() -> None:
    flat = [100.0] * 8
    run = play("LLL.....", *flat, funding_rates=SERIES[:2], funding_pct_per_8h=5.0)
    assert carried(run) == [near(2)]
    assert carried(play("LLL.....", *flat, funding_rates=[], funding_pct_per_8h=5.0)) == [0.0]


def test_a_stop_inside_a_bar_that_closes_when_a_payment_is_due_pays_what_was_due_before() -> None:
    # Entered at 04:00, stopped inside the bar from 12:00 to 16:00, in which 15:00 is due.
    rates = [*SERIES[:4], (15 * HOUR, 0.05), *SERIES[4:]]
    rows = [100.0, 100.0, 100.0, (100.0, 100.0, 90.0, 90.0), 90.0]
    inside = play("LLLLL", *rows, risk=SL5, funding_rates=rates, stop_fill="intrabar")
    assert carried(inside) == [near(10 * (0.2 + 0.4 - 0.8 + 0.05))]


def test_funding_accrues_in_the_equity_at_closes() -> None:
    run = play("LLL..", *[100.0] * 5, funding_pct_per_8h=0.5)
    assert run.equity == [1000, near(995), near(995), near(990), near(990)]


def test_funding_is_on_the_entry_s_notional_whatever_the_price_does() -> None:
    # Q = 400 of a margin of 100; the price has doubled when it is due.
    rules = {"leverage": 4.0, "sizing_mode": "fixed_quote", "funding_pct_per_8h": 0.5}
    run = play("LLL.", 100.0, 200.0, 200.0, 200.0, **rules)
    assert carried(run) == [near(4)]
    assert run.trades[0].net == near(396)


def test_funding_decides_whether_a_trade_wins() -> None:
    # 20 won, 10 paid: half of the net 10 goes to the safe. With 25 paid nothing does.
    run = play("LLL.", 100.0, 100.0, 100.0, 102.0, funding_pct_per_8h=0.5, **LOCK)
    assert run.trades[0].safe == near(5)
    run = play("LLL.", 100.0, 100.0, 100.0, 102.0, funding_pct_per_8h=1.25, **LOCK)
    assert run.trades[0].safe == 0


def test_funding_that_eats_the_money_ruins() -> None:
    run = play("LLL.L.", *[100.0] * 6, funding_pct_per_8h=50.0)
    assert told(run) == [("long", 0, 3, "signal_exit")]
    assert (run.equity[-1], run.ruined) == (0, True)


def test_a_liquidation_pays_no_carry() -> None:
    rules = {"leverage": 4.0, "sizing_mode": "fixed_quote", "funding_pct_per_8h": 0.5}
    run = play("LLLL", 100.0, 100.0, 70.0, 70.0, **rules)
    assert carried(run) == [0]
    # The accrued 2 of 08:00 is in the equity before, and gone with the margin.
    assert run.equity == [1000, 998, 900, 900]


# Borrowing


def test_a_short_pays_for_borrowing_by_the_time_it_is_held() -> None:
    # From 04:00 to 16:00 is 12 hours of 8760: 1000 * 10 / 100 * 12 / 8760.
    run = play("SSS.", *[100.0] * 4, borrow_pct_per_year=10.0)
    assert carried(run) == [near(100 * 12 / 8760)]
    assert run.equity[:3] == [1000, near(1000 - 100 * 4 / 8760), near(1000 - 100 * 8 / 8760)]
    assert run.equity[3] == near(1000 - 100 * 12 / 8760)


def test_a_long_borrows_nothing() -> None:
    run = play("LLL.", *[100.0] * 4, borrow_pct_per_year=10.0, leverage=4.0)
    assert carried(run) == [0]


def test_borrowing_is_on_the_notional_and_joins_funding() -> None:
    # 4000 short for 12 hours; funding 0.5 % twice is received.
    rules = {"leverage": 4.0, "borrow_pct_per_year": 10.0, "funding_pct_per_8h": 0.5}
    run = play("SSS.", *[100.0] * 4, **rules)
    assert carried(run) == [near(400 * 12 / 8760 - 40)]


def test_a_stop_inside_a_bar_borrows_up_to_its_close_and_an_open_up_to_the_open() -> None:
    rows = [100.0, 100.0, (100.0, 110.0, 100.0, 100.0), 100.0, 100.0]
    inside = play("SSSSS", *rows, risk=SL5, borrow_pct_per_year=10.0, stop_fill="intrabar")
    assert carried(inside) == [near(100 * 8 / 8760)]  # 04:00 to 12:00
    opens = play("SSS..", *rows, borrow_pct_per_year=10.0, entry_fill="next_open")
    assert carried(opens) == [near(100 * 12 / 8760)]  # 04:00 to 16:00


def test_carry_does_not_move_the_close_that_ruins() -> None:
    # Ruined from 200 on, although funding has brought 100 by then.
    for close, reason in ((200.0, "ruin"), (math.nextafter(200.0, 0), "forced_close")):
        run = play("SSS", 100.0, close, 100.0, funding_pct_per_8h=10.0)
        assert run.trades[0].reason == reason
