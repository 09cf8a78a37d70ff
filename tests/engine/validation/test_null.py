"""The search p-value, against the slow simulator on the same draws."""

import math
from dataclasses import replace

import numpy as np
import pytest

from engine.ranking import Best
from engine.sweep import Sweep
from engine.validation import Unknown
from engine.validation.draws import units
from engine.validation.null import Null, null
from engine.validation.sign_flips import without_edge
from tests.engine.worlds import World

SEED, DRAWS = 20_240_101, 4


def world(seed: int, *, levels: bool, sizing: str = "all_in") -> World:
    made = World(seed, sizing=sizing)
    if not levels:
        made.template["risk_grid"] = dict.fromkeys(("sl", "tp", "tsl"))
    return made


def found_by(sweep: Sweep) -> Best:
    for batch in sweep.stage_a():
        top = batch.top
    for batch in sweep.stage_b(top.indexes()):
        top = batch.top
    return top.best()


def searched(made: World, metric: str, min_trades: int, threads: int = 1) -> Null:
    request = made.request(metric, min_trades=min_trades, preselect=100)
    sweep = Sweep(request, made.candles, threads=threads)
    told: list[int] = []
    found = null(sweep, found_by(sweep), draws=DRAWS, seed=SEED, report=told.append)
    assert isinstance(found, Null)
    assert told == sorted(told)
    assert told[-1] == DRAWS * units(request)
    return found


def best_of_all(made: World, metric: str, min_trades: int) -> tuple[int, float]:
    """Tier and metric of the best of all variants, each simulated the slow way."""
    sign = 1.0 if metric == "max_drawdown_pct" else -1.0
    ranked = []
    for reference in made.stage_b(range(len(made.bases))).values():
        measured = reference.measured
        value = measured.metrics[metric]
        undefined = math.isnan(value)
        few = len(reference.run.trades) < min_trades
        tier = 4 * reference.run.ruined + 2 * few + undefined
        ranked.append((tier, 0.0 if undefined else sign * value))
    tier, key = min(ranked)
    return tier, sign * key


@pytest.mark.parametrize("levels", [False, True], ids=["no levels", "levels"])
@pytest.mark.parametrize("metric", ["total_return_pct", "sharpe", "max_drawdown_pct"])
def test_the_best_of_a_draw_is_that_of_the_slow_simulator_on_its_bars(
    levels: bool, metric: str
) -> None:
    made = world(5, levels=levels)
    found = searched(made, metric, min_trades=3)
    for draw, best in enumerate(found.draws):
        drawn = world(5, levels=levels)
        drawn.candles = without_edge(made.candles, SEED, draw)
        tier, value = best_of_all(drawn, metric, 3)
        assert best.tier == tier
        assert best.value == pytest.approx(value, rel=1e-9)
    assert len({best.value for best in found.draws}) == DRAWS


def test_draws_do_not_depend_on_threads() -> None:
    made = world(5, levels=True)
    assert searched(made, "sharpe", 3, threads=2) == searched(made, "sharpe", 3)


def best(value: float, tier: int = 0, metric: str = "total_return_pct") -> Best:
    return Best(metric, tier, value)


@pytest.mark.parametrize(
    ("found", "draws", "as_good"),
    [
        (best(5.0), [best(4.0), best(5.0), best(6.0)], 2),
        (best(5.0), [best(9.0, tier=2), best(9.0, tier=4)], 0),
        (best(5.0, tier=2), [best(-9.0), best(4.0, tier=2), best(6.0, tier=2)], 2),
        (
            best(5.0, metric="max_drawdown_pct"),
            [best(4.0, metric="max_drawdown_pct"), best(6.0, metric="max_drawdown_pct")],
            1,
        ),
        (best(np.inf, metric="profit_factor"), [best(np.inf, metric="profit_factor")], 1),
        (best(0.0, tier=1, metric="sharpe"), [best(-1.0, metric="sharpe")], 1),
    ],
)
def test_as_good_is_as_lists_are_ranked(found: Best, draws: list[Best], as_good: int) -> None:
    made = Null(found.metric, found, tuple(draws))
    assert made.as_good == as_good
    assert made.p == (1 + as_good) / (1 + len(draws))


def test_a_document_holds_no_number_that_json_has_not() -> None:
    found = Null("sharpe", best(0.0, 1, "sharpe"), (best(np.inf, 0, "sharpe"), best(1.5)))
    assert found.document() == {
        "p": 1.0,
        "draws": 2,
        "as_good": 2,
        "metric": "sharpe",
        "best": None,
    }
    assert found.picture() == {"draws_best": [None, 1.5], "best": None}


def test_nothing_is_told_where_a_draw_cannot_be_traded() -> None:
    made = world(5, levels=False)
    jumps = np.exp(np.where(np.arange(len(made.candles.close)) % 2, 300.0, -300.0))
    made.candles = replace(made.candles, open=jumps, high=jumps, low=jumps, close=jumps)
    sweep = Sweep(made.request(), made.candles)
    found = null(sweep, best(1.0), draws=30, seed=SEED, report=lambda _: None)
    assert isinstance(found, Unknown)
    assert "floating-point" in found.reason
