"""A job with bars kept aside is two jobs: one on the bars before the border, one from it on."""

from multiprocessing import Pipe
from statistics import median
from typing import Any

import pytest

from configs.environment import CandlesFolder
from engine.loading import load
from engine.ranking import TopList
from engine.request import parse
from engine.sweep import Sweep
from engine.validation.split import Split
from storage import jobs, results
from storage.candles import open_store
from storage.records import EventName, Job, Stage, State, TopVariant
from tasks import compute
from tasks.messages import Assignment, Begin, Progress, Stop
from tasks.parent import Parent, StopRequested
from tasks.worker import Worker
from tests.engine.requests import explicit
from tests.faults.harness import Stack
from tests.tasks.answering import counted, run
from tests.tasks.children import assignment

BORDER = "2024-01-15T00:00:00Z"


def sweep(start: str, end: str, validation: dict[str, Any] | None = None) -> dict[str, Any]:
    """A sweep that keeps every one of its outcomes, with trades."""
    return {
        "time_range": {"start": start, "end": end},
        "template": {
            "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
            "timeframe": "15m",
            "indicator_grids": [
                {"indicator_id": "ma.sma", "params": {"window": explicit(5, 9, 30)}},
                {"indicator_id": "ma.ema", "params": {"window": explicit(12, 40)}},
            ],
            "risk_grid": {"sl": explicit(None, 1), "tp": explicit(2)},
        },
        "preselect": 6,
        "top_k": 12,
        "top_trades_n": 12,
        "ranking": {"primary_metric": "sharpe", "min_trades": 3, "distinct": False},
        "validation": validation,
    }


def by_key(stack: Stack, job: Job) -> dict[str, TopVariant]:
    assert job.state is State.SUCCEEDED, job.last_error
    return {row.variant_key: row for row in stack.rows(job.job_id)}


def test_its_rows_are_those_of_the_jobs_over_both_parts(stack: Stack, worker: Worker) -> None:
    start, end = "2024-01-11T00:00:00Z", "2024-01-19T00:00:00Z"
    job = run(stack, worker, sweep(start, end, {"test_start": BORDER}))
    train = run(stack, worker, sweep(start, BORDER))
    test = run(stack, worker, sweep(BORDER, end))

    rows, trained, tested = (by_key(stack, each) for each in (job, train, test))
    assert list(rows) == list(trained)  # in the order of training
    assert set(rows) == set(tested)
    for key, row in rows.items():
        on_train, on_test = trained[key], tested[key]
        assert row.metrics_json == on_train.metrics_json
        assert row.trades_json == on_train.trades_json
        assert row.equity_json == on_train.equity_json
        assert row.test_metrics_json == on_test.metrics_json
        assert row.test_trades_json == on_test.trades_json
        assert row.test_equity_json == on_test.equity_json
        assert on_train.test_metrics_json is None
    assert len({row.metrics_json["sharpe"] for row in rows.values()}) >= 6

    assert job.outcomes_json is not None
    assert train.outcomes_json is not None
    parts = {name: job.outcomes_json.pop(name) for name in ("train", "test")}
    assert job.outcomes_json == train.outcomes_json
    assert [(part["start"], part["end"]) for part in parts.values()] == [
        (start, BORDER),
        (BORDER, end),
    ]


def test_candles_on_one_side_of_the_border_alone_are_no_job(stack: Stack, worker: Worker) -> None:
    document = sweep("2024-01-11", "2024-03-01", {"test_start": "2024-02-20"})
    job = run(stack, worker, document)
    assert job.state is State.FAILED
    assert "the test has no bar to trade" in (job.last_error or "")


START, END = "2024-01-11T00:00:00Z", "2024-01-19T00:00:00Z"


def stages(stack: Stack, job: Job) -> list[str]:
    return [
        event.details["stage"]
        for event in jobs.events(job.job_id).of(stack.connection)
        if event.event is EventName.STAGE_STARTED
    ]


def test_rows_say_how_their_neighbours_did_and_the_best_is_a_figure_of_the_job(
    stack: Stack, worker: Worker
) -> None:
    job = run(stack, worker, sweep(START, END, {"test_start": BORDER}))
    assert job.state is State.SUCCEEDED, job.last_error
    assert stages(stack, job) == list(Stage)
    assert counted(worker) == {"claimed": 1, "succeeded": 1}

    rows = stack.rows(job.job_id)
    returns = {row.variant_index: row.total_return_pct for row in rows}  # of every variant
    assert len(returns) == 12
    for row in rows:
        beside = row.beside_json
        assert beside is not None
        found = [returns[each["variant_index"]] or 0.0 for each in beside["variants"]]
        assert len(found) == beside["number"] > 0
        assert beside["median_return"] == pytest.approx(median(found), rel=1e-12)
        assert beside["worst_return"] == min(found)
    figures = results.figures(job.job_id).of(stack.connection)
    assert figures is not None
    best = dict(rows[0].beside_json or {})
    of_the_row = {name: best.pop(name) for name in ("variants", "replays")}
    assert figures["neighbours"] == best
    assert of_the_row["replays"]["trades"] == rows[0].metrics_json["num_trades"]
    assert figures["search"]["draws"] == 39


def test_of_a_search_without_a_test_nothing_is_asked(stack: Stack, worker: Worker) -> None:
    job = run(stack, worker, sweep(START, END))
    assert stages(stack, job) == [stage for stage in Stage if stage is not Stage.VALIDATION]
    assert results.validation(job.job_id).of(stack.connection) is None
    assert all(row.beside_json is None for row in stack.rows(job.job_id))


@pytest.fixture(scope="module")
def trained(candles: CandlesFolder) -> tuple[Sweep, TopList, Begin, Assignment]:
    """A search, the best of it, and what a child was told about it."""
    assigned = assignment(candles, sweep(START, END, {"test_start": BORDER}))
    request = parse(assigned.request)
    with open_store(candles) as store:
        split = Split.of(request, load(request, store.bars, store.known))
    assert split is not None
    search = Sweep(request, split.train)
    *_, first = search.stage_a()
    *_, last = search.stage_b(first.top.indexes())
    return search, last.top, Begin(), assigned


def test_a_child_tells_how_far_it_is_with_asking(
    trained: tuple[Sweep, TopList, Begin, Assignment],
) -> None:
    here, there = Pipe()
    answers = compute._ask(Parent(there), *trained)
    assert len(answers.beside) == 12
    told = []
    while here.poll():
        told.append(here.recv())
    assert all(isinstance(each, Progress) and each.stage is Stage.VALIDATION for each in told)
    assert told[-1].processed == told[-1].total > 0


def test_a_child_hears_while_it_asks_that_it_is_to_stop(
    trained: tuple[Sweep, TopList, Begin, Assignment],
) -> None:
    here, there = Pipe()
    here.send(Stop())
    with pytest.raises(StopRequested):
        compute._ask(Parent(there), *trained)
