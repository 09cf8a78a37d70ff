"""Ruin: a short that loses all there is ends there, in both stages and in the report alike."""

from collections import Counter
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernels import SIZINGS
from engine.kernels.inputs import (
    allowed_planes,
    costs_of,
    market_of,
    order_of,
    room_for,
    tally_of,
)
from engine.kernels.measures import WORST_TIER, Found
from engine.kernels.reaching import NEVER, first_reaching
from engine.kernels.tiles import Tile, score_tile
from engine.outcomes import Outcomes
from engine.report import VariantReport, reports
from tests.engine.adapter import close_to, difference, engine_run, engine_scores, plane, rules_of
from tests.engine.case_sweep import CaseSweep
from tests.engine.cases import Case, leaping_case
from tests.engine.properties_sweeps import law
from tests.engine.simulator import LONG, SHORT, Execution, RiskLevels, Run, simulate

OFF = RiskLevels()
SL, TP, TSL = (None, 250.0, 50.0, 5.0), (99.0, None, 10.0), (None, 60.0)
AXES = (SL, TP, TSL)
COMBINATIONS = [RiskLevels(sl, tp, tsl) for sl, tp, tsl in product(*AXES)]
SEEDS = 120
every_sizing = pytest.mark.parametrize("sizing", SIZINGS)
every_ledger = pytest.mark.parametrize("secondary", [None, "sqn"], ids=["balance", "ledger"])


def stage_a(case: Case, secondary: str | None) -> Found:
    rules, closes = rules_of(case.execution), np.array(case.closes)
    found = room_for(1)
    kept, _ = score_tile(
        plane(case.signals, LONG)[None],
        plane(case.signals, SHORT)[None],
        allowed_planes(len(closes), rules),
        Tile(0, 1, 1, 0, 1, 0),
        np.zeros((0, 3), np.int64),
        market_of(closes, costs_of(rules), np.arange(len(closes))),
        costs_of(rules),
        order_of("total_return_pct", secondary, 0, WORST_TIER, np.inf),
        found,
        tally_of(Outcomes("total_return_pct", None)),
    )
    return Found(*(column[:kept] for column in found))


def stage_b(case: Case, secondary: str | None) -> Found:
    return engine_scores(case.signals, case.closes, case.execution, AXES, secondary)


@cache
def leaping(sizing: str) -> list[tuple[Case, list[Run]]]:
    """Cases whose price leaps, each simulated under every combination of risk levels."""
    found = []
    for seed in range(SEEDS):
        case = leaping_case(seed, sizing)
        runs = [simulate(case.signals, case.closes, case.execution, risk) for risk in COMBINATIONS]
        found.append((case, runs))
    return found


# --- the simulator --------------------------------------------------------------------------


@every_sizing
def test_the_cases_end_in_ruin_of_every_kind_and_go_on_without_it(sizing: str) -> None:
    endings: Counter[str] = Counter()
    for _, runs in leaping(sizing):
        for run in runs:
            if run.ruined:
                endings[run.trades[-1].reason] += 1
            elif any(t.direction == SHORT and t.exit_fill > 2 * t.entry_fill for t in run.trades):
                endings["survived a doubling"] += 1
            else:
                endings["solvent"] += 1
    assert endings["ruin"] > 50
    assert endings["solvent"] > 100
    assert min(endings["signal_exit"], endings["sl"]) > 5
    if sizing not in ("all_in", "strategy_compound"):  # they have nothing beside a short's quote
        assert endings["survived a doubling"] > 20


@every_ledger
@every_sizing
def test_both_stages_score_leaping_prices_as_the_simulator(
    sizing: str, secondary: str | None
) -> None:
    for seed, (case, runs) in enumerate(leaping(sizing)):
        found = stage_b(case, secondary)
        for position, (run, risk) in enumerate(zip(runs, COMBINATIONS, strict=True)):
            where = f"seed {seed}, {risk}"
            assert found.ruined[position] == run.ruined, where
            assert found.trades[position] == len(run.trades), where
            money = max((abs(t.available) + t.quote for t in run.trades), default=0.0)
            pct = 100 * money / case.execution.init_cash
            assert close_to(found.primary[position], run.total_return_pct, pct), where


