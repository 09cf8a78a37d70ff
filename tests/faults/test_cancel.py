"""A cancelled job ends `cancelled`, wherever it is, and publishes no report."""

from uuid import UUID

import pytest

from storage import jobs
from storage.records import Client, EventName, Job, Stage, State
from tests.faults.conftest import small_sweep, sweep, sweep_through
from tests.faults.harness import Stack, gone


def _cancel(stack: Stack, job_id: UUID, times: int = 2) -> Job:
    for _ in range(times):
        job = jobs.cancel(stack.connection, job_id, client=Client.CLI)
    assert job is not None
    return job


def test_a_queued_job_is_cancelled_at_once_and_never_runs(stack: Stack) -> None:
    masters = stack.workers(1)
    ahead = stack.submit(sweep())
    others = [stack.submit(sweep()) for _ in range(len(masters) + 1)]
    last = others[-1]

    assert _cancel(stack, last).state is State.CANCELLED

    for job_id in (ahead, *others[:-1]):
        _cancel(stack, job_id)
        assert stack.ends(job_id).state is State.CANCELLED
    assert stack.events(last) == [EventName.QUEUED, EventName.CANCELLED]


@pytest.mark.parametrize("stage", list(Stage))
def test_a_running_job_is_cancelled_in_every_stage(stack: Stack, stage: Stage) -> None:
    stack.workers(1)
    job, child = stack.caught(sweep_through(stage), stage)
    job_id = job.job_id

    _cancel(stack, job_id)

    ended = stack.ends(job_id)
    assert (ended.state, ended.attempt, ended.last_error) == (State.CANCELLED, 1, None)
    assert all(row.report_table_md is None for row in stack.rows(job_id))
    assert stack.events(job_id).count(EventName.CANCEL_REQUESTED) == 1
    gone([child])
    assert stack.ends(stack.submit(small_sweep())).state is State.SUCCEEDED
