"""Deploys: whoever is told to stop gives its job back at once, and nothing counts as a crash."""

import os
import signal
from collections.abc import Callable

import pytest

from storage.records import EventName, Stage, State
from tests.faults.conftest import sweep
from tests.faults.harness import Program, Stack, gone, owner_pid


def _terminate(master: Program) -> None:
    os.kill(master.pid, signal.SIGTERM)


def _terminate_group_twice(master: Program) -> None:
    master.signal_group(signal.SIGTERM)
    master.signal_group(signal.SIGTERM)


def _interrupt_group(master: Program) -> None:
    master.signal_group(signal.SIGINT)


@pytest.mark.parametrize("stop", [_terminate, _terminate_group_twice, _interrupt_group])
def test_a_stopped_worker_hands_its_job_on(
    stack: Stack, undisturbed: list[tuple[str, ...]], stop: Callable[[Program], None]
) -> None:
    stack.workers(2)
    job_id = stack.submit(sweep())
    job = stack.reaches(job_id, Stage.STAGE_B)
    master = stack.master_of(owner_pid(job))
    everything = master.processes()

    stop(master)

    assert master.exit_code() == 0
    gone(everything)
    ended = stack.ends(job_id)
    assert (ended.state, ended.attempt, ended.crash_count) == (State.SUCCEEDED, 2, 0)
    events = stack.events(job_id)
    assert events.count(EventName.LEASE_RELEASED) == 1
    assert events.count(EventName.SUCCEEDED) == 1
    assert stack.stored_bytes(job_id) == undisturbed
