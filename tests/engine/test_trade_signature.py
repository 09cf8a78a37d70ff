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
SL, TP, TSL = (None, 1.0), (None, 1.0, 1.5, 5.0), (None, 1.0)


@pytest.mark.parametrize("secondary", [None, "sqn"], ids=["balance", "ledger"])
def test_combinations_have_one_signature_exactly_where_all_their_trades_are_equal(
    secondary: str | None,
) -> None:
    free = Execution()
    combinations = list(product(SL, TP, TSL))
    variants = len(SIGNALS) * len(combinations)
    found = room_for(variants)
    kept = expand_risk(
        np.array([plane(signals, LONG) for signals in SIGNALS]),
        np.array([plane(signals, SHORT) for signals in SIGNALS]),
        allowed_planes(len(CLOSES), rules_of(free)),
        np.arange(len(SIGNALS)).reshape(-1, 1),
        np.arange(len(SIGNALS)),
        RiskTile(0, 0, 0, len(TP), len(TSL), len(combinations)),
        levels_of(SL, TP, TSL),
        market_of(np.array(CLOSES), np.arange(len(CLOSES))),
        costs_of(rules_of(free)),
        order_of("total_return_pct", secondary, 0, 7, np.inf),
        found,
    )
    assert kept == variants
    trades = [
        [
            (trade.entry_bar, trade.exit_bar, trade.direction, CLOSES[trade.exit_bar])
            for trade in simulate(signals, CLOSES, free, RiskLevels(*levels)).trades
        ]
        for signals in SIGNALS
        for levels in combinations
    ]
    signatures = found.signature[:variants].tolist()
    for one, other in product(range(variants), repeat=2):
        assert (signatures[one] == signatures[other]) == (trades[one] == trades[other])
    money = set(found.total_return[:variants].round(9).tolist())
    assert len(money) < len(set(map(repr, trades)))  # or nothing would be proved
