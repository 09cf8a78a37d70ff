"""Postgres goes away under a worker: for a moment, without a word, for some connections only."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest

from storage.records import Job, Stage, State
from tests.faults.conftest import sweep, validated_sweep
from tests.faults.harness import LEASE_SECONDS, Stack, gone, wait_for
from tests.network import PostgresProxy

Rows = list[tuple[str, ...]]


def test_cut_connections_are_opened_again_and_the_job_goes_on(
    stack: Stack, undisturbed_through: dict[Stage, Rows]
) -> None:
    stack.workers(1)
    job_id = wait_for(partial(cut_in_every_stage, stack), "a job that is met in every stage", 120)

    ended = stack.ends(job_id)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 1)
    assert stack.stored_bytes(job_id) == undisturbed_through[Stage.VALIDATION]


def cut_in_every_stage(stack: Stack) -> UUID | None:
    """Return the job whose connections were cut; None where it left a stage before it was seen."""
    job_id = stack.submit(validated_sweep())
    for stage in Stage:
        wait_for(partial(met_or_ended, stack, job_id, stage), f"{stage}")
        if stack.ended(job_id):
            return None
        for pid in stack.backends():
            stack.connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
    return job_id


def met_or_ended(stack: Stack, job_id: UUID, stage: Stage) -> Job | None:
    return stack.in_stage(job_id, stage) or stack.ended(job_id)


def test_an_owner_whose_connections_say_nothing_goes_on_with_others(
    stack: Stack, undisturbed: Rows
) -> None:
    stack.workers(1)
    job_id = stack.submit(sweep())
    stack.reaches(job_id, Stage.STAGE_B)
    silent = stack.backends()
    for pid in silent:
        os.kill(pid, signal.SIGSTOP)
    try:
        ended = stack.ends(job_id)
    finally:
        for pid in silent:
            os.kill(pid, signal.SIGCONT)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 1)
    assert stack.stored_bytes(job_id) == undisturbed


@pytest.mark.parametrize("hurt", [PostgresProxy.blackhole, PostgresProxy.swallow_first])
def test_an_owner_who_gets_no_answers_stops_by_its_deadline(
    stack: Stack,
    undisturbed: Rows,
    network: PostgresProxy,
    hurt: Callable[[PostgresProxy], None],
) -> None:
    with stack.only({"STRATEGY_PG_DSN": network.dsn}) as cut_off:
        job, child = stack.caught(sweep(), Stage.STAGE_B)
        job_id = job.job_id

        hurt(network)

        gone([child], seconds=30)
        cut_off.logged("event=lease_lost", seconds=30)
        successor = stack.worker()
        ended = stack.ends(job_id)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 2)
    assert stack.stored_bytes(job_id) == undisturbed
    successor.kill()


def test_a_role_that_may_have_one_connection_only_keeps_its_job(
    stack: Stack, undisturbed: Rows
) -> None:
    conn, role = stack.connection, f"limited_{stack.mark}"
    conn.execute(f"CREATE ROLE {role} LOGIN")
    conn.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    stack.workers(0)
    worker = stack.worker(STRATEGY_PG_DSN=f"{stack.dsn} user={role}")
    try:
        worker.logged("event=ready")
        job, child = stack.caught(sweep(), Stage.STAGE_B)
        job_id = job.job_id
        conn.execute(f"ALTER ROLE {role} CONNECTION LIMIT 1")
        for pid in stack.backends():
            conn.execute("SELECT pg_terminate_backend(%s)", (pid,))
        limited_since = time.monotonic()
        wait_for(
            lambda: (
                "too many connections for role" in worker.text()
                and time.monotonic() > limited_since + 2 * LEASE_SECONDS
            ),
            "more than a lease with one connection",
            every=0.05,
        )
        conn.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")
        child.resume()
        ended = stack.ends(job_id)
    finally:
        worker.kill()
        conn.execute(f"DROP OWNED BY {role}")
        conn.execute(f"DROP ROLE {role}")
    assert (ended.state, ended.attempt, ended.crash_count) == (State.SUCCEEDED, 1, 0)
    assert stack.stored_bytes(job_id) == undisturbed
