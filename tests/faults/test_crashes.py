"""Whoever dies owning a job: somebody else ends it, with the result of an undisturbed run."""

import os
import signal

import pytest

from storage.records import EventName, FailureCode, Stage, State
from tests.faults.conftest import sweep, sweep_through
from tests.faults.harness import Stack, gone, owner_pid

Rows = list[tuple[str, ...]]


@pytest.mark.parametrize("stage", list(Stage))
def test_a_killed_worker_process_changes_nothing_in_the_result(
    stack: Stack, undisturbed_through: dict[Stage, Rows], stage: Stage
) -> None:
    stack.workers(2)
    job, _ = stack.caught(sweep_through(stage), stage)
    job_id = job.job_id
    everything = stack.master_of(owner_pid(job)).processes()

    os.kill(owner_pid(job), signal.SIGKILL)

    gone(everything)
    ended = stack.ends(job_id)
    assert (ended.state, ended.attempt, ended.crash_count) == (State.SUCCEEDED, 2, 1)
    assert owner_pid(ended) != owner_pid(job)
    resumed = EventName.RESUMED_FROM_SHORTLIST in stack.events(job_id)
    assert resumed is (stage is not Stage.STAGE_A)
    assert stack.stored_bytes(job_id) == undisturbed_through[stage]


def test_a_killed_master_takes_its_worker_along_and_the_job_moves_on(
    stack: Stack, undisturbed: Rows
) -> None:
    stack.workers(2)
    job, _ = stack.caught(sweep(), Stage.STAGE_B)
    job_id = job.job_id
    master = stack.master_of(owner_pid(job))
    everything = master.processes()

    os.kill(master.pid, signal.SIGKILL)

    gone(everything)
    ended = stack.ends(job_id)
    assert (ended.state, ended.attempt, ended.crash_count) == (State.SUCCEEDED, 2, 0)
    assert EventName.LEASE_RELEASED in stack.events(job_id)
    assert stack.stored_bytes(job_id) == undisturbed


def test_a_job_that_always_kills_its_worker_fails_at_the_crash_too_many(stack: Stack) -> None:
    stack.workers(2)
    job_id = stack.submit(sweep())
    for attempt in (1, 2):  # max_crashes is 1
        stack.workers(2)
        job = stack.claimed(job_id, attempt)
        assert job.attempt == attempt
        os.kill(owner_pid(job), signal.SIGKILL)

    ended = stack.ends(job_id)
    assert ended.state is State.FAILED
    assert ended.last_error_json is not None
    assert ended.last_error_json["code"] == FailureCode.WORKER_CRASHED_REPEATEDLY
    assert ended.last_error_json["details"]["last_owner"] == job.locked_by
