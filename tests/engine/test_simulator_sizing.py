"""The reference simulator's sizing, and what leverage makes of it."""

import random

import pytest

from tests.engine.hand_cases import near, play, told
from tests.engine.simulated_account import Account
from tests.engine.simulator import Execution, RiskLevels, Run, simulate

SL5 = RiskLevels(sl=5.0)


def quotes(run: Run) -> list[float]:
    return [t.quote for t in run.trades]


# Percent of equity


def test_percent_puts_in_its_share_of_the_equity_of_each_entry() -> None:
    # 40 % of 1000 is 400, which doubles: 1400. 40 % of 1400 is 560.
    run = play("LSS", 100.0, 200.0, 200.0, sizing_mode="percent", percent=40.0)
    assert quotes(run) == [400, near(560)]
    assert [t.available for t in run.trades] == [1400, near(1400)]
    assert [t.margin for t in run.trades] == [400, near(560)]


def test_percent_leaves_the_rest_and_pays_the_fee_from_it() -> None:
    # Fee 1 %: 500 in, 5 paid; out at 100: fee 5. 1000 - 10.
    run = play("LL.", 100.0, 100.0, 100.0, sizing_mode="percent", percent=50.0, fee_pct=1.0)
    assert run.equity == [995, 995, 990]


def test_percent_is_capped_by_what_leaves_the_entry_fee_payable() -> None:
    # Fee 25 %: most = 1000 / 1.25 = 800, less than 90 % of 1000, and nothing is left.
    run = play("LL.", 100.0, 100.0, 100.0, sizing_mode="percent", percent=90.0, fee_pct=25.0)
    assert quotes(run) == [800]
    assert run.equity[0] == 800


def test_a_hundred_percent_is_all_in_to_the_last_bit() -> None:
    rng = random.Random(5)
    for _ in range(50):
        closes = [rng.uniform(1, 100) for _ in range(40)]
        signals = [rng.choice((1, -1, 0)) for _ in closes]
        rules = Execution(rng.uniform(1, 1e5), fee_pct=rng.choice((0.0, 0.075)))
        whole = Execution(rules.init_cash, rules.fee_pct, sizing_mode="percent", percent=100.0)
        assert simulate(signals, closes, whole) == simulate(signals, closes, rules)


# Risk per trade


def test_a_size_that_is_all_there_is_but_for_roundings_leaves_nothing() -> None:
    # 0.7 % at a stop of 0.1 % with leverage 7 is all of it, but 7092 * 0.7 / 0.1 / 7 is not 7092.
    rules = {"sizing_mode": "risk_per_trade", "risk_per_trade_pct": 0.7, "leverage": 7.0}
    rows, stop = (1.0, 0.5, 0.5), RiskLevels(sl=0.1)
    run = play("LLL", *rows, risk=stop, init_cash=7092.0, **rules)
    assert run.equity == [7092, 0, 0]
    assert run.ruined


def test_risk_per_trade_loses_its_percent_of_the_equity_at_the_stop() -> None:
    # 1 % of 1000 at a stop of 5 %: Q = 1000 * 1 / 5 = 200, which loses 10 at 95. Then 990 * 1 / 5.
    rules = {"sizing_mode": "risk_per_trade", "risk_per_trade_pct": 1.0, "stop_fill": "intrabar"}
    rows = [100.0, (100.0, 100.0, 95.0, 100.0), 100.0, 100.0]
    run = play("LSSS", *rows, risk=SL5, **rules)
    assert quotes(run) == [200, near(198)]
    assert run.trades[0].available == 990


def test_risk_per_trade_is_capped_by_what_leaves_the_entry_fee_payable() -> None:
    # 10 % at a stop of 5 % would be 2000; most is 1000 / 1.25 = 800.
    rules = {"sizing_mode": "risk_per_trade", "risk_per_trade_pct": 10.0, "fee_pct": 25.0}
    run = play("LL.", 100.0, 100.0, 100.0, risk=SL5, **rules)
    assert quotes(run) == [800]
    assert run.equity[0] == 800


def test_a_stop_may_size_a_position_and_not_stop_it() -> None:
    rules = {"sizing_mode": "risk_per_trade", "risk_per_trade_pct": 1.0, "sizing_sl": 5.0}
    run = play("LLL", 100.0, 50.0, 50.0, **rules)
    assert (told(run), quotes(run)) == ([("long", 0, 2, "forced_close")], [200])
    # A further stop stops it and sizes nothing.
    run = play("LLL", 100.0, 50.0, 50.0, risk=RiskLevels(sl=20.0), **rules)
    assert (told(run), quotes(run)) == ([("long", 0, 1, "sl")], [200])


