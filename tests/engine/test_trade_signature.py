"""In stage B equal money is no identity: what is signed are the trades themselves."""

from itertools import product

import numpy as np
import pytest

from engine.kernels.expansion import RiskTile, expand_risk
from engine.kernels.inputs import (
    allowed_planes,
    costs_of,
    levels_of,
    market_of,
    order_of,
    room_for,
)
from tests.engine.adapter import plane, rules_of
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


@pytest.mark.parametrize("secondary", [None, "sqn"], ids=["balance", "ledger"])
@pytest.mark.parametrize(
    ("prices", "variants_signals"), [(CLOSES, SIGNALS), (LEAPING, SHORTS)], ids=["calm", "leaping"]
)
def test_combinations_have_one_signature_exactly_where_all_their_trades_are_equal(
    prices: list[float], variants_signals: tuple[list[int], ...], secondary: str | None
) -> None:
    free = Execution()
    combinations = list(product(SL, TP, TSL))
    variants = len(variants_signals) * len(combinations)
    found = room_for(variants)
    kept = expand_risk(
        np.array([plane(signals, LONG) for signals in variants_signals]),
        np.array([plane(signals, SHORT) for signals in variants_signals]),
        allowed_planes(len(prices), rules_of(free)),
        np.arange(len(variants_signals)).reshape(-1, 1),
        np.arange(len(variants_signals)),
        RiskTile(0, 0, 0, len(TP), len(TSL), len(combinations)),
        levels_of(SL, TP, TSL),
        market_of(np.array(prices), costs_of(rules_of(free)), np.arange(len(prices))),
        costs_of(rules_of(free)),
        order_of("total_return_pct", secondary, 0, 7, np.inf),
        found,
    )
    assert kept == variants
    trades = [
        [
            (trade.entry_bar, trade.exit_bar, trade.direction, prices[trade.exit_bar])
            for trade in simulate(signals, prices, free, RiskLevels(*levels)).trades
        ]
        for signals in variants_signals
        for levels in combinations
    ]
    signatures = found.signature[:variants].tolist()
    for one, other in product(range(variants), repeat=2):
        assert (signatures[one] == signatures[other]) == (trades[one] == trades[other])
    money = set(found.total_return[:variants].round(9).tolist())
    assert len(money) < len(set(map(repr, trades)))  # or nothing would be proved
