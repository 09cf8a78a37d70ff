"""A real queue, and jobs in every state a scheduler can meet."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from scheduler.metrics import Metrics
from scheduler.outages import Outages
from scheduler.stopping import Stop
from storage import jobs, schema
from storage.records import Client, NewJob
from storage.session import Session
from tasks.wake_up import make_broker

Submit = Callable[..., UUID]


@pytest.fixture
def queue(redis_url: str, connection: psycopg.Connection[Any]) -> Iterator[RedisBroker]:
    """The broker on an empty Redis."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    broker = make_broker(redis_url, schema.namespace(connection))
    yield broker
    broker.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def outages() -> Outages:
    return Outages()


@pytest.fixture
def stop() -> Stop:
    """Nobody has asked anything to stop."""
    return Stop()


@pytest.fixture
def session(database: str) -> Iterator[Session]:
    """The session of one duty."""
    session = new_session(database)
    yield session
    session.close()


def new_session(dsn: str) -> Session:
    return Session(dsn, application_name="duty", lock_seconds=5, statement_seconds=20)


@pytest.fixture
def submit(connection: psycopg.Connection[Any]) -> Submit:
    """Submit a job as a user does; columns given by name are then set directly, as SQL."""

    def submit(priority: int = 0, **columns: str) -> UUID:
        new_job = NewJob(
            user_id=uuid4(),
            mode="template",
            request_json={},
            request_hash="0" * 64,
            engine_params_hash="0" * 64,
            backtest_runtime_config_hash="0" * 64,
            priority=priority,
        )
        job = jobs.create(connection, new_job, max_active=10, client=Client.CLI).job
        if columns:
            assignments = ", ".join(f"{name} = {value}" for name, value in columns.items())
            connection.execute(
                f"UPDATE backtest_jobs SET {assignments} WHERE job_id = %s", (job.job_id,)
            )
        return job.job_id

    return submit


def owned(*, lease: str, crash_count: int = 0, **columns: str) -> dict[str, str]:
    """Columns of a job that a worker has claimed; `lease` is an interval from now on."""
    return {
        "state": "'running'",
        "locked_by": "'host-1-00000000'",
        "locked_at": "now()",
        "heartbeat_at": "now()",
        "started_at": "now()",
        "attempt": "1",
        "stage": "'stage_a'",
        "next_dispatch_at": "NULL",
        "updated_at": "now()",
        "lease_expires_at": f"now() + interval '{lease}'",
        "crash_count": str(crash_count),
    } | columns


def ended(*, days_ago: int) -> dict[str, str]:
    """Columns of a job that was cancelled a while ago."""
    return {
        "state": "'cancelled'",
        "finished_at": f"now() - interval '{days_ago} days'",
        "next_dispatch_at": "NULL",
    }
