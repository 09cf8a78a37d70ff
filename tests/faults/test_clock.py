"""The time of day is set while a worker computes; leases know the database's clock only."""

from pathlib import Path

import pytest

from storage.records import Stage, State
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import Stack

HOUR = 3600


@pytest.mark.parametrize("shift", [-HOUR, HOUR])
def test_a_worker_whose_time_of_day_is_set_keeps_its_job(
    stack: Stack, undisturbed: list[tuple[str, ...]], tmp_path: Path, shift: int
) -> None:
    stack.workers(0)
    file = tmp_path / "shift"
    file.write_text("0")
    command = ("tests.faults.shifted_worker", "tasks.backtest", "--processes", "1", "--threads")
    worker = stack.start(*command, "1", SHIFT=str(file))
    try:
        worker.logged("event=ready")
        job_id = stack.submit(sweep())
        stack.reaches(job_id, Stage.STAGE_B)
        # Written at once: the worker must not read half of it.
        (tmp_path / "next").write_text(str(shift))
        (tmp_path / "next").rename(file)

        ended = stack.ends(job_id)
        later = stack.ends(stack.submit(small_sweep()))
    finally:
        worker.kill()
    assert (ended.state, ended.attempt, ended.crash_count) == (State.SUCCEEDED, 1, 0)
    assert stack.stored_bytes(job_id) == undisturbed
    assert (later.state, later.attempt) == (State.SUCCEEDED, 1)
    assert "event=lease_lost" not in worker.text()
