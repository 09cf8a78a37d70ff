"""Shuffles and bootstraps against plain Python accounts, by exact counts, and by laws."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels import SIZINGS, ExecutionRules
from engine.kernels.inputs import costs_of
from engine.kernels.replaying import (
    below,
    factors_of,
    replay_anywhere,
    replay_drawn,
    replay_in_order,
)
from engine.validation.seeding import words
from tests.engine.adapter import engine_trades, market_for, rules_of
from tests.engine.mode_cases import ModeCase, mode_cases
from tests.engine.parts import from_python
from tests.engine.validation.replaying import (
    FREE,
    assert_even,
    name,
    plain_drawdown,
    sized,
    walk,
)

MASK = 2**64 - 1
NUMBER_BELOW = from_python(below)


def drawn(
    factors: Sequence[float], rules: ExecutionRules = FREE, *, again: bool = False, runs: int = 500
) -> tuple[list[float], list[float]]:
    """Return final balances and drawdowns."""
    balances, drawdowns = np.empty(runs), np.empty(runs)
    states = words(3, "replays of a test", runs)
    replay_drawn(np.array(factors), again, costs_of(rules), states, balances, drawdowns)
    return balances.tolist(), drawdowns.tolist()


# --- the trades as they came ----------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(mode_cases())
def test_the_trades_as_they_came_leave_what_they_left(case: ModeCase) -> None:
    """Under any rules, to the last bit: sizes, leverage, carry, stops, ruin and liquidation."""
    trades = engine_trades(
        case.signals, case.prices.close, case.execution, case.risk, case.prices, case.exits
    )
    market = market_for(case.prices.close, case.execution, case.prices)
    costs = costs_of(rules_of(case.execution, case.risk.sl))
    balances = (trades.available + trades.safe).tolist()
    if not np.isfinite(balances).all():
        return
    factors = factors_of(
        trades.entry_bar,
        trades.exit_bar,
        trades.direction > 0,
        trades.exit_price,
        trades.way,
        market,
        costs,
    )
    balance, drawdown = replay_in_order(factors, costs)
    assert balance == (balances[-1] if balances else costs.init_cash)
    assert drawdown == plain_drawdown(balances, costs.init_cash)


# --- the same draws in plain Python ---------------------------------------------------------------


class PlainRandom:
    """splitmix64 and Lemire's bounded numbers, in numbers without end."""

    def __init__(self, state: int) -> None:
        self.state = state

    def word(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        while True:
            product = (self.word() >> 32) * bound
            if product % 2**32 >= 2**32 % bound:
                return product // 2**32

    def shuffled(self, items: Sequence[Any]) -> list[Any]:
        items = list(items)
        for last in range(len(items) - 1, 0, -1):
            at = self.below(last + 1)
            items[last], items[at] = items[at], items[last]
        return items


@settings(max_examples=200, deadline=None)
@given(st.integers(0, MASK), st.integers(1, 2**32) | st.integers(2**31, 2**32))
def test_numbers_below_a_bound_are_those_of_the_plain_generator(state: int, bound: int) -> None:
    """Of large bounds up to half of the words are refused, so that each number is as likely."""
    random = PlainRandom(state)
    expected = random.below(bound)
    after, number = NUMBER_BELOW(np.uint64(state), bound)
    assert (int(number), int(after)) == (expected, random.state)


def all_in(cash: float, safe: float, factor: float) -> tuple[float, float]:
    return cash * factor, safe


def fixed_quote(cash: float, safe: float, factor: float) -> tuple[float, float]:
    spent = min(cash, 0.3)
    return cash - spent + spent * factor, safe


def profit_lock(cash: float, safe: float, factor: float) -> tuple[float, float]:
    won = max(0.0, cash * factor - cash)
    return cash * factor - won / 2, safe + won / 2


ACCOUNTS: dict[str, Callable[[float, float, float], tuple[float, float]]] = {
    "all_in": all_in,
    "fixed_quote": fixed_quote,
    "strategy_compound_profit_lock": profit_lock,
}


@pytest.mark.parametrize("again", [False, True], ids=["shuffled", "bootstrapped"])
@pytest.mark.parametrize("sizing", ACCOUNTS)
def test_replays_are_those_of_a_plain_account(sizing: str, again: bool) -> None:
    """Some factors are ruinous, so that accounts end early."""
    factors = [1.3, 0.8, 0.95, 1.1, 0.7, 1.02, 0.0, -0.5, 2.0, 0.9, 1.2]
    found = drawn(factors, sized(sizing), again=again, runs=100)
    for state, balance, drawdown in zip(words(3, "replays of a test", 100), *found, strict=True):
        random = PlainRandom(int(state))
        order = [factors[random.below(11)] for _ in factors] if again else random.shuffled(factors)
        cash, safe, balances = 1.0, 0.0, []
        for factor in order:
            if cash <= 1e-9:
                break
            cash, safe = ACCOUNTS[sizing](cash, safe, factor)
            balances.append(cash + safe)
        assert balance == pytest.approx(balances[-1], abs=1e-12)
        assert drawdown == pytest.approx(plain_drawdown(balances, 1.0), abs=1e-12)


FACTORS = [1.31, 0.83, 0.94, 1.17]


def test_every_order_is_as_likely() -> None:
    """With a fixed size and a safe every order of these ends elsewhere, or falls elsewhere."""
    rules = sized("strategy_compound_profit_lock")
    kinds: Counter[Any] = Counter()
    for order in itertools.permutations(FACTORS):
        balance, drawdown = replay_in_order(np.array(order), costs_of(rules))
        kinds[name(balance), name(drawdown)] += 1
    assert len(kinds) > 5
    balances, drawdowns = drawn(FACTORS, rules, runs=24_000)
    times = Counter(zip(map(name, balances), map(name, drawdowns), strict=True))
    assert_even(times, kinds)


def test_every_choice_with_replacement_is_as_likely() -> None:
    kinds = Counter(name(math.prod(some)) for some in itertools.product(FACTORS, repeat=4))
    assert len(kinds) == 35
    assert_even(Counter(map(name, drawn(FACTORS, again=True, runs=24_000)[0])), kinds)


# --- laws of orders -------------------------------------------------------------------------------

many_factors = st.lists(st.floats(0.5, 1.6), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(many_factors)
def test_where_all_is_committed_the_order_moves_the_drawdown_alone(factors: list[float]) -> None:
    balances, drawdowns = drawn(factors, runs=20)
    losses = [factor for factor in factors if factor < 1]
    assert balances == pytest.approx([math.prod(factors)] * 20, rel=1e-12)
    deepest = replay_in_order(np.array(sorted(factors, reverse=True)), costs_of(FREE))[1]
    assert deepest == pytest.approx(1 - math.prod(losses), abs=1e-12)
    assert max(drawdowns) <= deepest + 1e-12
    assert min(drawdowns) >= 1 - min(1.0, *factors) - 1e-12


@pytest.mark.parametrize("sizing", SIZINGS)
@pytest.mark.parametrize("factor", [0.9, 1.0, 1.2])
def test_one_trade_has_one_order(sizing: str, factor: float) -> None:
    rules = sized(sizing, percent=0.5, risk=0.01, stop=0.05)
    once = replay_in_order(np.array([factor]), costs_of(rules))
    for again in (False, True):
        balances, drawdowns = drawn([factor], rules, again=again, runs=5)
        assert (set(balances), set(drawdowns)) == ({once[0]}, {once[1]})


def test_equal_trades_are_the_same_in_any_order() -> None:
    for again in (False, True):
        assert [len(set(values)) for values in drawn([0.9] * 7, again=again)] == [1, 1]


def test_any_part_of_the_replays_is_what_all_of_them_are() -> None:
    states, costs = words(1, "parts", 30), costs_of(FREE)
    factors, lengths = np.array(FACTORS), np.array([3, 1, 4, 2])
    market = walk(40)
    up = np.array([True, False, True, False])
    whole, part = np.empty((3, 30)), np.empty((3, 30))
    for out, pieces in ((whole, [slice(0, 30)]), (part, [slice(20, 30), slice(0, 20)])):
        for piece in pieces:
            replay_drawn(factors, True, costs, states[piece], out[0][piece], out[1][piece])
            replay_anywhere(lengths, up, market, costs, states[piece], out[2][piece])
    np.testing.assert_array_equal(whole, part)
