"""An owner that was paused past its lease, and comes back."""

import os
import re
import signal

from storage.records import Stage, State
from tests.faults.conftest import sweep
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
