"""A job that takes too much memory or no time at all."""

from storage.records import FailureCode, Stage, State
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import Stack, computing_child, gone, owner_pid


def test_a_job_that_meets_its_memory_limit_fails_and_its_worker_goes_on(stack: Stack) -> None:
    # Enough for the candle engine to start and to say what it lacks; with less, its libraries die
    # in ways of their own.
    with stack.only(job_memory_limit_bytes=450 * 2**20) as worker:
        failed = [stack.ends(stack.submit(small_sweep())) for _ in range(2)]
        assert worker.alive()

    for job in failed:
        assert (job.state, job.attempt) == (State.FAILED, 1)
        assert job.last_error_json is not None
        assert job.last_error_json["code"] == FailureCode.MEMORY_LIMIT_EXCEEDED
        assert "450 MiB" in (job.last_error or "")


def test_a_child_that_hangs_is_ended_and_its_job_fails(stack: Stack) -> None:
    with stack.only(stall_seconds=3):
        job_id = stack.submit(sweep())
        child = computing_child(owner_pid(stack.reaches(job_id, Stage.STAGE_A)))

        child.suspend()

        ended = stack.ends(job_id)
        gone([child])
        assert stack.ends(stack.submit(small_sweep())).state is State.SUCCEEDED

    assert ended.state is State.FAILED
    assert ended.last_error_json is not None
    assert ended.last_error_json["code"] == FailureCode.STALLED
