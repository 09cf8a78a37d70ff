"""A job that needs more memory than a job may use."""

from storage.records import FailureCode, State
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import Stack


def test_a_job_that_meets_its_memory_limit_fails_and_its_worker_goes_on(stack: Stack) -> None:
    for program in stack.workers(0):
        program.kill()
    limited = stack.configure("limited.yaml", job_memory_limit_bytes=300 * 2**20)
    worker = stack.worker(ROEHUB_BACKTEST_CONFIG=str(limited))
    worker.logged("event=ready")

    ended = stack.ends(stack.submit(sweep()))

    assert (ended.state, ended.attempt) == (State.FAILED, 1)
    assert ended.last_error_json is not None
    assert ended.last_error_json["code"] == FailureCode.MEMORY_LIMIT_EXCEEDED
    assert "300 MiB" in (ended.last_error or "")
    assert worker.alive()
    worker.kill()
    stack.workers(1)
    assert stack.ends(stack.submit(small_sweep())).state is State.SUCCEEDED
