"""Where liquidation, ruin and carry hang on a hair, or meet each other: numbers by hand.

Each is what the engine makes of it and what the slow simulator does.
"""

import math
from typing import Any

import pytest

from tests.engine.adapter import difference, engine_run, engine_scores
from tests.engine.hand_cases import Bar, bars, near, signs
from tests.engine.plain_metrics import measure
from tests.engine.simulator import Execution, Prices, RiskLevels, Run, simulate

HOUR = 3_600_000
HAIR = 5e-13  # half of the margin with which a level is reached
OFF = RiskLevels()
LEVERED: dict[str, Any] = {"leverage": 10.0}
ways = pytest.mark.parametrize(("way", "level"), [("L", 90.0), ("S", 110.0)], ids=["long", "short"])


def play(
    signals: str, *rows: Bar, risk: RiskLevels = OFF, prices: Prices | None = None, **rules: Any
) -> Run:
    """Return the engine's run with a cash of 1000, which is the simulator's too."""
    prices = bars(*rows) if prices is None else prices
    case = (
        signs(signals, {"L": 1, "S": -1, ".": 0}),
        prices.close,
        Execution(**{"init_cash": 1000.0, **rules}),
        risk,
        prices,
    )
    found = engine_run(*case)
    assert difference(found, simulate(*case)) is None
    return found


def nearer(level: float, way: str, share: float) -> float:
    """Return the price before a liquidation level, as it is come to from 100."""
    return level * (1 + share if way == "L" else 1 - share)


def bar_to(price: float, way: str) -> Bar:
    """Return a bar that is at 100 but for its low, or its high."""
    return (100.0, 100.0, price, 100.0) if way == "L" else (100.0, price, 100.0, 100.0)


@ways
@pytest.mark.parametrize("inside", [False, True], ids=["close", "intrabar"])
def test_a_position_is_liquidated_a_hair_before_its_level_and_at_it(
    way: str, level: float, inside: bool
) -> None:
    stop_fill = "intrabar" if inside else "close"
    for share, reason in ((HAIR, "liquidation"), (3e-12, "forced_close")):
        price = nearer(level, way, share)
        reached = bar_to(price, way) if inside else price
        run = play(3 * way, 100.0, reached, 100.0, stop_fill=stop_fill, **LEVERED)
        assert run.trades[0].reason == reason
    assert play(3 * way, 100.0, level, 100.0, **LEVERED).trades[0].exit_fill == near(level)


@ways
def test_an_exit_that_fills_at_an_open_a_hair_before_the_level_is_a_liquidation(
    way: str, level: float
) -> None:
    for share, reason in ((HAIR, "liquidation"), (3e-12, "signal_exit")):
        price = nearer(level, way, share)
        gap = (price, max(price, 100.0), min(price, 100.0), 100.0)
        rows = [100.0, 100.0, 100.0, gap, 100.0]
        run = play(f"{way}{way}...", *rows, entry_fill="next_open", **LEVERED)
        assert run.trades[0].exit_bar == 2
        assert run.trades[0].reason == reason


def test_a_short_that_is_ruined_before_a_pause_of_trading_borrows_until_then() -> None:
    # Decided on bar 0, there from the open of bar 1; ruined at the close of bar 2, eight hours on.
    opens = [0, 4 * HOUR, 8 * HOUR, 60 * HOUR, 64 * HOUR]
    price = [100.0, 100.0, 200.0, 100.0, 100.0]
    start = [100.0, 100.0, 100.0, 100.0, 100.0]
    prices = Prices(
        open=start,
        high=[max(pair) for pair in zip(price, start, strict=True)],
        low=start,
        close=price,
        open_ms=opens,
        close_ms=[at + 4 * HOUR for at in opens],
    )
    run = play("SSSSS", prices=prices, entry_fill="next_open", borrow_pct_per_year=100.0)
    assert [trade.reason for trade in run.trades] == ["ruin"]
    assert run.trades[0].carry == near(1000 * 8 / (365 * 24))


