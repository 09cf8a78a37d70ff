"""Postgres goes away under a worker: for a moment, or without a word."""

import os
import signal

from storage.records import Stage, State
from tests.faults.conftest import sweep
from tests.faults.harness import Stack, computing_child, gone, owner_pid, wait_for

Rows = list[tuple[str, ...]]


def test_cut_connections_are_opened_again_and_the_job_goes_on(
    stack: Stack, undisturbed: Rows
) -> None:
    stack.workers(1)
    job_id = stack.submit(sweep())
    for stage in Stage:
        stack.reaches(job_id, stage)
        for pid in stack.backends():
            stack.connection.execute("SELECT pg_terminate_backend(%s)", (pid,))

    ended = stack.ends(job_id)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 1)
    assert stack.stored_bytes(job_id) == undisturbed


def test_an_owner_whose_database_says_nothing_stops_by_its_deadline(
    stack: Stack, undisturbed: Rows
) -> None:
    (master,) = stack.workers(1)
    job_id = stack.submit(sweep())
    worker_pid = owner_pid(stack.reaches(job_id, Stage.STAGE_B))
    child = computing_child(worker_pid)
    silent = stack.backends()
    for pid in silent:
        os.kill(pid, signal.SIGSTOP)
    try:
        gone([child], seconds=10)
        wait_for(lambda: "event=lease_lost" in master.text(), "the owner to give up")
        stack.workers(2)

        ended = stack.ends(job_id)
    finally:
        for pid in silent:
            os.kill(pid, signal.SIGCONT)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 2)
    assert stack.stored_bytes(job_id) == undisturbed