@every_sizing
def test_trades_and_equity_of_leaping_prices_equal_the_simulators(sizing: str) -> None:
    for case, runs in leaping(sizing):
        for run, risk in list(zip(runs, COMBINATIONS, strict=True))[::5]:
            ours = engine_run(case.signals, case.closes, case.execution, risk)
            assert difference(ours, run) is None, difference(ours, run)


# --- bit for bit -----------------------------------------------------------------------------


def bits(found: Found, place: int = 0) -> tuple[bytes, ...]:
    """Return ruin, trades and both returns of one combination, to the last bit."""
    columns = (found.ruined, found.trades, found.primary, found.total_return)
    return tuple(column[place : place + 1].tobytes() for column in columns)


@every_sizing
def test_a_ruined_account_has_the_same_bits_in_both_stages_recorded_or_not(sizing: str) -> None:
    off = COMBINATIONS.index(OFF)
    for case, _ in leaping(sizing):
        expected = bits(stage_a(case, None))
        assert bits(stage_a(case, "sqn")) == expected
        balances, recorded = stage_b(case, None), stage_b(case, "sqn")
        assert bits(balances, off) == bits(recorded, off) == expected
        for place in range(len(COMBINATIONS)):
            assert bits(balances, place) == bits(recorded, place)


@every_sizing
def test_the_layout_of_a_risk_grid_changes_nothing_of_a_ruin(sizing: str) -> None:
    """The longer of the sides sl and (tp, tsl) is the inner loop of stage B: each side once."""
    stops = (None, 250.0, 50.0, 5.0, 1.0, 2.0, 3.0)
    for case, _ in leaping(sizing)[:60]:
        many_stops, many_targets = (
            engine_scores(case.signals, case.closes, case.execution, axes)
            for axes in ((stops, (None,), (None,)), ((None,), (None, 10.0), (None, 60.0)))
        )
        assert bits(many_stops) == bits(many_targets) == bits(stage_a(case, None))


# --- the example ------------------------------------------------------------------------------

SIGNALS = [0, -1, -1, -1, 1, 1, -1, -1]
CLOSES = [100.0, 100.0, 250.0, 150.0, 90.0, 90.0, 94.0, 94.0]


@every_ledger
@every_sizing
def test_shorts_then_longs_do_not_pass_below_nothing_and_come_back(
    sizing: str, secondary: str | None
) -> None:
    # A short of all cash is worth -5000 at 250. The money that only the recovery to 90 brings back
    # made this variant the first of its job.
    all_of_it = {"fixed_quote": 1e9, "risk_per_trade_pct": 100.0, "sizing_sl": 50.0}
    case = Case(SIGNALS, CLOSES, Execution(sizing_mode=sizing, **all_of_it), OFF)
    for found in (stage_a(case, secondary), stage_b(case, secondary)):
        off = 0 if len(found.trades) == 1 else COMBINATIONS.index(OFF)
        assert (found.ruined[off], found.trades[off], found.primary[off]) == (True, 1, -150.0)


def report_of(case: Case) -> VariantReport:
    (report,) = reports(CaseSweep(case), [0], top_trades_n=1, result_bytes=2**40)
    return report


# By risk, a short that may lose 150 % has a stop as far away, and takes less than all.
@pytest.mark.parametrize("sizing", [sizing for sizing in SIZINGS if sizing != "risk_per_trade"])
def test_a_report_shows_the_ruin_and_nothing_after_it(sizing: str) -> None:
    case = Case(SIGNALS, CLOSES, Execution(fixed_quote=1e9, sizing_mode=sizing), OFF)
    report = report_of(case)
    assert report.trades is not None
    assert report.equity is not None
    (trade,) = report.trades
    assert (trade["exit_reason"], trade["exit_price"], trade["net_pnl"]) == ("ruin", 250.0, -15_000)
    assert [value for _, value in report.equity] == [10_000, 10_000, *[-5_000] * 6]
    assert (report.total_return_pct, report.metrics["num_trades"]) == (-150, 1)
    assert report.metrics["max_drawdown_pct"] == 150


