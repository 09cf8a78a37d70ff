"""Twins among variants of several sizes, and with leverage: counted exactly.

Combinations are one outcome when they trade alike and the first trade takes the same amount: so do
all the others then.
"""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import pytest

from engine.ranking import TopList
from engine.request import Request
from engine.sweep import Sweep
from tests.engine.plain_outcomes import (
    execution_of,
    exits_of,
    groups,
    positions_of,
    signals_of,
)
from tests.engine.rederive import traded_prices
from tests.engine.simulator import RiskLevels, Run, simulate
from tests.engine.small_sweeps import AVERAGE, candles, request
from tests.engine.test_hold_sweep import FILLS
from tests.engine.test_sweep import last
from tests.engine.test_twins import SELDOM, Held, held, stages

FEE = 0.1
PERCENTS = [50.0, 99.95, 60.0, 100.0]  # with the fee, 99.95 percent is more than there is
STOPS: dict[str, list[float | None]] = {"sl": [None, 2.0], "tp": [3.0], "tsl": [None]}
BY_RISK: dict[str, list[float | None]] = {
    "sl": [95.0, 97.0, 96.0, 98.0],
    "tp": [3.0],
    "tsl": [None],
}
# Its second pair of levels is never reached: these variants trade nothing.
SOME = SELDOM | {
    "params": {"window": {"mode": "explicit", "values": [14]}},
    "signals": {
        "long_threshold": {"mode": "explicit", "values": [55, 100]},
        "short_threshold": {"mode": "explicit", "values": [45, 0]},
    },
}
# Levels so near to each other that signals differ late.
ALIKE = SELDOM | {
    "params": {"window": {"mode": "explicit", "values": [5]}},
    "signals": {
        "long_threshold": {"mode": "explicit", "values": [55, 56, 57, 58, 59, 60]},
        "short_threshold": {"mode": "explicit", "values": [45, 30]},
    },
}
every_fill = pytest.mark.parametrize("fills", FILLS, ids=" ".join)


def wanted(sizing: str, fills: tuple[str, str] = ("close", "close"), **changes: Any) -> Request:
    money = changes.pop("money", {})
    execution = {"fee_pct": FEE, "entry_fill": fills[0], "stop_fill": fills[1], **money}
    return request(AVERAGE, SOME, sizing_mode=sizing, execution=execution, **changes)


def run_of(run: Sweep, base: int, number: int | None = None) -> Run:
    """Return what a variant does, in stage A without a number of its risk combination."""
    prices, rules = traded_prices(run.candles), execution_of(run)
    if number is None:
        rules, risk = replace(rules, sizing_sl=run.request.risk.sl[0]), RiskLevels()
    else:
        percent = run.grid.percent_at(number)
        rules = replace(rules, percent=rules.percent if percent is None else percent)
        risk = RiskLevels(*run.grid.risk_at(number))
    asked = signals_of(run, base), prices.close, rules, risk, prices, exits_of(run, base)
    return simulate(*asked)


def outcome(found: Run) -> Hashable:
    """Return the trades without their amounts, and of those the first."""
    amounts = tuple(float(f"{trade.quote:.9g}") for trade in found.trades[:1])
    return amounts, tuple((t.entry_bar, t.exit_bar, t.direction, t.exit_fill) for t in found.trades)


def expected(run: Sweep, shortlist: Held) -> dict[int, int]:
    total = run.grid.risk_total
    return groups(
        (base * total + number, twins, outcome(run_of(run, base, number)))
        for base, twins in shortlist
        for number in range(total)
    )


def second_stage(run: Sweep) -> tuple[Held, TopList]:
    first, second = stages(run)
    assert int(second.twins().sum()) == int(first.twins().sum()) * run.grid.risk_total
    return held(first), second


every_metric = pytest.mark.parametrize("metric", ["total_return_pct", "sqn"])


@every_metric
@every_fill
def test_percents_that_take_all_are_twins_and_so_are_those_that_trade_nothing(
    fills: tuple[str, str], metric: str
) -> None:
    money = {"percent": {"mode": "explicit", "values": PERCENTS}}
    asked = wanted("percent", fills, money=money, risk=STOPS, primary=metric, top_k=128)
    run = Sweep(asked, candles(150))
    shortlist, second = second_stage(run)
    found = dict(held(second))
    assert found == expected(run, shortlist)
    traded = {run.grid.percent_at(i % 8) for i in found if run_of(run, i // 8, i % 8).trades}
    assert traded == {50.0, 60.0, 99.95}  # of the last two the first stands for both
    assert len({i // 8 for i in found}) > len({i // 8 for i in found if i % 4})  # nothing traded


@every_metric
@every_fill
def test_stops_that_allow_all_are_twins_where_they_are_never_reached(
    fills: tuple[str, str], metric: str
) -> None:
    money = {"risk_per_trade_pct": 96.0}
    asked = wanted("risk_per_trade", fills, money=money, risk=BY_RISK, primary=metric, top_k=64)
    run = Sweep(asked, candles(150))
    shortlist, second = second_stage(run)
    found = dict(held(second))
    assert found == expected(run, shortlist)
    traded = {run.grid.risk_at(i % 4)[0] for i in found if run_of(run, i // 4, i % 4).trades}
    assert traded == {95.0, 97.0, 98.0}  # 95 and 96 allow more than all there is


@every_metric
@pytest.mark.parametrize("position", ["state", "hold"])
@pytest.mark.parametrize("sizing", ["all_in", "strategy_compound_profit_lock"])
def test_what_comes_after_a_liquidation_took_all_is_no_part_of_what_is_held(
    sizing: str, position: str, metric: str
) -> None:
    # What is in the safe is no ruin, and trades no more either.
    execution = {"fee_pct": FEE, "leverage": 100, "safe_profit_percent": 100.0}
    many = {"position": position, "primary": metric, "preselect": 48}
    asked = request(AVERAGE, ALIKE, sizing_mode=sizing, execution=execution, **many)
    run = Sweep(asked, candles(200))
    count, bases = len(run.closes), range(run.grid.base_total)
    lives = [run_of(run, base) for base in bases]

    def until_gone(base: int) -> Hashable:
        positions, trades = positions_of(run, base), lives[base].trades
        gone = bool(trades) and trades[-1].available <= 0
        end = trades[-1].exit_bar if gone else count
        return positions[:end], positions[count : count + end]

    assert dict(held(last(run.stage_a()).top)) == groups((b, 1, until_gone(b)) for b in bases)
    apart = {positions_of(run, base) for base in bases}
    assert len({until_gone(base) for base in bases}) < len(apart)
    if sizing != "all_in":
        assert any(lived.trades and lived.trades[-1].safe > 0 for lived in lives)
