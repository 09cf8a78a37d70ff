"""The account at its limits: cash at the floor, wins as small as a rounding, ruin in stage A."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from engine.kernels import ExecutionRules, measures
from engine.kernels.expansion import RiskTile, expand_risk
from engine.kernels.inputs import (
    allowed_planes,
    costs_of,
    levels_of,
    market_of,
    order_of,
    room_for,
    sizes_of,
    tally_of,
)
from engine.kernels.measures import WORST_TIER
from engine.kernels.tiles import Tile, score_tile
from engine.metrics import equity_curve, variant_metrics
from engine.outcomes import Outcomes
from engine.sweep import Sweep
from tests.engine.adapter import engine_trades, plane, rules_of
from tests.engine.cases import SIZINGS
from tests.engine.parts import from_python
from tests.engine.simulator import LONG, SHORT, Execution, RiskLevels, simulate
from tests.engine.small_sweeps import RISK, TWO, request, ruinous_candles
from tests.engine.test_sweep import figures, last, stored

OFF = RiskLevels()
ratio = from_python(measures.ratio)
Outcome = tuple[int, float]  # number of trades, total return in percent
Stage = Callable[[Sequence[int], Sequence[float], ExecutionRules, str | None], Outcome]


def stage_a(
    signals: Sequence[int], closes: Sequence[float], rules: ExecutionRules, secondary: str | None
) -> Outcome:
    long, short = plane(signals, LONG)[None], plane(signals, SHORT)[None]
    found = room_for(1)
    score_tile(
        long,
        short,
        allowed_planes(len(closes), rules),
        Tile(0, 1, 1, 0, 1, 0),
        np.zeros((0, 3), np.int64),
        market_of(np.array(closes), costs_of(rules), np.arange(len(closes))),
        costs_of(rules),
        order_of("total_return_pct", secondary, 0, WORST_TIER, np.inf),
        found,
        tally_of(Outcomes("total_return_pct", None)),
    )
    return int(found.trades[0]), float(found.primary[0])


def stage_b_with(stops: int, targets: int) -> Stage:
    """Stage B over so many stops and targets of which none is ever hit."""

    def stage_b(
        signals: Sequence[int],
        closes: Sequence[float],
        rules: ExecutionRules,
        secondary: str | None,
    ) -> Outcome:
        long, short = plane(signals, LONG)[None], plane(signals, SHORT)[None]
        combinations = stops * targets
        found = room_for(combinations)
        expand_risk(
            long,
            short,
            allowed_planes(len(closes), rules),
            np.zeros((1, 1), np.int64),
            np.zeros(1, np.int64),
            RiskTile(0, 0, 0, targets, 1, combinations),
            levels_of((None,) * stops, (None,) * targets, (None,)),
            market_of(np.array(closes), costs_of(rules), np.arange(len(closes))),
            *sizes_of(rules, (None,)),
            order_of("total_return_pct", secondary, 0, WORST_TIER, np.inf),
            found,
        )
        outcomes = set(
            zip(
                found.trades[:combinations].tolist(),
                found.primary[:combinations].tolist(),
                strict=True,
            )
        )
        (outcome,) = outcomes
        return outcome

    return stage_b


STAGES: dict[str, Stage] = {
    "stage A": stage_a,
    "stage B, more targets": stage_b_with(1, 3),
    "stage B, more stops": stage_b_with(3, 1),
}
every_stage = pytest.mark.parametrize("stage", STAGES)
every_sizing = pytest.mark.parametrize("sizing", SIZINGS)
every_ledger = pytest.mark.parametrize("secondary", [None, "sqn"], ids=["balance", "ledger"])

# Long from 1 to 1e-9: without costs exactly the floor is left. Then a trade that would double it.
AT_THE_FLOOR = [1, 0, 1, 0], [1.0, 1e-9, 1e-9, 2e-9]
JUST_ABOVE = [1, 0, 1, 0], [1.0, 1.000001e-9, 1e-9, 2e-9]


def free(sizing: str) -> Execution:
    return Execution(init_cash=1.0, fixed_quote=1.0, safe_profit_percent=50.0, sizing_mode=sizing)


@every_ledger
@every_sizing
@every_stage
def test_cash_exactly_at_the_floor_makes_no_entry(
    stage: str, sizing: str, secondary: str | None
) -> None:
    signals, closes = AT_THE_FLOOR
    rules = rules_of(free(sizing))
    assert costs_of(rules).floor == closes[1]
    assert STAGES[stage](signals, closes, rules, secondary) == (1, (closes[1] - 1.0) * 100.0)
    assert STAGES[stage](*JUST_ABOVE, rules, secondary)[0] == 2


@every_sizing
def test_cash_exactly_at_the_floor_makes_no_entry_in_a_report(sizing: str) -> None:
    execution = free(sizing)
    for (signals, closes), count in ((AT_THE_FLOOR, 1), (JUST_ABOVE, 2)):
        assert len(engine_trades(signals, closes, execution, OFF)) == count
        assert len(simulate(signals, closes, execution).trades) == count


# --- a win as small as a rounding ---------------------------------------------------------------

DUST = [1, 0], [1.0, 1.0 + 5e-13]
GAIN = [1, 0], [1.0, 1.0 + 4e-12]


def metrics_of(signals: list[int], closes: list[float]) -> dict[str, float | None]:
    rules = rules_of(free("all_in"))
    trades = engine_trades(signals, closes, free("all_in"), OFF)
    curve = equity_curve(trades, np.array(closes), rules)
    return variant_metrics(trades, curve, np.arange(len(closes)), rules)


def test_a_win_as_small_as_a_rounding_leaves_the_safe_empty() -> None:
    locking = free("strategy_compound_profit_lock")
    dust, gain = (engine_trades(*case, locking, OFF) for case in (DUST, GAIN))
    assert dust.net[0] > 0
    assert dust.safe.tolist() == [0.0]
    assert gain.safe[0] == pytest.approx(0.5 * gain.net[0])


@pytest.mark.parametrize("stage", STAGES)
def test_a_win_as_small_as_a_rounding_is_traded_on_in_full(stage: str) -> None:
    signals, closes = [1, 0, 1, 0], [1.0, 1.0 + 5e-13, 1.0, 1024.0]
    locking = replace(free("strategy_compound_profit_lock"), safe_profit_percent=100.0)
    _, score = STAGES[stage](signals, closes, rules_of(locking), None)
    trades = engine_trades(signals, closes, locking, OFF)
    assert trades.available[0] == 1.0 + 5e-13
    assert score == ((trades.available[1] + trades.safe[1]) / 1.0 - 1.0) * 100.0


def test_a_win_as_small_as_a_rounding_is_no_win() -> None:
    dust, gain = metrics_of(*DUST), metrics_of(*GAIN)
    assert (dust["win_rate_pct"], gain["win_rate_pct"]) == (0.0, 100.0)
    losing = [1, 0, 1, 0], [1.0, 1.0 + 5e-13, 1.0, 0.5]
    assert metrics_of(*losing)["profit_factor"] == 0.0


def test_a_loss_as_small_as_a_rounding_is_no_loss() -> None:
    falling = [1, 0, 1, 0], [1.0, 1.0 - 5e-13, 1.0, 2.0]
    found = metrics_of(*falling)
    assert found["win_rate_pct"] == 50.0
    assert found["profit_factor"] == np.inf  # nothing was lost


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [
        (6.0, 3.0, 2.0),
        (1.0, 0.0, np.inf),
        (0.0, 0.0, np.nan),
        (-1.0, 0.0, np.nan),
        (np.inf, 0.0, np.nan),
        (1.0, np.inf, np.nan),
        (1e300, 1e-300, np.nan),
    ],
)
def test_only_a_gain_over_nothing_is_infinite(
    numerator: float, denominator: float, expected: float
) -> None:
    np.testing.assert_equal(ratio(numerator, denominator), expected)


# --- ruin ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("secondary", [None, "win_rate_pct"])
@every_sizing
def test_stage_a_scores_a_ruined_account_as_it_is_reported(
    sizing: str, secondary: str | None
) -> None:
    wanted = request(
        *TWO,
        secondary=secondary,
        sizing_mode=sizing,
        risk=RISK,
        direction_mode="short-only",
        execution={"fixed_quote": 6_000.0},
        distinct=False,
    )
    run = Sweep(wanted, ruinous_candles())
    top = last(run.stage_a()).top
    assert len(top) == 168
    ruined = 0
    for index, score in zip(top.indexes().tolist(), top.scores()[0].tolist(), strict=True):
        assert stored(score) == figures(run, index)["total_return_pct"]
        ruined += score <= -100.0
    assert 20 < ruined < 168
