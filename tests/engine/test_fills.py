"""Entries at the next open and stops inside bars: the engine against the slow simulator."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.metric_names import METRICS
from engine.metrics import equity_curve, variant_metrics
from tests.engine.adapter import (
    Axis,
    close_to,
    difference,
    engine_run,
    engine_scores,
    engine_trades,
    market_for,
    rules_of,
)
from tests.engine.cases import SIZINGS
from tests.engine.mode_cases import ModeCase, mode_cases
from tests.engine.simulator import RiskLevels, Run, simulate

FILLS = [("close", "intrabar"), ("next_open", "close"), ("next_open", "intrabar")]
LEVELS: tuple[Axis, Axis, Axis] = ((None, 0.5, 3.0), (2.0, None), (None, 1.0, 8.0))
FIXED: dict[str, Any] = {
    "position": "state",
    "reentry_after_bars": 0,
    "leverage": None,
    "funding_pct_per_8h": 0.0,
    "borrow_pct_per_year": 0.0,
}

both = pytest.mark.parametrize(("entry_fill", "stop_fill"), FILLS)


def cases(entry_fill: str, stop_fill: str) -> st.SearchStrategy[ModeCase]:
    """Cases of a kind of fills, of every sizing that there is at closes."""
    fills = {"entry_fill": entry_fill, "stop_fill": stop_fill}
    return st.sampled_from(SIZINGS).flatmap(
        lambda sizing: mode_cases(sizing_mode=sizing, **FIXED, **fills)
    )


def of(case: ModeCase, risk: RiskLevels | None = None) -> tuple[Any, ...]:
    return case.signals, case.prices.close, case.execution, risk or case.risk, case.prices


@both
@given(st.data())
@settings(max_examples=400, deadline=None)
def test_a_run_is_that_of_the_simulator(
    entry_fill: str, stop_fill: str, data: st.DataObject
) -> None:
    case = data.draw(cases(entry_fill, stop_fill))

    assert difference(engine_run(*of(case)), case.run()) is None


def combined(axes: tuple[Axis, Axis, Axis]) -> list[RiskLevels]:
    return [RiskLevels(sl, tp, tsl) for sl in axes[0] for tp in axes[1] for tsl in axes[2]]


def scores(case: ModeCase, axes: tuple[Axis, Axis, Axis], secondary: str | None = None) -> Any:
    asked = case.signals, case.prices.close, case.execution
    return engine_scores(*asked, axes, secondary, case.prices)


@both
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_every_risk_combination_has_the_simulators_outcome(
    entry_fill: str, stop_fill: str, data: st.DataObject
) -> None:
    case = data.draw(cases(entry_fill, stop_fill))
    axes = data.draw(
        st.sampled_from((LEVELS, LEVELS[::-1], ((1.0, 1.5, 2.0, 9.0), (3.0,), (None,))))
    )
    balances, recorded = scores(case, axes), scores(case, axes, "sqn")

    for place, risk in enumerate(combined(axes)):
        run = simulate(*of(case, risk))
        assert balances.trades[place] == len(run.trades), risk
        assert bool(balances.ruined[place]) == run.ruined, risk
        assert close_to(float(balances.total_return[place]), run.total_return_pct), risk
    for name in ("ruined", "trades", "total_return", "signature"):
        ours, theirs = getattr(balances, name), getattr(recorded, name)
        assert ours.tobytes() == theirs.tobytes(), name


def outcome(run: Run) -> tuple[Any, ...]:
    """What tells one run from another."""
    return tuple((t.entry_bar, t.exit_bar, t.direction, t.exit_fill) for t in run.trades)


@both
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_combinations_have_one_identity_if_and_only_if_they_trade_alike(
    entry_fill: str, stop_fill: str, data: st.DataObject
) -> None:
    case = data.draw(cases(entry_fill, stop_fill))
    found = scores(case, LEVELS)

    identities = [tuple(row) for row in found.signature.tolist()]
    outcomes = [outcome(simulate(*of(case, risk))) for risk in combined(LEVELS)]
    same_outcome = [[a == b for a in outcomes] for b in outcomes]
    assert [[a == b for a in identities] for b in identities] == same_outcome


@both
@pytest.mark.parametrize("metric", METRICS)
@given(st.data())
@settings(max_examples=30, deadline=None)
def test_a_score_is_the_figure_of_the_report_to_the_bit(
    entry_fill: str, stop_fill: str, metric: str, data: st.DataObject
) -> None:
    case = data.draw(cases(entry_fill, stop_fill))
    risk = case.risk
    trades = engine_trades(*of(case))
    market, rules = (
        market_for(case.prices.close, case.execution, case.prices),
        rules_of(case.execution),
    )
    equity = equity_curve(trades, market.closes, rules, market=market)
    opens = np.array(case.prices.open_ms, np.int64)
    reported = variant_metrics(trades, equity, opens, rules)[metric]

    scored = float(scores(case, ((risk.sl,), (risk.tp,), (risk.tsl,)), metric).secondary[0])
    assert (None if np.isnan(scored) else scored) == reported
