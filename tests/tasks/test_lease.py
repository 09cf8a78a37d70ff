"""Ownership: renewed while it can be, and given up in time when it cannot."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import structlog

from storage import jobs, leases
from storage.records import Lease
from storage.session import Session
from tasks.lease import Ownership
from tests.faults.harness import wait_for
from tests.storage.making import claimed, expire

LEASE_SECONDS = 1.5


@contextmanager
def owned(
    lease: Lease,
    dsn: str,
    claim_sent_at: float | None = None,
    *,
    lease_seconds: float = LEASE_SECONDS,
    heartbeat_seconds: float = 0.1,
) -> Iterator[Ownership]:
    with Ownership(
        replace(lease, seconds=lease_seconds),
        session=Session(dsn, application_name="test", lock_seconds=1, statement_seconds=1),
        heartbeat_seconds=heartbeat_seconds,
        claim_sent_at=time.monotonic() if claim_sent_at is None else claim_sent_at,
        log=structlog.get_logger,
    ) as ownership:
        yield ownership


@pytest.fixture
def lease(connection: psycopg.Connection[Any]) -> Lease:
    return claimed(connection)


def test_heartbeats_keep_the_lease(
    connection: psycopg.Connection[Any], database: str, lease: Lease
) -> None:
    def beats() -> bool:
        job = jobs.get(connection, lease.job_id)
        assert job is not None
        assert job.lease_expires_at is not None
        seen.add(job.lease_expires_at)
        return len(seen) > 3

    seen: set[object] = set()
    with owned(lease, database, lease_seconds=lease.seconds) as ownership:
        wait_for(beats, "the lease to be renewed")
        assert not ownership.lost.is_set()


def test_after_a_claim_that_took_long_the_lease_is_renewed_at_once(
    connection: psycopg.Connection[Any], database: str, lease: Lease
) -> None:
    def beaten() -> bool:
        job = jobs.get(connection, lease.job_id)
        return job is not None and job.heartbeat_at != before

    job = jobs.get(connection, lease.job_id)
    assert job is not None
    before = job.heartbeat_at
    sent_at = time.monotonic() - 200
    with owned(lease, database, sent_at, lease_seconds=600, heartbeat_seconds=200):
        wait_for(beaten, "a heartbeat long before a whole pause is over")


def test_a_cancel_is_heard_of(
    connection: psycopg.Connection[Any], database: str, lease: Lease
) -> None:
    with owned(lease, database) as ownership:
        jobs.cancel(connection, lease.job_id, actor="api")
        assert ownership.cancel_requested.wait(10)
        assert not ownership.lost.is_set()


def test_a_lease_that_is_someone_elses_is_lost_at_the_next_beat(
    connection: psycopg.Connection[Any], database: str, lease: Lease
) -> None:
    acted = threading.Event()
    with owned(lease, database) as ownership:
        ownership.on_loss(acted.set)
        expire(connection, lease.job_id)
        assert ownership.lost.wait(10)
    assert acted.is_set()


def test_a_beat_after_the_owners_last_statement_is_no_loss(
    connection: psycopg.Connection[Any], database: str, lease: Lease
) -> None:
    with owned(lease, database) as ownership:
        ownership.close()
        assert leases.release(connection, lease)
        wait_for(lambda: not heart_beats(), "the heart to notice")
        assert not ownership.lost.is_set()


def test_a_lease_that_runs_out_before_the_last_statement_came_through_is_lost(
    lease: Lease,
) -> None:
    with owned(lease, "postgresql://127.0.0.1:1/none") as ownership:
        ownership.close()
        assert ownership.lost.wait(10)


def test_a_lease_that_cannot_be_renewed_is_lost_by_the_clock(lease: Lease) -> None:
    started = time.monotonic()
    acted = threading.Event()
    with owned(lease, "postgresql://127.0.0.1:1/none", started) as ownership:
        ownership.on_loss(acted.set)
        assert ownership.lost.wait(10)
    assert acted.is_set()
    assert time.monotonic() - started >= LEASE_SECONDS


def test_a_claim_that_took_the_whole_lease_is_lost_at_once(database: str, lease: Lease) -> None:
    with owned(lease, database, time.monotonic() - LEASE_SECONDS) as ownership:
        assert ownership.lost.wait(10)
        late = threading.Event()
        ownership.on_loss(late.set)
        assert late.is_set()


def test_its_threads_end_with_it(database: str, lease: Lease) -> None:
    with owned(lease, database) as ownership:
        pass
    assert not ownership.lost.is_set()
    assert not heart_beats()
    assert not any(thread.name == "watchdog" for thread in threading.enumerate())


def heart_beats() -> bool:
    return any(thread.name == "heartbeat" for thread in threading.enumerate())
