"""An owner that was paused past its lease, and comes back."""

import os
import re
import signal

import psycopg
import pytest

from storage.records import Job, Stage, State
from tests.faults.conftest import sweep, sweep_through
from tests.faults.harness import Stack, computing_child, gone, owner_pid, wait_for


def test_an_owner_that_comes_back_too_late_writes_nothing_more(
    stack: Stack, undisturbed: list[tuple[str, ...]]
) -> None:
    stack.workers(2)
    job_id = stack.submit(sweep())
    job = stack.reaches(job_id, Stage.STAGE_B)
    master = stack.master_of(owner_pid(job))
    child = computing_child(owner_pid(job))
    lost_before = master.metric("backtest_job_runner_lease_lost_total")

    os.kill(owner_pid(job), signal.SIGSTOP)
    successor = stack.claimed(job_id, attempt=2)
    os.kill(owner_pid(job), signal.SIGCONT)

    gone([child])
    ended = stack.ends(job_id)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 2)
    assert ended.locked_by == successor.locked_by
    assert stack.stored_bytes(job_id) == undisturbed
    wait_for(
        lambda: master.metric("backtest_job_runner_lease_lost_total") == lost_before + 1,
        "one lease_lost",
    )
    lines = [line for line in master.text().splitlines() if str(job_id) in line]
    assert "event=lease_lost" in lines[-1]
    assert sum("event=lease_lost" in line for line in lines) == 1
    for line in lines:
        assert re.search(r"component=\S+ event=\S+ job_id=\S+ attempt=1 locked_by=\S+ stage=", line)


@pytest.mark.parametrize("stage", [Stage.STAGE_B, Stage.FINALIZING])
def test_an_owner_that_was_paused_between_guard_and_commit_writes_nothing(
    stack: Stack, undisturbed_through: dict[Stage, list[tuple[str, ...]]], stage: Stage
) -> None:
    stack.workers(2)
    job, child = stack.caught(sweep_through(stage), stage)
    job_id = job.job_id
    master = stack.master_of(owner_pid(job))
    if stage is Stage.STAGE_B:
        # With its progress the owner asks for a snapshot, which the child makes when it goes on.
        wait_for(lambda: written_later(stack, job), "the progress of the stage", every=0.05)
    with psycopg.connect(stack.dsn) as other:
        # A snapshot, and the end, renew the lease, which locks the job's row; then they wait.
        other.execute("LOCK TABLE backtest_job_top_variants IN ACCESS EXCLUSIVE MODE")
        child.resume()
        wait_for(lambda: waits_in_a_transaction(stack), "a write between guard and commit")
        os.kill(owner_pid(job), signal.SIGSTOP)
        in_between = waits_in_a_transaction(stack)
        other.rollback()
    successor = stack.claimed(job_id, attempt=2)
    stored = stack.rows(job_id)
    os.kill(owner_pid(job), signal.SIGCONT)

    master.logged("event=lease_lost", seconds=30)
    ended = stack.ends(job_id)
    assert in_between, "it was not paused where it should have been"
    assert stored == [] or stored[0].rank == 1
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 2)
    assert ended.locked_by == successor.locked_by
    assert stack.stored_bytes(job_id) == undisturbed_through[stage]


def written_later(stack: Stack, begun: Job) -> bool:
    """Whether the progress of a job was written once more since its stage began."""
    return stack.job(begun.job_id).progress_updated_at != begun.progress_updated_at


def waits_in_a_transaction(stack: Stack) -> bool:
    found = stack.connection.execute(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'backtest-job-runner'"
        " AND wait_event_type = 'Lock' AND query LIKE '%DELETE FROM backtest_job_top_variants%'"
    )
    return found.fetchone() is not None
