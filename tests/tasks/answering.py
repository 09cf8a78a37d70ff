"""Wake-ups answered in the test's own process: a worker to change, and what came of a job."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

import psycopg

from storage.records import FailureCode, Job, State
from storage.session import Session
from tasks import runner
from tasks.worker import Worker
from tests.faults.conftest import small_sweep
from tests.faults.harness import Stack

Result = TypeVar("Result")


def session_to(dsn: str) -> Session:
    return Session(dsn, application_name="test", lock_seconds=1, statement_seconds=1)


@contextmanager
def answering(
    worker: Worker, answer: Callable[[UUID, Worker], Result], job_id: UUID
) -> Iterator[Future[Result]]:
    """Answer a wake-up in another thread; the worker is told to stop when this is left."""
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(answer, job_id, worker)
        finally:
            worker.stopping.set()


def run(stack: Stack, worker: Worker, document: dict[str, Any] | None = None) -> Job:
    job_id = stack.submit(document or small_sweep())
    runner.run(job_id, worker)
    return stack.job(job_id)


def counted(worker: Worker) -> dict[str, float]:
    """Counters that are not zero."""
    metrics = worker.metrics
    values = {
        "claimed": metrics.claims._value.get(),
        "succeeded": metrics.succeeded._value.get(),
        "cancelled": metrics.cancelled._value.get(),
        "lease_lost": metrics.lease_lost._value.get(),
        "stale": metrics.stale_messages._value.get(),
    } | {str(code): metrics.failed.labels(code)._value.get() for code in FailureCode}
    return {name: value for name, value in values.items() if value}


def failure(job: Job) -> str:
    assert job.state is State.FAILED
    assert job.last_error_json is not None
    assert "Traceback" not in str(job.last_error_json)
    code: str = job.last_error_json["code"]
    return code


def waits_for_a_lock(conn: psycopg.Connection[Any]) -> bool:
    waiting = conn.execute(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'"
    )
    return waiting.fetchone() is not None
