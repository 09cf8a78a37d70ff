"""Deploys: whoever is told to stop gives its job back at once, and nothing counts as a crash."""

import os
import signal
from collections.abc import Callable
from uuid import UUID

import pytest

from storage.records import EventName, Stage, State
from tests.faults.conftest import sweep, sweep_through
from tests.faults.harness import Program, Stack, gone, owner_pid, wait_for
from tests.network import PostgresProxy


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


PATIENT = {"lease_seconds": 60, "heartbeat_seconds": 15}
EXIT_SECONDS = 30.0


@pytest.mark.parametrize(
    ("stage", "hurt"),
    [
        (Stage.STAGE_A, PostgresProxy.refuse),
        (Stage.STAGE_B, PostgresProxy.blackhole),
        (Stage.STAGE_B, PostgresProxy.swallow_first),
        (Stage.FINALIZING, PostgresProxy.blackhole),
    ],
)
def test_an_owner_that_cannot_release_ends_in_time_and_its_lease_runs_out(
    stack: Stack, network: PostgresProxy, stage: Stage, hurt: Callable[[PostgresProxy], None]
) -> None:
    with stack.only({"STRATEGY_PG_DSN": network.dsn}, **PATIENT) as worker:
        job_id = stack.caught(sweep_through(stage), stage)[0].job_id
        everything = worker.processes()

        hurt(network)
        os.kill(worker.pid, signal.SIGTERM)

        assert worker.exit_code(EXIT_SECONDS) == 0
        gone(everything)
    job = stack.job(job_id)
    assert (job.state, job.attempt) == (State.RUNNING, 1)
    assert EventName.LEASE_RELEASED not in stack.events(job_id)
    _forget(stack, job_id)


@pytest.mark.parametrize("hurt", [PostgresProxy.blackhole, PostgresProxy.swallow_first])
def test_a_worker_that_is_claiming_ends_in_time_and_leaves_the_job(
    stack: Stack, network: PostgresProxy, hurt: Callable[[PostgresProxy], None]
) -> None:
    with stack.only({"STRATEGY_PG_DSN": network.dsn}, **PATIENT) as worker:
        network.cut()
        hurt(network)
        job_id = stack.submit(sweep())
        wait_for(network.links, "the claim to be under way")

        os.kill(worker.pid, signal.SIGTERM)

        assert worker.exit_code(EXIT_SECONDS) == 0
    assert stack.job(job_id).state is State.QUEUED
    _forget(stack, job_id)


def _forget(stack: Stack, job_id: UUID) -> None:
    stack.connection.execute("DELETE FROM backtest_jobs WHERE job_id = %s", (job_id,))