@pytest.mark.parametrize(("fee_pct", "times"), [(0.0, 101.0), (1.0, 100.99)])
@every_ledger
def test_a_fixed_100_of_10000_is_ruined_at_101_times_its_entry_less_what_the_fee_takes(
    secondary: str | None, fee_pct: float, times: float
) -> None:
    fixed = Execution(fixed_quote=100.0, sizing_mode="fixed_quote", fee_pct=fee_pct)
    for close, reason in ((times * (1 + 1e-9), "ruin"), (times * (1 - 1e-9), "signal_exit")):
        # Left alone it is closed at its entry; had it been ruined it could not be.
        case = Case([-1, -1, -1, 0, 0], [1.0, 50.0, close, 1.0, 1.0], fixed, OFF)
        assert engine_run(case.signals, case.closes, fixed, OFF).trades[0].reason == reason
        for found in (stage_a(case, secondary), stage_b(case, secondary)):
            place = 0 if len(found.trades) == 1 else COMBINATIONS.index(OFF)
            assert found.ruined[place] == (reason == "ruin")


@pytest.mark.parametrize(
    ("signals", "risk", "reason"),
    [
        ([-1, -1, 1, 1], RiskLevels(sl=5.0), "sl"),
        ([-1, -1, -1, -1], RiskLevels(tsl=5.0), "tsl"),
        ([-1, -1, 1, 1], OFF, "signal_exit"),
        ([-1, -1, -1], OFF, "ruin"),  # on the last bar: before the forced close
        ([-1, -1, 0], OFF, "signal_exit"),
        ([-1, -1, -1, -1], OFF, "ruin"),
    ],
)
def test_an_exit_before_ruin_keeps_its_reason_and_the_variant_is_ruined(
    signals: list[int], risk: RiskLevels, reason: str
) -> None:
    closes = [100.0, 100.0, 250.0, 90.0][: len(signals)]
    run = engine_run(signals, closes, Execution(), risk)
    assert [(trade.exit_bar, trade.reason) for trade in run.trades] == [(2, reason)]
    assert run.ruined


def test_a_ruined_variant_enters_nothing_though_a_rounding_of_cash_is_left() -> None:
    # 2 - (2 * 41) * (1 / 41) is 2.2e-16, not 0: of 1e8 times the initial cash that is more than an
    # entry needs.
    wins = [1, 0, *[-1] * 3, 1, 1]
    closes = [1.0, 1e8, 41.0, 82.0, 82.0, 82.0, 100.0]
    found = [(cash, base) for base in range(3, 200) if (cash := 2 - (2.0 * base) * (1 / base)) > 0]
    assert found, "no entry price leaves a rounding"
    for _, base in found:
        closes[2:6] = [float(base), 2.0 * base, 2.0 * base, 2.0 * base]
        case = Case(wins, closes, Execution(init_cash=1.0), OFF)
        run = simulate(case.signals, case.closes, case.execution)
        assert [trade.reason for trade in run.trades] == ["signal_exit", "ruin"]
        for secondary in (None, "sqn"):
            off = COMBINATIONS.index(OFF)
            for scores, place in ((stage_a(case, secondary), 0), (stage_b(case, secondary), off)):
                assert scores.trades[place] == 2
                assert scores.ruined[place]


# --- where prices double ---------------------------------------------------------------------

price = st.sampled_from((1.0, 1.5, 1.9, 2.0, 3.0, 4.0, 6.0, 9.0))
both = price.map(lambda level: (level, level))  # everything at closes
prices = st.lists(both, min_size=1) | st.lists(st.tuples(price, price), min_size=1)


@law(300)
@given(prices, st.sampled_from((1.0, 0.95, 0.75)))
def test_the_first_doubling_is_the_first_later_bar_that_reaches_twice_the_fill(
    bars: list[tuple[float, float]], sell: float
) -> None:
    reach, entries = map(list, zip(*bars, strict=True))
    expected = []
    for bar, entry in enumerate(entries):
        later = range(bar + 1, len(bars))
        expected.append(next((j for j in later if reach[j] >= 2 * (entry * sell)), NEVER))
    found, fewest = first_reaching(np.array(reach), 2.0 * (np.array(entries) * sell))
    assert found.tolist() == expected
    assert fewest == min(
        (then - bar for bar, then in enumerate(expected) if then != NEVER), default=NEVER
    )
