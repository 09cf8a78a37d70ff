"""Fills at opens and inside bars, holding and pauses: the engine against the slow simulator."""

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
from tests.engine.mode_cases import ModeCase, mode_cases
from tests.engine.simulator import RiskLevels, Run, simulate

LEVELS: tuple[Axis, Axis, Axis] = ((None, 0.5, 3.0), (2.0, None), (None, 1.0, 8.0))
FIXED: dict[str, Any] = {
    "leverage": None,
    "funding_pct_per_8h": 0.0,
    "borrow_pct_per_year": 0.0,
}

# entry fill, stop fill, position, bars without an entry after a risk exit
# or "any": any pause, with leverage, funding and borrowing
MODES = [
    ("close", "intrabar", "state", 0),
    ("next_open", "close", "state", 0),
    ("next_open", "intrabar", "state", 0),
    ("close", "close", "hold", 0),
    ("close", "intrabar", "hold", 0),
    ("next_open", "close", "hold", 0),
    ("next_open", "intrabar", "hold", 0),
    ("close", "close", "state", None),
    ("next_open", "intrabar", "state", None),
    ("close", "close", "hold", None),
    ("close", "intrabar", "hold", None),
    *(
        (entry, stop, position, "any")
        for entry in ("close", "next_open")
        for stop in ("close", "intrabar")
        for position in ("state", "hold")
    ),
]
Mode = tuple[str, str, str, int | str | None]

every_mode = pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(map(str, mode)))


def cases(mode: Mode, sizing: str | None = None) -> st.SearchStrategy[ModeCase]:
    """Cases of one mode, of one sizing or of every one; None: any pause."""
    entry_fill, stop_fill, position, pause = mode
    fixed = {"entry_fill": entry_fill, "stop_fill": stop_fill, "position": position}
    if pause != "any":
        fixed |= FIXED
    if isinstance(pause, int):
        fixed["reentry_after_bars"] = pause
    if sizing is not None:
        fixed["sizing_mode"] = sizing
    return mode_cases(**fixed)


def of(case: ModeCase, risk: RiskLevels | None = None) -> tuple[Any, ...]:
    return (
        case.signals, case.prices.close, case.execution, risk or case.risk, case.prices, case.exits
    )  # fmt: skip


@every_mode
@given(st.data())
@settings(max_examples=70, deadline=None)
def test_a_run_is_that_of_the_simulator(mode: Mode, data: st.DataObject) -> None:
    case = data.draw(cases(mode))

    assert difference(engine_run(*of(case)), case.run()) is None


def with_stops(case: ModeCase, axes: tuple[Axis, Axis, Axis]) -> tuple[Axis, Axis, Axis]:
    """Return axes without "off" for a stop that trades are sized with."""
    if case.execution.sizing_mode != "risk_per_trade" or case.execution.sizing_sl is not None:
        return axes
    return tuple(7.0 if sl is None else sl for sl in axes[0]), axes[1], axes[2]


def combined(axes: tuple[Axis, Axis, Axis]) -> list[RiskLevels]:
    return [RiskLevels(sl, tp, tsl) for sl in axes[0] for tp in axes[1] for tsl in axes[2]]


def scores(case: ModeCase, axes: tuple[Axis, Axis, Axis], secondary: str | None = None) -> Any:
    asked = case.signals, case.prices.close, case.execution
    return engine_scores(*asked, axes, secondary, case.prices, case.exits)


@every_mode
@given(st.data())
@settings(max_examples=28, deadline=None)
def test_every_risk_combination_has_the_simulators_outcome(mode: Mode, data: st.DataObject) -> None:
    case = data.draw(cases(mode))
    axes = data.draw(
        st.sampled_from((LEVELS, LEVELS[::-1], ((1.0, 1.5, 2.0, 9.0), (3.0,), (None,))))
    )
    axes = with_stops(case, axes)
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
    """What tells one run from another: its trades, and how much of the cash the first one took."""
    size = tuple(float(f"{t.quote:.9g}") for t in run.trades[:1])
    return size, tuple((t.entry_bar, t.exit_bar, t.direction, t.exit_fill) for t in run.trades)


@every_mode
@given(st.data())
@settings(max_examples=28, deadline=None)
def test_combinations_have_one_identity_if_and_only_if_they_trade_alike(
    mode: Mode, data: st.DataObject
) -> None:
    case = data.draw(cases(mode))
    axes = with_stops(case, LEVELS)
    found = scores(case, axes)

    identities = [tuple(row) for row in found.signature.tolist()]
    outcomes = [outcome(simulate(*of(case, risk))) for risk in combined(axes)]
    same_outcome = [[a == b for a in outcomes] for b in outcomes]
    assert [[a == b for a in identities] for b in identities] == same_outcome


@every_mode
@given(st.data())
@settings(max_examples=15, deadline=None)
def test_a_score_is_the_figure_of_the_report_to_the_bit(mode: Mode, data: st.DataObject) -> None:
    case = data.draw(cases(mode))
    axes = (case.risk.sl,), (case.risk.tp,), (case.risk.tsl,)
    trades = engine_trades(*of(case))
    market = market_for(case.prices.close, case.execution, case.prices)
    rules = rules_of(case.execution, case.risk.sl)
    equity = equity_curve(trades, market.closes, rules, market=market)
    opens = np.array(case.prices.open_ms, np.int64)
    reported = variant_metrics(trades, equity, opens, rules)

    scored = {metric: float(scores(case, axes, metric).secondary[0]) for metric in METRICS}
    assert {name: None if np.isnan(of_) else of_ for name, of_ in scored.items()} == reported
