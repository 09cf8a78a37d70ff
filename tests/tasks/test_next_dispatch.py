"""The scheduler hears when a worker is done with a message; it does not wait for its next look."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from dramatiq.brokers.redis import RedisBroker

from storage import jobs, schema
from storage.records import Client
from tasks import wake_up
from tests.faults.conftest import small_sweep
from tests.faults.harness import Stack, wait_for

NEVER = 3600
WINDOW = 2
PATIENT = {
    "claim_poll_seconds": NEVER,
    "redispatch_seconds": NEVER,
    "dispatch_window": WINDOW,
}


@pytest.fixture
def queue(stack: Stack) -> Iterator[RedisBroker]:
    stack.connection.execute("TRUNCATE backtest_jobs CASCADE")
    stack.flush_redis()
    queue = wake_up.make_broker(stack.redis_url, schema.namespace(stack.connection))
    yield queue
    stack.workers(0)
    queue.close()


@contextmanager
def patient_scheduler(stack: Stack) -> Iterator[None]:
    """A scheduler that looks once, when it starts, and then only when it is told to."""
    config = stack.configure("patient.yaml", **PATIENT)
    scheduler = stack.start("scheduler", ROEHUB_BACKTEST_CONFIG=str(config))
    try:
        scheduler.logged("event=started")
        yield
    finally:
        scheduler.kill()


def all_ended(stack: Stack, job_ids: list[UUID]) -> bool:
    return all(stack.job(job_id).state.terminal for job_id in job_ids)


def test_a_queue_longer_than_the_window_drains_without_a_poll(
    stack: Stack, queue: RedisBroker
) -> None:
    stack.workers(1)
    job_ids = [stack.submit(small_sweep()) for _ in range(12)]
    with patient_scheduler(stack):
        wait_for(lambda: all_ended(stack, job_ids), "the end of all jobs", 60, every=0.05)


def test_dropped_messages_make_room_for_others(stack: Stack, queue: RedisBroker) -> None:
    stack.workers(0)
    with patient_scheduler(stack):
        first = [stack.submit(small_sweep()) for _ in range(WINDOW)]
        wait_for(lambda: wake_up.waiting(queue).job_ids == set(first), "a full window")
        others = [stack.submit(small_sweep()) for _ in range(WINDOW)]
        for job_id in first:
            jobs.cancel(stack.connection, job_id, client=Client.CLI)
        stack.workers(1)
        wait_for(lambda: all_ended(stack, others), "the end of the others", 60, every=0.05)
