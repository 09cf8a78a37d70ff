"""What a job keeps of its search: coverage, shortlist with twins, outcomes – also for who resumes.

Children here follow a script, so that every number that comes through is one that the test chose.
"""

import json
from dataclasses import replace
from functools import partial
from multiprocessing import Pipe
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from configs.environment import CandlesFolder
from engine.loading import load
from engine.request import parse
from engine.sweep import Batch, Sweep
from storage import leases, result_texts, results
from storage.candles import open_store
from storage.records import Claimed, Claimer, EventName, FailureCode, Shortlist, Stage, State
from tasks import claim, compute, identity, runner, serving
from tasks.messages import (
    Assignment,
    Begin,
    CandlesLoaded,
    Failed,
    Finished,
    Snapshot,
    SnapshotWanted,
    StageAFinished,
    StageBFinished,
)
from tasks.parent import Parent
from tasks.worker import Worker
from tests.faults.conftest import small_sweep
from tests.faults.harness import Stack
from tests.storage.making import COVERAGE, OUTCOMES, without_bins
from tests.tasks.children import assignment
from tests.tasks.test_child_faults import Forks

HASH = "a" * 64
INDEXES, TWINS = [30, 10, 20], [2**40, 1, 7]


def follows_the_script(pipe: Any, _assignment: Assignment) -> None:
    pipe.send(CandlesLoaded(HASH, COVERAGE, base_variants=100, preloaded=True))
    begin = pipe.recv()
    if begin.shortlist is None:
        indexes, twins = np.array(INDEXES), np.array(TWINS)
        pipe.send(StageAFinished(indexes, twins, OUTCOMES, total=100, risk_total=6))
    pipe.send(StageBFinished(reports=0))
    pipe.send(Finished(result_texts.rows([], reports=True)))


def says_what_it_is_told(pipe: Any, _assignment: Assignment) -> None:
    pipe.send(CandlesLoaded(HASH, COVERAGE, base_variants=100, preloaded=True))
    begin: Begin = pipe.recv()
    told = {
        name: None if sent is None else [str(sent.dtype), *sent.tolist()]
        for name, sent in (("shortlist", begin.shortlist), ("twins", begin.twins))
    }
    pipe.send(Failed(FailureCode.UNEXPECTED_ERROR, "told", told))


def answer(stack: Stack, worker: Worker, job_id: UUID, child: Any) -> None:
    runner.run(job_id, replace(worker, fork_server=Forks([child])))  # type: ignore[arg-type]


def told(stack: Stack, worker: Worker, job_id: UUID) -> dict[str, Any]:
    answer(stack, worker, job_id, says_what_it_is_told)
    error = stack.job(job_id).last_error_json
    assert error is not None
    details: dict[str, Any] = error["details"]
    return details


def test_a_job_keeps_coverage_shortlist_twins_and_outcomes(stack: Stack, worker: Worker) -> None:
    job_id = stack.submit(small_sweep())
    answer(stack, worker, job_id, follows_the_script)

    job = stack.job(job_id)
    assert job.state is State.SUCCEEDED
    assert (job.coverage_json, job.outcomes_json) == (COVERAGE, without_bins(OUTCOMES))
    assert results.outcomes(job_id).of(stack.connection) == OUTCOMES
    stored = results.shortlist(stack.connection, job_id)
    assert stored is not None
    assert stored.shortlist == Shortlist(INDEXES, TWINS, 100, 6, 3, identity.ENGINE, HASH)


def test_coverage_replaces_what_the_submission_found(stack: Stack, worker: Worker) -> None:
    job_id = stack.submit(small_sweep())
    coverage_of_submission(stack, job_id, {"bars_present": 1})
    answer(stack, worker, job_id, follows_the_script)
    assert stack.job(job_id).coverage_json == COVERAGE


