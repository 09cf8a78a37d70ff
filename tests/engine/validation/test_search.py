"""What a whole search is asked: put together of parts that have their own proofs."""

from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from engine.report import reports
from engine.sweep import Sweep
from engine.validation.rerun import moments
from engine.validation.search import Answers, ask
from tests.engine.worlds import World


@cache
def searched(threads: int = 1, metric: str = "total_return_pct") -> tuple[Sweep, Any, Answers]:
    world = World(3)
    sweep = Sweep(world.request(metric, min_trades=2), world.candles, threads=threads)
    for batch in sweep.stage_a():
        shortlist = batch.top.indexes()
    for batch in sweep.stage_b(shortlist):
        top = batch.top
    kept = top.indexes()
    return sweep, kept, ask(sweep, kept, lambda *_: None, threads=threads)


def test_the_answers_do_not_depend_on_threads() -> None:
    assert searched(1)[2] == searched(2)[2]


def test_every_kept_variant_is_told_its_neighbours_and_the_best_their_replays() -> None:
    sweep, kept, answers = searched()
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
    sweep, _, answers = searched()
    for surface in answers.surfaces:
        assert sum(filter(None, surface["variants"])) == sweep.grid.base_total
    assert answers.surfaces


def test_progress_is_told_of_every_piece_of_work_and_may_end_it() -> None:
    sweep, kept, _ = searched()
    told: list[tuple[int, int]] = []
    ask(sweep, kept, lambda *now: told.append(now))
    total = sweep.grid.base_total + len(kept)
    assert told == sorted(told)
    assert told[-1] == (total, total)

    class Enough(Exception):
        pass

    def stop(_done: int, _of: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        ask(sweep, kept, stop)


def test_figures_are_few_and_pictures_are_apart() -> None:
    _, _, answers = searched()
    assert answers.figures["overfitting"].keys() >= {"pbo", "loss_share", "splits", "variants"}
    assert answers.pictures["overfitting"].keys() == {"logits", "pairs_pct"}
    assert answers.figures["deflated_sharpe"]["variants"] > 1
    assert answers.figures["neighbours"].items() < answers.beside[0].items()
    assert not {"variants", "replays"} & answers.figures["neighbours"].keys()


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
