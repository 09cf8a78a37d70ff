"""What is said of all replays of a variant."""

import json

import numpy as np
import pytest

from engine.kernels import simulate
from engine.kernels.inputs import costs_of, market_of
from engine.validation import Unknown
from engine.validation.replays import Replays, replays
from engine.validation.seeding import Words, words
from tests.engine.adapter import plane
from tests.engine.simulator import LONG, SHORT
from tests.engine.validation.replaying import (
    FREE,
    Floats,
    plain_drawdown,
    random_trades,
    sized,
    walk,
)


def test_the_document_says_what_the_replays_made() -> None:
    market, rules = walk(400), sized("fixed_quote", fee=0.001)
    trades = random_trades(2, 400, market, rules)
    result = replays(trades, market, rules, seed=11, runs=250)
    assert isinstance(result, Replays)
    document = result.document()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document == replays(trades, market, rules, seed=11, runs=250).document()
    assert document != replays(trades, market, rules, seed=12, runs=250).document()
    balances = (trades.available + trades.safe).tolist()
    assert document["trades"] == len(balances) > 20
    assert document["return_pct"] == pytest.approx((balances[-1] - 1) * 100)
    assert document["drawdown_at_trades_pct"] == 100 * plain_drawdown(balances, 1.0)

    def quantiles(values: Floats, *percents: int) -> dict[str, float]:
        """Of 250 values, as numpy has them."""
        found = np.quantile(values, [p / 100 for p in percents], method="inverted_cdf").tolist()
        return {f"p{p}": value for p, value in zip(percents, found, strict=True)}

    shuffled, again, anywhere_ = (
        result.shuffled_drawdowns_pct,
        result.bootstrapped_returns_pct,
        result.random_returns_pct,
    )
    assert document["shuffles"]["drawdown_at_trades_pct"] == quantiles(shuffled, 50, 95)
    assert document["bootstraps"]["return_pct"] == quantiles(again, 5, 50, 95)
    assert document["bootstraps"]["loss_share"] == (again < 0).sum() / 250
    assert document["random_entries"]["return_pct"] == quantiles(anywhere_, 5, 50, 95)
    as_good = int((anywhere_ >= result.return_pct).sum())
    assert document["random_entries"]["as_good"] == as_good
    assert document["random_entries"]["naive_p"] == (1 + as_good) / 251


def test_each_kind_of_replay_has_random_numbers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, str, int]] = []

    def noted(seed: int, name: str, count: int) -> Words:
        asked.append((seed, name, count))
        return words(seed, name, count)

    monkeypatch.setattr("engine.validation.replays.words", noted)
    market = walk(60)
    replays(random_trades(1, 60, market, FREE), market, FREE, seed=8, runs=9)
    assert len({name for _, name, _ in asked}) == 3
    assert {(seed, count) for seed, _, count in asked} == {(8, 9)}


def test_what_overflows_is_none() -> None:
    """The account, a number near the largest there is, doubles."""
    rules = FREE._replace(init_cash=1e308)
    market = market_of(np.array([1.0, 3.0, 1.0, 3.0, 1.0]), costs_of(rules))
    signals = [1, 0, 1, 0, 0]
    planes = plane(signals, LONG), plane(signals, SHORT)
    trades = simulate(*planes, market.closes, rules, market=market)
    document = replays(trades, market, rules, seed=1, runs=20).document()
    assert document["return_pct"] is None
    assert document["drawdown_at_trades_pct"] is None
    assert document["shuffles"]["drawdown_at_trades_pct"] == {"p50": None, "p95": None}
    json.dumps(document, allow_nan=False)


def test_without_trades_there_is_nothing_to_replay() -> None:
    market = walk(20)
    none = np.zeros(1, np.uint64)
    trades = simulate(none, none, market.closes, FREE)
    assert replays(trades, market, FREE, seed=1) == Unknown("The variant made no trade.")


def test_some_replays_are_wanted() -> None:
    market = walk(150)
    with pytest.raises(ValueError, match="runs is 0; it must be 1 at least"):
        replays(random_trades(1, 150, market, FREE), market, FREE, seed=1, runs=0)
