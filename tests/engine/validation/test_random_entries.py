"""Random entries: every layout is as likely, and trades as any other."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings

from engine.kernels import ExecutionRules, simulate
from engine.kernels.account import Market
from engine.kernels.inputs import costs_of
from engine.kernels.replaying import replay_anywhere
from engine.validation.replays import Replays, replays
from engine.validation.seeding import words
from tests.engine.adapter import market_for, plane, rules_of
from tests.engine.mode_cases import ModeCase, mode_cases
from tests.engine.simulated_terms import OFF
from tests.engine.simulator import LONG, NEUTRAL, SHORT, Prices
from tests.engine.simulator import simulate as slowly
from tests.engine.validation.replaying import (
    FREE,
    Floats,
    assert_even,
    name,
    random_trades,
    walk,
)


def layouts(bars: int, trades: Sequence[tuple[int, bool]]) -> Iterator[list[tuple[int, int, bool]]]:
    """Every order of the trades (length, long) at every place where none overlap."""
    for order in itertools.permutations(trades):
        for entries in itertools.combinations(range(bars), len(trades)):
            placed = [(e, e + n, long) for e, (n, long) in zip(entries, order, strict=True)]
            ends = [end for _, end, _ in placed]
            if ends[-1] < bars and all(a <= b for a, b in zip(ends, entries[1:], strict=False)):
                yield placed


def anywhere(
    trades: Sequence[tuple[int, bool]], market: Market, rules: ExecutionRules, runs: int
) -> list[float]:
    balances = np.empty(runs)
    lengths, up = np.array([n for n, _ in trades]), np.array([long for _, long in trades])
    states = words(5, "places", runs)
    replay_anywhere(lengths, up, market, costs_of(rules), states, balances)
    found: list[float] = balances.tolist()
    return found


@pytest.mark.parametrize(
    ("bars", "trades"),
    [
        (12, [(3, True)]),
        (9, [(2, True), (1, False), (2, False)]),
        (7, [(2, True), (2, True)]),
        (6, [(2, True), (3, False)]),
    ],
)
def test_every_place_is_as_likely(bars: int, trades: list[tuple[int, bool]]) -> None:
    market = walk(bars)
    kinds: Counter[float] = Counter()
    for placed in layouts(bars, trades):
        ratios = [(market.closes[b] / market.closes[a], long) for a, b, long in placed]
        kinds[name(math.prod(r if long else 2 - r for r, long in ratios))] += 1
    times = Counter(map(name, anywhere(trades, market, FREE, 400 * len(kinds))))
    assert_even(times, kinds)


# Rules under which the slow simulator makes the trades that its signals say.
PLAINLY = mode_cases(position="state", direction_mode="long-short", reentry_after_bars=0)


@settings(max_examples=30, deadline=None)
@given(PLAINLY.filter(lambda case: len(case.signals) >= 9))
def test_random_entries_are_trades_as_any(case: ModeCase) -> None:
    """A long and a short, wherever they are, leave what the slow simulator says, by any rules."""
    bars, trades = min(len(case.signals), 13), [(3, True), (2, False)]
    columns = {field.name: getattr(case.prices, field.name)[:bars] for field in fields(Prices)}
    prices = Prices(**columns)
    stop = case.risk.sl if case.execution.sizing_sl is None else case.execution.sizing_sl
    execution = replace(case.execution, sizing_sl=stop)
    market = market_for(prices.close, execution, prices)
    found = np.sort(anywhere(trades, market, rules_of(execution), 1500))
    expected = []
    for placed in layouts(bars, trades):
        signals = [NEUTRAL] * bars
        for begin, end, long in placed:
            signals[begin:end] = [LONG if long else SHORT] * (end - begin)
        if placed[-1][0] + 2 < bars or execution.entry_fill == "close":  # else: at the last open
            run = slowly(signals, prices.close, execution, OFF, prices)
            expected.append(execution.init_cash * (1 + run.total_return_pct / 100))
    if not np.isfinite(found).all():
        return
    assert_each_is_in(expected, found, execution.init_cash)
    if execution.entry_fill == "close":
        assert_each_is_in(found.tolist(), np.sort(expected), execution.init_cash)


def assert_each_is_in(values: Sequence[float], ordered: Floats, cash: float) -> None:
    for value in values:
        at = int(np.searchsorted(ordered, value))
        off = np.abs(ordered[max(at - 1, 0) : at + 1] - value).min()
        assert off <= 1e-9 * max(cash, abs(value)), f"{value} is {off} off"


def test_signals_without_an_edge_have_any_p() -> None:
    """Of 300 random strategies on a random walk, each on its own, a tenth has p up to 0.1."""
    rules, found = FREE._replace(fee=0.001), []
    for seed in range(300):
        market = walk(150, seed)
        result = replays(random_trades(seed, 150, market, rules), market, rules, seed=seed, runs=39)
        assert isinstance(result, Replays)
        found.append(result.naive_p)
    for level in (0.1, 0.5, 0.9):
        share, scatter = np.mean(np.array(found) <= level), math.sqrt(level * (1 - level) / 300)
        assert abs(share - level) < 3.5 * scatter


def test_signals_that_know_the_future_have_the_smallest_p() -> None:
    market = walk(150)
    signals = np.sign(np.diff(market.closes, append=market.closes[-1])).astype(int).tolist()
    planes = plane(signals, LONG), plane(signals, SHORT)
    result = replays(simulate(*planes, market.closes, FREE), market, FREE, seed=1, runs=99)
    assert isinstance(result, Replays)
    assert (result.as_good, result.naive_p) == (0, 0.01)
