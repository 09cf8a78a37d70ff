"""What a whole search is asked: put together of parts that have their own proofs."""

from dataclasses import replace
from functools import cache
from statistics import fmean

import numpy as np
import pytest

from engine.ranking import TopList
from engine.report import reports
from engine.request.model import Validation, WalkForward
from engine.sweep import Sweep
from engine.validation.draws import units
from engine.validation.rerun import moments
from engine.validation.search import Answers, ask
from tests.engine.worlds import World

EVERYTHING = Validation(
    70.0, None, splits=50, draws=3, walk_forward=WalkForward(folds=4, mode="rolling")
)


@cache
def searched(
    threads: int = 1, wanted: Validation = EVERYTHING
) -> tuple[Sweep, TopList, Answers, list[tuple[int, int]]]:
    world = World(3)
    request = replace(world.request(min_trades=2), validation=wanted)
    sweep = Sweep(request, world.candles, threads=threads)
    for batch in sweep.stage_a():
        shortlist = batch.top.indexes()
    for batch in sweep.stage_b(shortlist):
        top = batch.top
    told: list[tuple[int, int]] = []
    answers = ask(sweep, top, lambda *now: told.append(now), threads=threads)
    return sweep, top, answers, told


def test_the_answers_do_not_depend_on_threads() -> None:
    assert searched(1)[2] == searched(2)[2]


def test_every_kept_variant_is_told_its_neighbours_and_the_best_their_replays() -> None:
    sweep, top, answers, _ = searched()
    kept = top.indexes()
    assert len(answers.beside) == len(kept)
    assert [each for each in answers.beside if "replays" in each] == answers.beside[:1]
    best = answers.beside[0]
    (report,) = reports(sweep, kept[:1], top_trades_n=0, result_bytes=0)
    assert best["replays"]["return_pct"] == pytest.approx(report.total_return_pct)
    assert best["replays"]["trades"] == report.metrics["num_trades"]
    made = {
        row.variant_index: row.total_return_pct
        for row in reports(
            sweep,
            [each["variant_index"] for each in best["variants"]],
            top_trades_n=0,
            result_bytes=0,
        )
    }
    assert best["number"] == len(made) > 0
    assert best["worst_return"] == min(made.values())  # type: ignore[type-var]
    assert best["median_return"] == pytest.approx(np.median(list(made.values())))  # type: ignore[arg-type]


def test_surfaces_are_of_every_pair_of_ordered_axes_and_count_every_variant() -> None:
    sweep, _, answers, _ = searched()
    for surface in answers.surfaces:
        assert sum(filter(None, surface["variants"])) == sweep.grid.base_total
    assert answers.surfaces


def test_progress_is_told_of_every_piece_of_work_and_may_end_it() -> None:
    sweep, top, _, told = searched()
    assert told == sorted(told)
    total = len(top) + 1 + sweep.grid.base_total + 3 * units(sweep.request)
    assert told[-1] == (total, total)

    class Enough(Exception):
        pass

    def stop(_done: int, _of: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        ask(sweep, top, stop)


def test_a_search_of_which_nothing_is_asked_is_refused() -> None:
    world = World(3)
    sweep = Sweep(world.request(), world.candles)
    *_, batch = sweep.stage_a()
    with pytest.raises(ValueError, match="the request has no validation"):
        ask(sweep, batch.top, lambda *_: None)


def test_figures_are_few_and_pictures_are_apart() -> None:
    _, _, answers, _ = searched()
    assert answers.figures["overfitting"].keys() >= {"pbo", "loss_share", "splits", "variants"}
    assert answers.pictures["overfitting"].keys() == {"logits", "pairs_pct"}
    assert answers.figures["deflated_sharpe"]["variants"] > 1
    assert answers.figures["neighbours"].items() < answers.beside[0].items()
    assert not {"variants", "replays"} & answers.figures["neighbours"].keys()
    assert answers.figures["search"]["draws"] == len(answers.pictures["search"]["draws_best"]) == 3


def test_the_walk_forward_says_when_and_which_variants() -> None:
    sweep, _, answers, _ = searched()
    figures, walk = answers.figures["walk_forward"], answers.pictures["walk_forward"]
    assert (figures["mode"], figures["folds"], figures["blocks"]) == ("rolling", 4, 16)
    assert walk["return_pct"] == figures["return_pct"] == walk["curve_pct"][-1]
    assert walk["hindsight"]["return_pct"] == figures["hindsight_return_pct"]
    closes = sweep.closes
    first = len(closes) * 12 // 16  # of the tests
    held = 100.0 * (closes[-1] / closes[first - 1] - 1.0)
    assert figures["benchmark_return_pct"] == pytest.approx(held, rel=1e-6)
    assert len(walk["times"]) == 17
    opens, step = sweep.open_times, sweep.candles.timeframe_ms
    assert walk["times"][0] == f"{np.datetime64(int(opens[0]), 'ms').astype('M8[s]')}Z"
    assert walk["times"][-1] == f"{np.datetime64(int(opens[-1]) + step, 'ms').astype('M8[s]')}Z"
    for each in (*walk["folds"], walk["hindsight"]):
        assert each["payload"] == sweep.grid.base_variant(each["base_index"])


def test_nothing_is_asked_that_is_not_wanted() -> None:
    _, top, answers, told = searched(wanted=Validation(70.0, None, splits=0, draws=0))
    assert answers.figures.keys() == {"neighbours"}
    assert not answers.pictures
    assert not answers.surfaces
    assert told[-1] == (len(top) + 1, len(top) + 1)


def test_a_walk_forward_alone_makes_no_surface() -> None:
    wanted = replace(EVERYTHING, splits=0, draws=0)
    answers = searched(wanted=wanted)[2]
    assert answers.figures.keys() == {"neighbours", "stride", "walk_forward"}
    assert not answers.surfaces
    assert answers.pictures["walk_forward"] == searched()[2].pictures["walk_forward"]


def test_moments_are_those_of_the_textbook() -> None:
    returns = [0.01, -0.02, 0.004, 0.03, -0.001, 0.0, -0.04, 0.02]
    mean = fmean(returns)
    second, third, fourth = (fmean((r - mean) ** power for r in returns) for power in (2, 3, 4))
    found = moments(np.array(returns))
    assert found.days == 8
    assert found.sharpe == pytest.approx(mean / (second * 8 / 7) ** 0.5)
    assert found.skewness == pytest.approx(third / second**1.5)
    assert found.kurtosis == pytest.approx(fourth / second**2)


@pytest.mark.parametrize("returns", [[], [0.1], [0.2, 0.2], [0.1, np.nan], [0.1, np.inf]])
def test_of_too_few_or_no_returns_nothing_is_known(returns: list[float]) -> None:
    found = moments(np.array(returns))
    assert np.isnan([found.sharpe, found.skewness, found.kurtosis]).all()