@pytest.mark.parametrize(
    ("rules", "quote"),
    [
        ({"sizing_mode": "percent", "percent": 100.0}, 1000.0),
        ({"sizing_mode": "risk_per_trade", "risk_per_trade_pct": 1.0}, 1000.0),
        ({"sizing_mode": "risk_per_trade", "risk_per_trade_pct": 0.1}, 200.0),
    ],
)
def test_equity_includes_what_a_safe_holds(rules: dict[str, float], quote: float) -> None:
    # Nothing puts money into the safe with these sizings, so it is put there by hand.
    account = Account(Execution(1000.0, **rules))  # type: ignore[arg-type]
    account.safe = 1000.0
    account.open(1, 0, 100.0, 0, stop_loss=1.0)
    assert account.position is not None
    assert account.position.quote == near(quote)


# Leverage


def test_leverage_multiplies_the_margin() -> None:
    # Fee 1 %, ten times: M = 1000 / (1 + 0.1) = 909.09, Q = 9090.91, fee 90.91, nothing left.
    # Out at 105: value 9545.45, fee 95.45, gross 454.55; M + gross - fee = 1268.18.
    run = play("LL.", 100.0, 102.0, 105.0, leverage=10.0, fee_pct=1.0)
    (trade,) = run.trades
    assert (trade.margin, trade.quote) == (near(10_000 / 11), near(100_000 / 11))
    assert (trade.gross, trade.exit_fee) == (near(5_000 / 11), near(1_050 / 11))
    assert trade.net == near((5_000 - 1_000 - 1_050) / 11)
    assert trade.available == near((10_000 + 5_000 - 1_050) / 11)
    # Marked: M + (quantity * close - Q): 909.09 and 909.09 + 181.82.
    assert run.equity == [near(10_000 / 11), near(12_000 / 11), near(13_950 / 11)]


def test_a_short_with_leverage_gains_when_the_price_falls() -> None:
    # Q = 4000, quantity 40: at 95 it has gained 200, at 90 400.
    run = play("SS.", 100.0, 95.0, 90.0, leverage=4.0)
    assert run.equity == [1000, 1200, 1400]


@pytest.mark.parametrize(
    ("rules", "margin", "left"),
    [
        # Fee 1 %, four times: most = 1000 / 1.04 = 961.538...
        ({"sizing_mode": "all_in"}, 1000 / 1.04, 0),
        # The fee is 1 % of 4 * 100.
        ({"sizing_mode": "fixed_quote", "fixed_quote": 100.0}, 100, 896),
        ({"sizing_mode": "fixed_quote", "fixed_quote": 5000.0}, 1000 / 1.04, 0),
        ({"sizing_mode": "percent", "percent": 50.0}, 500, 480),
        # Q = 1000 * 10 / 5 = 2000, so M = 500.
        ({"sizing_mode": "risk_per_trade", "risk_per_trade_pct": 10.0}, 500, 480),
        # Q = 1000 * 30 / 5 = 6000, more than 4 * 961.54.
        ({"sizing_mode": "risk_per_trade", "risk_per_trade_pct": 30.0}, 1000 / 1.04, 0),
    ],
)
def test_sizing_gives_the_margin_and_risk_per_trade_the_notional(
    rules: dict[str, float], margin: float, left: float
) -> None:
    run = play("LL.", 100.0, 100.0, 100.0, risk=SL5, leverage=4.0, fee_pct=1.0, **rules)
    (trade,) = run.trades
    assert (trade.margin, trade.quote) == (near(margin), near(4 * margin))
    assert run.equity[0] == near(left + margin)


@pytest.mark.parametrize("leverage", [None, 4.0, 125.0])
@pytest.mark.parametrize("sizing_mode", ["all_in", "fixed_quote", "percent", "risk_per_trade"])
def test_an_entry_of_all_there_is_leaves_exactly_nothing(
    sizing_mode: str, leverage: float | None
) -> None:
    most = Execution(
        1000.0,
        fee_pct=0.075,
        fixed_quote=1e9,
        risk_per_trade_pct=1e4,
        sizing_mode=sizing_mode,
        leverage=leverage,
    )
    account = Account(most)
    account.open(1, 0, 100.0, 0, stop_loss=1.0)
    assert account.available == 0


def test_a_long_of_leverage_1_is_an_all_in_long_to_the_last_bit() -> None:
    rng = random.Random(6)
    for _ in range(50):
        closes = [rng.uniform(1, 100) for _ in range(40)]
        signals = [rng.choice((1, 0)) for _ in closes]
        costs = (rng.uniform(1, 1e5), rng.choice((0.0, 0.075)), rng.choice((0.0, 0.01)))
        once = simulate(signals, closes, Execution(*costs, leverage=1.0))
        assert once == simulate(signals, closes, Execution(*costs))
