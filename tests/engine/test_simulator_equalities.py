"""Two ways to say the same thing to the simulator give the same run, in every mode."""

from dataclasses import asdict, replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.engine.mode_cases import COSTLESS, NO_CARRY, ModeCase, mode_cases
from tests.engine.simulated_terms import OFF, flat_bars
from tests.engine.simulator import Execution, Prices, RiskLevels, simulate

LAW = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@LAW
@given(mode_cases(entry_fill="close", stop_fill="close", **NO_CARRY))
def test_fills_and_stops_at_closes_see_nothing_but_closes(case: ModeCase) -> None:
    closes = case.prices.close
    alone = simulate(case.signals, closes, case.execution, case.risk, exits=case.exits)
    assert case.run() == alone


@LAW
@given(mode_cases(leverage=None, sizing_sl=4.0))
def test_without_stops_it_does_not_matter_where_they_are_looked_at(case: ModeCase) -> None:
    case = replace(case, risk=OFF)
    assert case.with_rules(stop_fill="close").run() == case.with_rules(stop_fill="intrabar").run()


def joined(prices: Prices) -> Prices:
    """Return bars that open at the close before, at its time, and reach no further than both."""
    opens = [prices.close[0], *prices.close[:-1]]
    return Prices(
        open=opens,
        high=[max(pair) for pair in zip(opens, prices.close, strict=True)],
        low=[min(pair) for pair in zip(opens, prices.close, strict=True)],
        close=prices.close,
        open_ms=[2 * prices.open_ms[0] - prices.close_ms[0], *prices.close_ms[:-1]],
        close_ms=prices.close_ms,
    )


@LAW
@given(mode_cases())
def test_where_bars_are_joined_the_next_open_is_the_close(case: ModeCase) -> None:
    assume(len(case.signals) > 2)
    signals = [*case.signals[:-2], case.signals[-3], case.signals[-3]]  # no edge on the last two
    case = replace(case, prices=joined(case.prices), signals=signals)
    closes = case.with_rules(entry_fill="close").run()
    opens = case.with_rules(entry_fill="next_open").run()
    for at_close, at_open in zip(closes.trades, opens.trades, strict=True):
        if "ruin" in (at_close.reason, at_open.reason):  # which has another place in the order
            at_open = at_open._replace(reason=at_close.reason)
        assert at_close == at_open
    assert closes.ruined == opens.ruined


@LAW
@given(mode_cases(**COSTLESS))
def test_where_bars_are_joined_and_free_of_cost_equity_is_the_same_too(case: ModeCase) -> None:
    assume(len(case.signals) > 2)
    signals = [*case.signals[:-2], case.signals[-3], case.signals[-3]]
    case = replace(case, prices=joined(case.prices), signals=signals)
    closes = case.with_rules(entry_fill="close").run()
    opens = case.with_rules(entry_fill="next_open").run()
    near = case.rounding(closes)
    assert opens.equity == pytest.approx(closes.equity, abs=near, rel=1e-9)


@LAW
@given(mode_cases(position="state"), st.integers(0, 2**16))
def test_a_holding_without_exit_blocks_and_neutral_signals_is_a_state(
    case: ModeCase, seed: int
) -> None:
    signals = [
        signal or (1 if (seed >> bar % 16) & 1 else -1) for bar, signal in enumerate(case.signals)
    ]
    state = replace(case, signals=signals)
    assert state.with_rules(position="hold").run() == state.run()


def another_future(case: ModeCase, begin: int, factor: float) -> ModeCase:
    """Return the case with other signals, exits and prices from a bar on."""
    signals = [-signal if bar >= begin else signal for bar, signal in enumerate(case.signals)]
    exits = case.exits and case.exits[:begin] + [(not a, not b) for a, b in case.exits[begin:]]
    named = asdict(case.prices)
    for name in ("open", "high", "low", "close"):
        named[name] = named[name][:begin] + [price * factor for price in named[name][begin:]]
    return replace(case, signals=signals, exits=exits, prices=Prices(**named))


