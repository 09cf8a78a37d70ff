"""Deployments that share a Redis do not meet: wake-ups carry the name of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from storage import schema
from storage.records import State
from tasks.wake_up import enqueue, make_broker, waiting
from tests.faults.conftest import small_sweep
from tests.faults.harness import Program, Stack, wait_for
from tests.storage.making import new_database


@contextmanager
def started(stack: Stack, dsn: str, **environ: str) -> Iterator[Program]:
    worker = stack.worker(STRATEGY_PG_DSN=dsn, **({"REDIS_NAMESPACE": ""} | environ))
    try:
        worker.logged("event=ready")
        yield worker
    finally:
        worker.kill()


def wake_up(stack: Stack, namespace: str, job_id: UUID) -> None:
    enqueue(make_broker(stack.redis_url, namespace), job_id)


def count(stack: Stack, namespace: str) -> int:
    return len(waiting(make_broker(stack.redis_url, namespace)).job_ids)


def name_of(dsn: str) -> str:
    with psycopg.connect(dsn) as conn:
        return schema.namespace(conn)


@pytest.fixture
def other(postgres_server: str, migrated_template: str) -> Iterator[str]:
    with new_database(postgres_server, migrated_template) as dsn:
        yield dsn


def test_a_worker_takes_the_wake_ups_of_its_own_database_only(stack: Stack, other: str) -> None:
    mine, theirs = name_of(stack.dsn), name_of(other)
    assert mine != theirs
    job_id = stack.submit(small_sweep())
    with started(stack, stack.dsn) as worker:
        wake_up(stack, theirs, job_id)
        wake_up(stack, mine, uuid4())  # of no job: taken and dropped
        wait_for(lambda: count(stack, mine) == 0, "the own wake-up to be taken", every=0.05)
        wait_for(
            lambda: worker.metric("backtest_job_runner_stale_message_total") == 1,
            "the drop of it",
            every=0.05,
        )
        assert count(stack, theirs) == 1
        assert stack.job(job_id).state is State.QUEUED

        wake_up(stack, mine, job_id)
        stack.ends(job_id)
    stack.flush_redis()


def test_redis_namespace_overrides_the_name_of_the_database(stack: Stack) -> None:
    job_id = stack.submit(small_sweep())
    with started(stack, stack.dsn, REDIS_NAMESPACE="clone"):
        wake_up(stack, "clone", job_id)
        stack.ends(job_id)


def test_a_worker_whose_dsn_leads_to_another_database_ends_with_a_line(
    stack: Stack, postgres_server: str, migrated_template: str
) -> None:
    name = f"own_{uuid4().hex[:12]}"
    template = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
        sql.Identifier(name), sql.Identifier(migrated_template)
    )
    drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
    dsn = make_conninfo(postgres_server, dbname=name)
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(template)
        with started(stack, dsn) as worker:
            before = name_of(dsn)
            admin.execute(drop)
            admin.execute(template)

            wake_up(stack, before, uuid4())

            assert worker.exit_code() == 1
            (line,) = [line for line in worker.text().splitlines() if "database_replaced" in line]
            assert f"began with {before}, now it is {name_of(dsn)}" in line
            assert "Traceback" not in worker.text()
        admin.execute(drop)