def test_a_coverage_that_the_job_has_already_is_not_written_again(
    stack: Stack, worker: Worker
) -> None:
    job_id = stack.submit(small_sweep())
    coverage_of_submission(stack, job_id, COVERAGE)
    stack.connection.execute(
        "CREATE FUNCTION refuse_coverage() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'written again'; END $$;"
        "CREATE TRIGGER refuse_coverage BEFORE UPDATE OF coverage_json ON backtest_jobs"
        " EXECUTE FUNCTION refuse_coverage()"
    )
    try:
        answer(stack, worker, job_id, follows_the_script)
    finally:
        stack.connection.execute("DROP FUNCTION refuse_coverage() CASCADE")
    assert stack.job(job_id).state is State.SUCCEEDED


def coverage_of_submission(stack: Stack, job_id: UUID, coverage: dict[str, Any]) -> None:
    stack.connection.execute(
        "UPDATE backtest_jobs SET coverage_json = %s WHERE job_id = %s",
        (json.dumps(coverage), job_id),
    )


def interrupted_after_stage_a(stack: Stack) -> UUID:
    """A job whose first owner stored its shortlist and released it."""
    job_id = stack.submit(small_sweep())
    claimer = Claimer("host-1-0000000a", 60, 3, identity.ENGINE, claim.REQUEST_VERSION)
    claimed = leases.try_claim(stack.connection, job_id, claimer)
    assert isinstance(claimed, Claimed)
    shortlist = Shortlist(INDEXES, TWINS, 100, 6, 3, identity.ENGINE, HASH)
    with stack.connection.transaction():
        results.save_shortlist(stack.connection, claimed.lease, shortlist, OUTCOMES)
    assert leases.release(stack.connection, claimed.lease)
    return job_id


def test_who_resumes_is_told_the_twins_with_the_shortlist(stack: Stack, worker: Worker) -> None:
    job_id = interrupted_after_stage_a(stack)
    assert told(stack, worker, job_id) == {
        "shortlist": ["int64", *INDEXES],
        "twins": ["int64", *TWINS],
    }
    assert results.outcomes(job_id).of(stack.connection) == OUTCOMES


def test_a_shortlist_without_twins_is_not_used(stack: Stack, worker: Worker) -> None:
    job_id = interrupted_after_stage_a(stack)
    stack.connection.execute(
        "UPDATE backtest_job_stage_a_shortlist SET twins_json = NULL WHERE job_id = %s", (job_id,)
    )
    assert told(stack, worker, job_id) == {"shortlist": None, "twins": None}
    assert EventName.RESUMED_FROM_SHORTLIST not in stack.events(job_id)


@pytest.mark.parametrize(
    ("second", "sent"),
    [(([5, 3], [1, 1]), False), (([5, 3], [1, 2]), True), (([3, 5], [1, 1]), True)],
    ids=["the same", "other twins", "other variants"],
)
def test_a_snapshot_is_sent_when_variants_or_twins_have_changed(
    candles: CandlesFolder, second: tuple[list[int], list[int]], sent: bool
) -> None:
    request = parse(assignment(candles, small_sweep()).request)
    with open_store(candles) as store:
        sweep = Sweep(request, load(request, store.bars, store.known))
    here, there = Pipe()

    def batches() -> Any:
        for indexes, twins in (([5, 3], [1, 1]), second):
            here.send(SnapshotWanted())
            found = SimpleNamespace(
                indexes=partial(np.array, indexes), twins=partial(np.array, twins)
            )
            yield Batch("stage_b", 1, 2, found)  # type: ignore[arg-type]

    parent = Parent(there)
    snapshots = serving.Snapshots(parent, partial(compute._summary_rows, sweep))
    serving.run(parent, Stage.STAGE_B, batches(), snapshots.send)
    documents = []
    while here.poll():
        message = here.recv()
        if isinstance(message, Snapshot):
            documents.append(message.document)
    assert [row["twins"] for row in json.loads(documents[0])] == [1, 1]
    assert (documents[1] is not None) is sent
    if sent:
        assert [row["twins"] for row in json.loads(documents[1])] == second[1]