@LAW
@given(mode_cases(), st.sampled_from((0.5, 1.5)), st.integers(0, 400))
def test_what_comes_after_a_decision_changes_nothing_before_and_not_the_decision(
    case: ModeCase, factor: float, number: int
) -> None:
    run = case.run()
    assume(run.trades)
    number %= len(run.trades)
    trade = run.trades[number]
    begin = trade.entry_bar + 1
    other = another_future(case, begin, factor).run()
    assert other.equity[:begin] == run.equity[:begin]
    # An exit that was decided with it may leave no money at another open.
    if number == 0 or run.trades[number - 1].exit_bar < trade.entry_bar:
        decided = [(t.entry_bar, t.direction) for t in other.trades]
        assert (trade.entry_bar, trade.direction) in decided


@LAW
@given(mode_cases(leverage=1.0, direction_mode="long-only"))
def test_a_long_of_leverage_1_is_an_unlevered_long(case: ModeCase) -> None:
    assert case.with_rules(leverage=None).run() == case.run()


@LAW
@given(mode_cases(sizing_mode="percent", percent=100.0))
def test_a_hundred_percent_is_all_in(case: ModeCase) -> None:
    assert case.with_rules(sizing_mode="all_in").run() == case.run()


@LAW
@given(mode_cases(), st.sampled_from((0.25, 8.0)), st.sampled_from((0.5, 16.0)))
def test_the_units_of_money_and_of_prices_change_nothing_else(
    case: ModeCase, money: float, unit: float
) -> None:
    rules, run = case.execution, case.run()
    richer = replace(
        rules, init_cash=rules.init_cash * money, fixed_quote=rules.fixed_quote * money
    )
    named = asdict(case.prices)
    for name in ("open", "high", "low", "close"):
        named[name] = [price * unit for price in named[name]]
    other = replace(case, execution=richer, prices=Prices(**named)).run()
    assert other.equity == [equity * money for equity in run.equity]
    assert [(t.reason, t.entry_bar, t.exit_bar) for t in other.trades] == [
        (t.reason, t.entry_bar, t.exit_bar) for t in run.trades
    ]


@LAW
@given(
    st.lists(st.tuples(*[st.integers(640, 12_160)] * 4), min_size=1, max_size=12),
    st.sampled_from(("close", "intrabar")),
    st.sampled_from(("close", "next_open")),
    st.sampled_from((None, 2.0, 4.0)),
    st.tuples(*[st.sampled_from((None, 2.0, 10.0, 40.0))] * 2),
)
def test_longs_and_shorts_are_mirror_images_about_the_entry(
    drawn: list[tuple[int, int, int, int]],
    stop_fill: str,
    entry_fill: str,
    leverage: float | None,
    levels: tuple[float | None, float | None],
) -> None:
    # Entered at 100, without costs, by a fixed amount that cannot be ruined; all prices and their
    # images 200 - price are exact.
    rows = [(6400, 6400, 6400, 6400), (6400, *drawn[0][1:]), *drawn[1:], drawn[0]]
    bars = [(o, max(o, h, x, c), min(o, h, x, c), c) for o, h, x, c in rows]
    rules = Execution(
        fixed_quote=1.0,
        sizing_mode="fixed_quote",
        stop_fill=stop_fill,
        entry_fill=entry_fill,
        leverage=leverage,
    )
    risk = RiskLevels(*levels)
    runs = []
    for direction in (1, -1):
        sign, base = direction, 0 if direction == 1 else 12_800
        moved = [[(base + sign * price) / 64 for price in bar] for bar in bars]
        opens, highs, lows, closes = ([bar[i] for bar in moved] for i in range(4))
        if direction == -1:
            highs, lows = lows, highs
        flat = flat_bars(closes)
        prices = Prices(opens, highs, lows, closes, flat.open_ms, flat.close_ms)
        runs.append(simulate([direction] * len(bars), closes, rules, risk, prices))
    long, short = runs
    assert short.equity == pytest.approx(long.equity, abs=1e-9)
    assert [(t.reason, t.exit_bar) for t in short.trades] == [
        (t.reason, t.exit_bar) for t in long.trades
    ]