def test_a_day_ends_with_what_was_borrowed_until_its_last_close() -> None:
    # One bar of four hours a day: the next open, at which orders fill, is twenty hours later.
    closes = [100.0, 101.0, 99.0, 100.0, 98.0, 97.0]
    opens = [24 * HOUR * day for day in range(6)]
    prices = Prices(*[closes] * 4, open_ms=opens, close_ms=[at + 4 * HOUR for at in opens])
    rules = Execution(entry_fill="next_open", borrow_pct_per_year=1000.0)
    case = [-1] * 6, closes, rules
    measured = measure(simulate(*case, OFF, prices), rules.init_cash, opens)
    for metric in ("sharpe", "sortino"):
        found = engine_scores(*case, ((None,),) * 3, metric, prices)
        assert metric not in measured.fragile
        assert found.secondary[0] == near(measured.metrics[metric])


def test_what_is_in_the_safe_raises_the_level_of_ruin() -> None:
    # A long doubles 1000: 500 of the win are safe. A short of 1500 at 200 is ruined where it has
    # lost 1500 and the 500: at (500 + 2 * 1500) / 1500 * 200 = 466.67.
    lock = {"sizing_mode": "strategy_compound_profit_lock", "safe_profit_percent": 50.0}
    rows = [100.0, 200.0, 460.0, 200.0, 200.0]
    for worst, reason in ((460.0, "signal_exit"), (467.0, "ruin")):
        rows[2] = worst
        run = play("LSS..", *rows, borrow_pct_per_year=0.1, **lock)
        assert [trade.reason for trade in run.trades] == ["signal_exit", reason]


def test_a_leap_beyond_the_ruin_of_an_unlevered_short_takes_its_margin_and_no_more() -> None:
    # 100 of 1000 at leverage 10: without it, 300 would be more than (900 + 2 * 1000) / 1000 * 100.
    run = play("SSSS", 100.0, 300.0, 100.0, 100.0, sizing_mode="fixed_quote", **LEVERED)
    assert [(trade.exit_bar, trade.reason) for trade in run.trades] == [(1, "liquidation")]
    assert run.equity == [1000, 900, 900, 900]
    assert not run.ruined


def test_a_leap_costs_a_short_what_its_own_stop_let_it_put_in() -> None:
    # 10 % at stops of 20 % and 40 %: 500 and 250 of 1000, of which a leap to 210 takes 1.1 times.
    sized = Execution(
        init_cash=1000.0,
        sizing_mode="risk_per_trade",
        risk_per_trade_pct=10.0,
        reentry_after_bars=1,
    )
    axes = (20.0, 40.0), (None,), (None,)
    found = engine_scores([-1, -1, -1, -1], [100.0, 210.0, 100.0, 100.0], sized, axes)
    assert found.total_return.tolist() == [near(-55.0), near(-27.5)]


def test_a_size_that_is_all_there_is_but_for_roundings_leaves_nothing() -> None:
    # 0.7 % at a stop of 0.1 % with leverage 7 is all of it, but 0.007 / 0.001 / 7 is less than 1.
    sized = {"sizing_mode": "risk_per_trade", "risk_per_trade_pct": 0.7, "leverage": 7.0}
    run = play("LLL", 1.0, 0.5, 0.5, risk=RiskLevels(sl=0.1), **sized)
    assert run.equity == [1000, 0, 0]
    assert run.ruined


def test_a_short_that_is_stopped_at_twice_its_fill_is_ruined_a_hair_before() -> None:
    # The stop is reached below its level and fills at it, which is the level of ruin. There is
    # money left, for a short receives funding.
    rows = [100.0, 100.0, bar_to(math.nextafter(200.0, 0.0), "S"), 100.0]
    stop, funding = RiskLevels(sl=100.0), {"funding_pct_per_8h": 1.0}
    run = play("SSSS", *rows, risk=stop, stop_fill="intrabar", **funding)
    assert run.trades[0].reason == "sl"
    assert run.equity[-1] > 0
    assert run.ruined
