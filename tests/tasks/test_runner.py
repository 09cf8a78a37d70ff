"""One wake-up after another, answered in this process with real services and real children."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from configs.environment import CandlesFolder, ClickHouseServer
from engine import identity
from engine.request import VERSION, Limits
from storage import leases, results
from storage.candles import Bars, open_store
from storage.records import Claimed, Claimer, EventName, FailureCode, Shortlist, State
from tasks import runner
from tasks.worker import Worker
from tests.engine.requests import explicit
from tests.faults.conftest import START_MS, small_sweep
from tests.faults.harness import Stack
from tests.ports import free_port
from tests.storage.making import OUTCOMES
from tests.tasks.answering import counted, failure, run


def test_a_job_is_claimed_computed_and_published(stack: Stack, worker: Worker) -> None:
    job = run(stack, worker)

    assert (job.state, job.attempt, job.engine_version) == (State.SUCCEEDED, 1, identity())
    assert stack.events(job.job_id) == [
        EventName.QUEUED,
        EventName.CLAIMED,
        *[EventName.STAGE_STARTED] * 3,
        EventName.SUCCEEDED,
    ]
    rows = stack.rows(job.job_id)
    assert [row.rank for row in rows] == [1, 2, 3, 4, 5]
    assert all(row.report_table_md for row in rows)
    assert [row.trades_json is not None for row in rows] == [True, True, True, False, False]
    assert counted(worker) == {"claimed": 1, "succeeded": 1}
    assert job.outcomes_json is not None
    assert (job.outcomes_json["tried"], job.outcomes_json["primary"]["metric"]) == (
        1560,
        "return_over_max_drawdown",
    )
    assert job.coverage_json is not None
    assert job.coverage_json["bars_present"] < job.coverage_json["bars_expected"]


def test_a_job_that_is_not_to_be_had_is_dropped_and_counted(stack: Stack, worker: Worker) -> None:
    job = run(stack, worker)
    runner.run(job.job_id, worker)
    runner.run(uuid4(), worker)

    assert stack.job(job.job_id) == job
    assert counted(worker) == {"claimed": 1, "succeeded": 1, "stale": 2}


def test_a_stored_request_that_is_not_valid_fails(stack: Stack, worker: Worker) -> None:
    job_id = stack.submit(small_sweep())
    stack.connection.execute(
        "UPDATE backtest_jobs SET request_json = jsonb_set(request_json, '{top_k}', '-1')"
        " WHERE job_id = %s",
        (job_id,),
    )
    runner.run(job_id, worker)
    assert failure(stack.job(job_id)) == FailureCode.INVALID_REQUEST
    assert "top_k" in (stack.job(job_id).last_error or "")
    assert counted(worker) == {"claimed": 1, "invalid_request": 1}


def test_a_job_that_the_release_before_has_stored_runs(stack: Stack, worker: Worker) -> None:
    job_id = stack.submit(small_sweep())
    stack.connection.execute(
        "UPDATE backtest_jobs SET request_json ="
        " request_json - 'version' - 'validation' #- '{ranking,distinct}' WHERE job_id = %s",
        (job_id,),
    )
    runner.run(job_id, worker)
    assert stack.job(job_id).state is State.SUCCEEDED
    assert "version" not in stack.job(job_id).request_json
    assert len(stack.rows(job_id)) == 5


def test_a_request_beyond_this_workers_guard_fails(stack: Stack, worker: Worker) -> None:
    limits = Limits(max_variants_per_compute=10, max_compute_bytes_total=2**40)
    assert failure(run(stack, replace(worker, limits=limits))) == FailureCode.GUARD_EXCEEDED


def test_a_job_whose_money_overflows_succeeds_with_what_is_defined(
    stack: Stack, worker: Worker, candles: CandlesFolder
) -> None:
    close = np.tile([1.0, 2.0], 1_100)
    minutes = START_MS + np.arange(len(close)) * 60_000
    with open_store(candles) as store:
        store.append(1, "ZIGZAG", [Bars(minutes, close, close, close, close, np.ones(len(close)))])
    start, end = (datetime.fromtimestamp(START_MS / 1000 + s, UTC) for s in (0, 2_200 * 60))
    document = {
        "time_range": {"start": start.isoformat(), "end": end.isoformat()},
        "warmup_bars": 1,
        "template": {
            "instrument_id": {"market_id": 1, "symbol": "ZIGZAG"},
            "timeframe": "1m",
            "indicator_grids": [
                {
                    "indicator_id": "momentum.rsi",
                    "params": {"window": explicit(3)},
                    "signals": {"long_threshold": explicit(45), "short_threshold": explicit(55)},
                }
            ],
        },
    }

    job = run(stack, worker, document)

    assert job.state is State.SUCCEEDED
    (row,) = stack.rows(job.job_id)
    assert row.total_return_pct is None
    assert row.metrics_json["num_trades"] > 1_000
    assert row.trades_json is not None
    assert row.trades_json[-1]["net_pnl"] is None


def test_a_range_without_candles_fails(stack: Stack, worker: Worker) -> None:
    document = small_sweep()
    document["time_range"] = {"start": "2030-01-01T00:00:00Z", "end": "2030-02-01T00:00:00Z"}
    assert failure(run(stack, worker, document)) == FailureCode.NO_MARKET_DATA


def test_a_candle_folder_that_is_not_there_is_a_source_that_is_away(
    stack: Stack, worker: Worker
) -> None:
    missing = CandlesFolder(Path("/nowhere/at/all"))
    impatient = replace(worker, candle_source=missing, candle_retry_seconds=(0.1, 0.1))
    assert failure(run(stack, impatient)) == FailureCode.CANDLE_SOURCE_UNAVAILABLE


def test_a_candle_source_that_does_not_answer_is_tried_again_and_then_fails(
    stack: Stack, worker: Worker
) -> None:
    server = ClickHouseServer(
        "127.0.0.1", free_port(), "market_data", "default", "", secure=False, verify=True
    )
    impatient = replace(worker, candle_source=server, candle_retry_seconds=(0.1, 0.1))
    assert failure(run(stack, impatient)) == FailureCode.CANDLE_SOURCE_UNAVAILABLE


def test_a_job_resumes_from_its_own_shortlist(stack: Stack, worker: Worker) -> None:
    undisturbed = run(stack, worker)
    stored = results.shortlist(stack.connection, undisturbed.job_id)
    assert stored is not None
    outcomes = results.outcomes(undisturbed.job_id).of(stack.connection)
    assert outcomes is not None
    job_id = _interrupted_after_stage_a(stack, stored.shortlist, outcomes)

    runner.run(job_id, worker)

    job = stack.job(job_id)
    assert (job.state, job.attempt) == (State.SUCCEEDED, 2)
    assert EventName.RESUMED_FROM_SHORTLIST in stack.events(job_id)
    assert stack.stored_bytes(job_id) == stack.stored_bytes(undisturbed.job_id)


def test_who_resumes_counts_the_twins_of_the_shortlist(stack: Stack, worker: Worker) -> None:
    undisturbed = run(stack, worker)
    stored = results.shortlist(stack.connection, undisturbed.job_id)
    assert stored is not None
    assert stored.shortlist.twins is not None
    tripled = replace(stored.shortlist, twins=[3 * count for count in stored.shortlist.twins])
    job_id = _interrupted_after_stage_a(stack, tripled)

    runner.run(job_id, worker)

    assert [row.twins for row in stack.rows(job_id)] == [
        3 * row.twins for row in stack.rows(undisturbed.job_id)
    ]


def test_levels_that_are_never_hit_are_twins_in_the_rows(stack: Stack, worker: Worker) -> None:
    document = small_sweep()
    document["template"]["risk_grid"] = {"sl": explicit(97), "tp": explicit(5000, 6000, 7000)}
    job = run(stack, worker, document)
    assert job.state is State.SUCCEEDED
    rows = stack.rows(job.job_id)
    assert rows
    assert all(row.twins % 3 == 0 for row in rows)


def test_a_shortlist_of_other_candles_is_not_used(stack: Stack, worker: Worker) -> None:
    undisturbed = run(stack, worker)
    stored = results.shortlist(stack.connection, undisturbed.job_id)
    assert stored is not None
    wrong = replace(stored.shortlist, indexes=[0], twins=[1], candles_hash="0" * 64)
    job_id = _interrupted_after_stage_a(stack, wrong)

    runner.run(job_id, worker)

    assert EventName.RESUMED_FROM_SHORTLIST not in stack.events(job_id)
    assert stack.stored_bytes(job_id) == stack.stored_bytes(undisturbed.job_id)


def test_a_shortlist_of_another_engine_is_not_used(stack: Stack, worker: Worker) -> None:
    undisturbed = run(stack, worker)
    stored = results.shortlist(stack.connection, undisturbed.job_id)
    assert stored is not None
    other = replace(stored.shortlist, indexes=[0], twins=[1], engine_version="another engine")
    job_id = _interrupted_after_stage_a(stack, other)

    runner.run(job_id, worker)

    assert EventName.RESUMED_FROM_SHORTLIST not in stack.events(job_id)
    assert stack.stored_bytes(job_id) == stack.stored_bytes(undisturbed.job_id)


def test_a_stopping_worker_claims_nothing_and_sends_the_wake_up_back(
    stack: Stack, worker: Worker
) -> None:
    sent_back: list[UUID] = []
    stopping = replace(worker, put_back=sent_back.append)
    stopping.stopping.set()

    job = run(stack, stopping)

    assert job.state is State.QUEUED
    assert sent_back == [job.job_id]


def _interrupted_after_stage_a(
    stack: Stack, shortlist: Shortlist, outcomes: dict[str, Any] = OUTCOMES
) -> UUID:
    """A job whose first owner stored `shortlist` and `outcomes` and released it."""
    job_id = stack.submit(small_sweep())
    claimer = Claimer(
        "host-1-0000000a",
        lease_seconds=60,
        max_crashes=3,
        engine_version=identity(),
        request_version=VERSION,
    )
    claimed = leases.try_claim(stack.connection, job_id, claimer)
    assert isinstance(claimed, Claimed)
    with stack.connection.transaction():
        assert results.save_shortlist(stack.connection, claimed.lease, shortlist, outcomes)
    assert leases.release(stack.connection, claimed.lease)
    return job_id
