"""A job that takes too much memory or no time at all."""

from storage.records import FailureCode, Job, Stage, State
from tests.faults.conftest import small_sweep, sweep, sweep_through
from tests.faults.harness import Stack, computing_child, gone, owner_pid

MIB = 2**20


def test_a_job_whose_engines_alone_exceed_its_memory_limit_fails_and_its_worker_goes_on(
    stack: Stack,
) -> None:
    with stack.only(job_memory_limit_bytes=160 * MIB) as worker:
        failed = [stack.ends(stack.submit(small_sweep())) for _ in range(2)]
        assert worker.alive()

    for job in failed:
        assert (job.state, job.attempt) == (State.FAILED, 1)
        assert error_code(job) == FailureCode.MEMORY_LIMIT_EXCEEDED
        assert "160 MiB" in (job.last_error or "")


def test_a_job_whose_sweep_exceeds_its_memory_limit_fails(stack: Stack) -> None:
    minutes = sweep(windows=3000)  # 190,000 bars: more than 200 MiB of signals
    minutes["template"]["timeframe"] = "1m"
    with stack.only(job_memory_limit_bytes=230 * MIB) as worker:
        ended = stack.ends(stack.submit(minutes))
        assert worker.alive()

    assert (ended.state, ended.attempt) == (State.FAILED, 1)
    assert error_code(ended) == FailureCode.MEMORY_LIMIT_EXCEEDED


def test_what_the_candle_engine_reserves_in_vain_does_not_count_as_memory_of_the_job(
    stack: Stack,
) -> None:
    with stack.only(job_memory_limit_bytes=600 * MIB):
        assert stack.ends(stack.submit(small_sweep())).state is State.SUCCEEDED


def test_a_child_that_hangs_is_ended_and_its_job_fails(stack: Stack) -> None:
    with stack.only(stall_seconds=3):
        job_id = stack.submit(sweep_through(Stage.STAGE_A))
        child = computing_child(owner_pid(stack.reaches(job_id, Stage.STAGE_A)))

        child.suspend()

        ended = stack.ends(job_id)
        gone([child])
        assert stack.ends(stack.submit(small_sweep())).state is State.SUCCEEDED

    assert ended.state is State.FAILED
    assert error_code(ended) == FailureCode.STALLED


def error_code(job: Job) -> object:
    assert job.last_error_json is not None
    return job.last_error_json["code"]
