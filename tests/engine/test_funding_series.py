"""Funding by a stored series: the engine against the slow simulator, whose loop it shares not."""

import random
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.funding import Funding
from engine.kernels.charges import carry_between
from tests.engine.adapter import difference, engine_run, rules_of
from tests.engine.mode_cases import ModeCase, mode_cases
from tests.engine.simulator import Execution
from tests.engine.test_modes import combined, of, outcome, scores, with_stops
from tests.engine.worlds import START_MS, random_candles

HOUR = 3_600_000
MINUTE = 60_000
STEPS = (HOUR, 4 * HOUR, 8 * HOUR)
RATES = (0.0, 0.01, 0.01, -0.01, 0.3, -0.75, 3.0, -10.0)


def random_payments(case: ModeCase, rng: random.Random) -> list[tuple[int, float]]:
    """Payments around the bars: on a grid or off it, with gaps, at fills and 1 ms beside them."""
    begin, end = case.prices.open_ms[0], case.prices.close_ms[-1]
    step = max(rng.choice(STEPS), (end - begin) // 200)  # of long cases not thousands
    off = rng.choice((0, 0, 0, 7 * MINUTE, 3 * HOUR + MINUTE))
    missing = rng.choice((0.0, 0.0, 0.2, 0.9, 1.0))
    first = begin // step * step - step + off
    times = {at for at in range(first, end + step, step) if rng.random() >= missing}
    if rng.random() < 0.5:
        near = rng.choices((*case.prices.open_ms, *case.prices.close_ms), k=10)
        times |= {at + rng.choice((0, 0, -1, 1)) for at in near}
    rates = rng.choice((RATES, RATES[:5], (0.01,)))
    return [(at, rng.choice(rates)) for at in sorted(times)]


def paid(case: ModeCase, seed: int) -> ModeCase:
    """Give a case a series of payments."""
    return case.with_rules(funding_rates=random_payments(case, random.Random(seed)))


@cache
def cases(**fixed: Any) -> st.SearchStrategy[ModeCase]:
    return st.builds(paid, mode_cases(funding_pct_per_8h=0.0, **fixed), st.integers(0, 2**32))


@pytest.mark.parametrize("stop_fill", ["close", "intrabar"])
@pytest.mark.parametrize("entry_fill", ["close", "next_open"])
@given(st.data())
@settings(max_examples=80, deadline=None)
def test_a_run_with_stored_funding_is_that_of_the_simulator(
    entry_fill: str, stop_fill: str, data: st.DataObject
) -> None:
    case = data.draw(cases(entry_fill=entry_fill, stop_fill=stop_fill))

    assert difference(engine_run(*of(case)), case.run()) is None


@given(cases())
@settings(max_examples=60, deadline=None)
def test_risk_combinations_have_one_identity_if_and_only_if_they_trade_alike(
    case: ModeCase,
) -> None:
    axes = with_stops(case, ((None, 0.5, 3.0), (2.0, None), (None, 1.0)))
    found = scores(case, axes)

    runs = [replace(case, risk=risk).run() for risk in combined(axes)]
    assert found.trades.tolist() == [len(run.trades) for run in runs]
    assert [bool(each) for each in found.ruined] == [run.ruined for run in runs]
    identities = [tuple(row) for row in found.signature.tolist()]
    outcomes = [outcome(run) for run in runs]
    same_outcome = [[a == b for a in outcomes] for b in outcomes]
    assert [[a == b for a in identities] for b in identities] == same_outcome


@given(mode_cases(), st.sampled_from((0.01, -0.5)))
@settings(max_examples=60, deadline=None)
def test_a_series_of_one_rate_every_eight_hours_is_that_percent(
    case: ModeCase, percent: float
) -> None:
    step, end = 8 * HOUR, case.prices.close_ms[-1]
    first = case.prices.open_ms[0] // step * step
    series = [(at, percent) for at in range(first, end + 1, step)]

    stored = case.with_rules(funding_rates=series)
    constant = case.with_rules(funding_pct_per_8h=percent)
    assert difference(engine_run(*of(stored)), constant.run()) is None


def test_what_was_paid_before_the_first_bar_opens_changes_not_a_bit() -> None:
    """A sum that begins long ago would round otherwise."""
    opens = START_MS + HOUR * np.arange(50)
    rules = rules_of(Execution(funding_rates=[]))
    times, rates = START_MS + 4 * HOUR * np.arange(1, 12), np.linspace(-0.03, 0.04, 11)
    before = START_MS - 8 * HOUR * np.arange(4000, -1, -1)
    longer = Funding(
        np.append(before, times), np.append(np.random.default_rng(1).normal(size=4001), rates)
    )

    alone = carry_between(rules, opens, opens + HOUR, Funding(times, rates))
    among = carry_between(rules, opens, opens + HOUR, longer)
    assert alone is not None
    assert among is not None
    assert [part.tobytes() for part in alone] == [part.tobytes() for part in among]


def test_candles_without_the_wanted_series_are_refused() -> None:
    opens = START_MS + HOUR * np.arange(5)
    with pytest.raises(ValueError, match="without the funding rates that are wanted"):
        carry_between(rules_of(Execution(funding_rates=[])), opens, opens + HOUR)


def test_a_changed_series_is_another_computation() -> None:
    candles = random_candles(1, traded=20, warmup=2, timeframe_ms=HOUR)
    times, rates = START_MS + 8 * HOUR * np.arange(3), np.array([0.01, 0.02, 0.03])
    variants = [
        None,
        Funding(times, rates),
        Funding(times[:2], rates[:2]),
        Funding(times + MINUTE, rates),
        Funding(times, rates * 2),
        Funding(times[:0], rates[:0]),
    ]

    hashes = [replace(candles, funding=each).content_hash() for each in variants]
    assert len(set(hashes)) == len(variants)
    assert hashes[1] == replace(candles, funding=Funding(times.copy(), rates)).content_hash()
