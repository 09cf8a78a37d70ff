"""In stage B equal money is no identity: what is signed are the trades themselves."""

from collections.abc import Sequence
from functools import cache
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.expansion import RiskTile, expand_risk
from engine.kernels.hits import KEPT_HITS
from engine.kernels.inputs import (
    allowed_planes,
    costs_of,
    levels_of,
    market_of,
    order_of,
    room_for,
    sizes_of,
)
from engine.kernels.measures import WORST_TIER
from engine.kernels.signing import FEW
from tests.engine.adapter import plane, rules_of
from tests.engine.plain_signature import signature_of
from tests.engine.simulator import LONG, SHORT, Execution, RiskLevels, simulate

# Prices stand still after a step: a target that is hit, and the end of the run, make the same.
CLOSES = [100.0] * 3 + [102.0] * 4 + [100.0] * 3 + [98.0] * 4 + [100.0] * 2
SIGNALS = (
    [LONG] * 6 + [0] * 10,
    [LONG] * 7 + [0] * 9,
    [0] * 7 + [SHORT] * 6 + [0] * 3,
    [LONG] * 3 + [0] * 4 + [SHORT] * 5 + [0] * 4,
    [LONG, 0] + [0] * 14,  # nothing is won or lost, in either direction
    [SHORT, 0] + [0] * 14,
    [0] * 16,
)
# A short that holds on is ruined where the price has doubled, by the stop or without it.
LEAPING = [100.0, 100.0, 120.0, 190.0, 210.0, 250.0, 230.0, 100.0] + [100.0] * 8
SHORTS = (
    [0, SHORT] + [SHORT] * 5 + [0] * 9,  # would end later than its ruin
    [0, SHORT] + [SHORT] * 4 + [0] * 10,
    [0, SHORT] + [SHORT] * 2 + [0] * 4 + [SHORT] * 3 + [0] * 5,  # out before
    [0, SHORT] + [SHORT] * 5 + [0] * 3 + [LONG] * 3 + [0] * 3,  # what comes after ruin is no trade
)
SL, TP, TSL = (None, 1.0), (None, 1.0, 1.5, 5.0), (None, 1.0)

Axis = Sequence[float | None]
Traded = list[tuple[int, int, bool, float]]
Signed = dict[int, tuple[int, int]]
FREE = Execution()


def signed(
    variants: Sequence[Sequence[int]],
    prices: Sequence[float],
    axes: Sequence[Axis],
    execution: Execution = FREE,
    secondary: str | None = None,
    worst_return: float | None = None,
) -> Signed:
    """Expand variants by all of the axes; return the signatures of what passes the cut."""
    rules = rules_of(execution)
    combinations = int(np.prod([len(axis) for axis in axes]))
    found = room_for(len(variants) * combinations)
    cut = (WORST_TIER, np.inf) if worst_return is None else (0, -worst_return)
    kept = expand_risk(
        np.array([plane(signals, LONG) for signals in variants]),
        np.array([plane(signals, SHORT) for signals in variants]),
        allowed_planes(len(prices), rules),
        np.arange(len(variants)).reshape(-1, 1),
        np.arange(len(variants)),
        RiskTile(0, 0, 0, len(axes[1]), len(axes[2]), combinations),
        levels_of(*axes),
        market_of(np.array(prices), costs_of(rules), np.arange(len(prices))),
        *sizes_of(rules, (None,)),
        order_of("total_return_pct", secondary, 0, *cut),
        found,
    )
    return {
        int(variant): (int(high), int(low))
        for variant, (high, low) in zip(
            found.variant[:kept], found.signature[:kept].tolist(), strict=True
        )
    }


def simulated(
    variants: Sequence[Sequence[int]],
    prices: Sequence[float],
    axes: Sequence[Axis],
    execution: Execution = FREE,
) -> list[tuple[Traded, float]]:
    """Return the trades and the total return of every combination of every variant."""
    runs = (
        simulate(signals, prices, execution, RiskLevels(*levels))
        for signals in variants
        for levels in product(*axes)
    )
    return [
        (
            [
                (trade.entry_bar, trade.exit_bar, trade.direction == LONG, prices[trade.exit_bar])
                for trade in run.trades
            ],
            run.total_return_pct,
        )
        for run in runs
    ]


