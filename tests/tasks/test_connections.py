"""An owner has two connections; either may be away, and the job goes on by the other."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

import psutil
import psycopg
import pytest
from structlog.testing import capture_logs

from storage.records import EventName, Stage, State
from storage.session import Session
from tasks import claim, runner, supervisor
from tasks.job_writer import JobWriter
from tasks.process import ForkServer
from tasks.worker import Worker
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import Stack, gone, wait_for
from tests.network import PostgresProxy
from tests.tasks.answering import answering, counted, session_to, waits_for_a_lock

# Longer than a busy machine leaves a process without a processor: it once was for two seconds.
LEASE_SECONDS = 5.0
NOBODY_LISTENS = "postgresql://127.0.0.1:1/none"
ENDING = b"processed_units = CASE"
"""In the statement that ends a job, and in none before: on a busy machine there are snapshots."""


@pytest.fixture
def worker(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr(supervisor, "WRITE_SECONDS", 0.1)
    changes = {"lease_seconds": LEASE_SECONDS, "heartbeat_seconds": 0.3}
    return replace(worker, jobs=worker.jobs.model_copy(update=changes))


def held(fork_server: ForkServer) -> psutil.Process:
    """Have the child stand still, so that its job lasts for longer than the lease."""
    assert fork_server._pid is not None
    server = psutil.Process(fork_server._pid)
    (child,) = wait_for(server.children, "the child", every=0.05)
    child.suspend()
    return child


def lease_end(stack: Stack, job_id: UUID) -> datetime:
    ends = stack.job(job_id).lease_expires_at
    assert ends is not None, "the job has no owner any more"
    return ends


def test_a_job_lives_by_its_progress_while_no_heartbeat_can_connect(
    stack: Stack, worker: Worker, fork_server: ForkServer
) -> None:
    job_id = stack.submit(sweep())
    alone = replace(worker, new_session=lambda: session_to(NOBODY_LISTENS))
    with answering(alone, runner.run, job_id):
        stack.claimed(job_id)
        held(fork_server)
        after_the_first = lease_end(stack, job_id) + timedelta(seconds=LEASE_SECONDS)
        wait_for(lambda: lease_end(stack, job_id) > after_the_first, "a lease twice as long")

        assert (stack.job(job_id).state, stack.job(job_id).attempt) == (State.RUNNING, 1)


def test_a_job_lives_by_its_heartbeat_while_nothing_else_can_connect(
    stack: Stack, worker: Worker, network: PostgresProxy, fork_server: ForkServer
) -> None:
    job_id = stack.submit(sweep())
    away = replace(worker, session=session_to(network.dsn))
    with answering(away, runner.run, job_id) as done:
        before = stack.reaches(job_id, Stage.STAGE_B)
        child = held(fork_server)
        network.refuse()
        away_since = monotonic()
        wait_for(lambda: monotonic() > away_since + 1.2 * LEASE_SECONDS, "a lease to run out")
        assert stack.job(job_id).locked_by == before.locked_by
        network.heal()
        child.resume()
        done.result(timeout=60)

    assert (stack.job(job_id).state, stack.job(job_id).attempt) == (State.SUCCEEDED, 1)


def test_the_lease_is_counted_from_before_the_progress_was_sent(
    stack: Stack, worker: Worker
) -> None:
    job_id = stack.submit(sweep())
    patient = Session(stack.dsn, application_name="test", lock_seconds=60, statement_seconds=60)
    taken = claim.take(job_id, replace(worker, session=patient))
    assert taken is not None
    writer = JobWriter(replace(worker, session=patient), *taken)
    with psycopg.connect(stack.dsn) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT 1 FROM backtest_jobs WHERE job_id = %s FOR UPDATE", [job_id])
        written = pool.submit(writer.write_progress)
        wait_for(lambda: waits_for_a_lock(stack.connection), "a write that takes long")
        later = monotonic()
        other.rollback()
        written.result(timeout=30)
    assert taken[1] < writer.ownership.renewed_at < later
    patient.close()


def test_a_lost_lease_ends_the_child_at_once_whatever_its_owner_is_waiting_for(
    stack: Stack, worker: Worker, network: PostgresProxy, fork_server: ForkServer
) -> None:
    dsn = f"{network.dsn} connect_timeout=120"
    owner = replace(worker, session=session_to(dsn), new_session=lambda: session_to(dsn))
    job_id = stack.submit(sweep())
    with answering(owner, runner.run, job_id) as done:
        stack.reaches(job_id, Stage.STAGE_B)
        child = held(fork_server)
        network.blackhole()
        network.cut()  # whoever connects again waits two minutes for a word

        gone([child], seconds=30)
        assert not done.done()
        network.heal()
        done.result(timeout=60)

    assert counted(worker) == {"claimed": 1, "lease_lost": 1}
    assert EventName.SUCCEEDED not in stack.events(job_id)


def test_a_released_job_is_released_once_though_the_answer_is_lost(
    stack: Stack, worker: Worker, network: PostgresProxy, fork_server: ForkServer
) -> None:
    job_id = stack.submit(sweep())
    owner = replace(worker, session=session_to(network.dsn))
    with answering(owner, runner.run, job_id) as done:
        stack.reaches(job_id, Stage.STAGE_B)
        held(fork_server)
        network.drop_answer_of(b"COMMIT", after=b"lease_released")
        worker.stopping.set()
        done.result(timeout=30)

    assert network.dropped.is_set()
    assert stack.events(job_id).count(EventName.LEASE_RELEASED) == 1
    assert stack.job(job_id).locked_by is None
    assert counted(worker) == {"claimed": 1}


def test_a_job_that_was_published_is_known_to_be_though_the_answer_is_lost(
    stack: Stack, worker: Worker, network: PostgresProxy
) -> None:
    job_id = stack.submit(small_sweep())
    network.drop_answer_of(b"COMMIT", after=ENDING)

    with capture_logs() as lines:
        runner.run(job_id, replace(worker, session=session_to(network.dsn)))

    assert network.dropped.is_set()
    assert "error" not in {line["log_level"] for line in lines}
    assert stack.job(job_id).state is State.SUCCEEDED
    assert stack.events(job_id).count(EventName.SUCCEEDED) == 1
    assert counted(worker) == {"claimed": 1, "succeeded": 1}


def test_an_owner_whose_lease_ran_out_before_it_knew_of_its_success_looks_once_more(
    stack: Stack, worker: Worker, network: PostgresProxy
) -> None:
    job_id = stack.submit(small_sweep())
    network.drop_answer_of(b"COMMIT", after=ENDING)
    others = set(threading.enumerate())  # a test before may have left a watchdog

    def fail_until_the_lease_is_lost(_conn: object) -> None:
        threads = set(threading.enumerate()) - others
        watched = any(thread.name == "watchdog" for thread in threads)
        if network.dropped.is_set() and watched:
            raise psycopg.OperationalError("not yet")

    session = Session(
        network.dsn,
        application_name="test",
        lock_seconds=1,
        statement_seconds=1,
        on_connect=fail_until_the_lease_is_lost,
    )
    runner.run(job_id, replace(worker, session=session))

    assert stack.job(job_id).state is State.SUCCEEDED
    assert counted(worker) == {"claimed": 1, "succeeded": 1}