@pytest.mark.parametrize("secondary", [None, "sqn"], ids=["balance", "ledger"])
@pytest.mark.parametrize(
    ("prices", "variants"), [(CLOSES, SIGNALS), (LEAPING, SHORTS)], ids=["calm", "leaping"]
)
def test_combinations_have_one_signature_exactly_where_all_their_trades_are_equal(
    prices: list[float], variants: tuple[list[int], ...], secondary: str | None
) -> None:
    axes = (SL, TP, TSL)
    found = signed(variants, prices, axes, secondary=secondary)
    outcomes = simulated(variants, prices, axes)
    assert len(found) == len(outcomes)
    for one, other in product(range(len(outcomes)), repeat=2):
        assert (found[one] == found[other]) == (outcomes[one][0] == outcomes[other][0])
    money = {round(total, 9) for _, total in outcomes}
    assert len(money) < len({repr(trades) for trades, _ in outcomes})  # or nothing would be proved


AXES: tuple[tuple[Axis, Axis, Axis], ...] = (
    ((None,), (None,), (None,)),
    ((1.0,), (2.0,), (1.5,)),  # nobody is left once a level is hit
    ((None, 3.0), (1.0, None), (None,)),
    ((3.0, 1.0, 0.5), (0.5, None, 4.0, 1.0), (2.0, 1.0)),  # in no order
    ((1.0, 1.0, None, 2.0), (0.5, 1.0, 1.5, 2.0, 3.0), (None, 1.0, 3.0)),
)
EXECUTIONS = (
    FREE,
    Execution(fee_pct=12.0),  # after a hundred trades the cash is gone
    Execution(sizing_mode="fixed_quote", fixed_quote=9_000.0),  # two losses may be ruin
    Execution(sizing_mode="strategy_compound_profit_lock", safe_profit_percent=50.0),
)


@settings(max_examples=50, deadline=None)
@given(
    axes=st.sampled_from(AXES),
    execution=st.sampled_from(EXECUTIONS),
    secondary=st.sampled_from((None, "sqn")),
    step=st.sampled_from((0.3, 3.0, 30.0)),
    share=st.sampled_from((0.0, 0.1, 0.5, 1.0)),
    random=st.randoms(use_true_random=False),
)
def test_every_signature_is_the_one_written_down_of_the_simulated_trades(
    axes: tuple[Axis, Axis, Axis],
    execution: Execution,
    secondary: str | None,
    step: float,
    share: float,
    random: Random,
) -> None:
    price, prices = 100.0, []
    for _ in range(300):
        price = min(max(1.0, price + step * random.choice((-1, 0, 1))), 400.0)
        prices.append(price)
    patience = random.choice((1, 5, 40))
    variants = [
        [random.choice((LONG, SHORT, 0)) for _ in range(0, 300, patience) for _ in range(patience)][
            :300
        ]
        for _ in range(2)
    ]
    outcomes = simulated(variants, prices, axes, execution)
    # A part of the combinations passes: of some variants all, of some a few, of some none.
    returns = sorted((total for _, total in outcomes), reverse=True)
    worst = None if share == 1.0 else returns[int(share * (len(returns) - 1))] - 1e-9
    found = signed(variants, prices, axes, execution, secondary, worst)
    assert found or worst is not None
    for variant, signature in found.items():
        assert signature == signature_of(outcomes[variant][0])


STOPS = [0.02 * level for level in range(1, 151)]
MANY = [LONG, LONG, 0] * 1_000
MOVES = np.random.default_rng(4).normal(0.0, 0.01, len(MANY))
MANY_PRICES = (100.0 * np.exp(np.cumsum(MOVES - MOVES.mean()))).tolist()
ROWS_KEPT = KEPT_HITS // (len(STOPS) + 2)


@cache
def outcomes_of_many(fee_pct: float) -> list[tuple[Traded, float]]:
    axes = (STOPS, (None,), (None,))
    return simulated([MANY], MANY_PRICES, axes, Execution(fee_pct=fee_pct))


@pytest.mark.parametrize(
    ("fee_pct", "passing"),
    [(0.0, len(STOPS)), (0.0, FEW), (1.1, len(STOPS))],
    ids=["all", "few", "all, and closed"],
)
def test_runs_whose_hits_were_not_kept_are_signed_as_well(fee_pct: float, passing: int) -> None:
    axes: tuple[Axis, Axis, Axis] = (STOPS, (None,), (None,))
    execution = Execution(fee_pct=fee_pct)
    prices, outcomes = MANY_PRICES, outcomes_of_many(fee_pct)
    longest = max(len(trades) for trades, _ in outcomes)
    assert longest == 1_000 if fee_pct == 0.0 else ROWS_KEPT < longest < 1_000
    returns = sorted((total for _, total in outcomes), reverse=True)
    found = signed([MANY], prices, axes, execution, worst_return=returns[passing - 1] - 1e-9)
    assert len(found) == passing
    for variant, signature in found.items():
        assert signature == signature_of(outcomes[variant][0])
