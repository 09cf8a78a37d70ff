"""Ownership: renewed while it can be, and given up in time when it cannot."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from storage import jobs, leases
from storage.records import Client, Lease
from storage.session import Session
from tasks.lease import Ownership
from tests.faults.harness import wait_for
from tests.storage.making import claimed, expire
from tests.tasks.answering import waits_for_a_lock

LEASE_SECONDS = 1.5
NOBODY_LISTENS = "postgresql://127.0.0.1:1/none"


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
        jobs.cancel(connection, lease.job_id, client=Client.CLI)
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
    with owned(lease, NOBODY_LISTENS) as ownership:
        ownership.close()
        assert ownership.lost.wait(10)


def test_a_lease_that_cannot_be_renewed_is_lost_by_the_clock(lease: Lease) -> None:
    started = time.monotonic()
    acted = threading.Event()
    with owned(lease, NOBODY_LISTENS, started, lease_seconds=4) as ownership:
        ownership.on_loss(acted.set)
        assert ownership.lost.wait(1.9 * 4)
    assert acted.is_set()
    assert time.monotonic() - started >= 4


def test_a_claim_that_took_the_whole_lease_is_lost_at_once(lease: Lease) -> None:
    # Where the database answered, a first beat could come before the watchdog and renew it.
    with owned(lease, NOBODY_LISTENS, time.monotonic() - LEASE_SECONDS) as ownership:
        assert ownership.lost.wait(10)
        late = threading.Event()
        ownership.on_loss(late.set)
        assert late.is_set()


def test_the_lease_is_counted_from_before_the_beat_was_sent(
    connection: psycopg.Connection[Any], database: str, lease: Lease
) -> None:
    with psycopg.connect(database) as other:
        other.execute("SELECT 1 FROM backtest_jobs WHERE job_id = %s FOR UPDATE", [lease.job_id])
        with owned(lease, database, lease_seconds=60) as ownership:
            wait_for(lambda: waits_for_a_lock(connection), "a beat that takes long")
            sent_before, claimed_at = time.monotonic(), ownership.renewed_at
            other.rollback()
            wait_for(lambda: ownership.renewed_at > claimed_at, "the answer")
            assert ownership.renewed_at < sent_before


def test_a_job_that_ends_before_its_first_beat_is_due_needs_no_thread_for_it(
    database: str, lease: Lease
) -> None:
    with owned(lease, database, lease_seconds=600, heartbeat_seconds=200) as ownership:
        assert not any(thread.name == "heartbeat" for thread in threading.enumerate())
        assert not ownership.lost.is_set()


def test_a_lease_that_others_renew_is_kept_without_a_heartbeat(lease: Lease) -> None:
    with owned(lease, NOBODY_LISTENS) as ownership:
        claimed_at = ownership.renewed_at

        def renewed_beyond_the_first_deadline() -> bool:
            assert not ownership.lost.is_set()
            ownership.renewed(time.monotonic())
            return ownership.renewed_at > claimed_at + 1.5 * LEASE_SECONDS

        wait_for(renewed_beyond_the_first_deadline, "time to pass")
        assert ownership.lost.wait(10)


def test_a_renewal_that_was_sent_before_another_takes_nothing_back(lease: Lease) -> None:
    with owned(lease, NOBODY_LISTENS, lease_seconds=60) as ownership:
        later = time.monotonic()
        ownership.renewed(later)
        ownership.renewed(later - 30)
        assert ownership.renewed_at == later


def test_a_heartbeat_goes_on_after_postgres_refused_it_for_good(
    connection: psycopg.Connection[Any], database: str, lease: Lease
) -> None:
    role = f"beats_{lease.job_id.hex}"
    connection.execute(f"CREATE ROLE {role} LOGIN")
    try:
        with (
            capture_logs() as lines,
            owned(lease, f"{database} user={role}", lease_seconds=60) as ownership,
        ):
            wait_for(lambda: events(lines)["heartbeat_broken"] > 1, "two refusals")
            claimed_at = ownership.renewed_at
            connection.execute(f"GRANT SELECT, UPDATE ON backtest_jobs TO {role}")
            wait_for(lambda: ownership.renewed_at > claimed_at, "a beat")
    finally:
        connection.execute(f"DROP OWNED BY {role}")
        connection.execute(f"DROP ROLE {role}")
    assert {line["sqlstate"] for line in lines} == {"42501"}


def test_a_heartbeat_survives_an_error_of_our_own(database: str, lease: Lease) -> None:
    errors = iter([ValueError("a bug"), OSError("no more files"), MemoryError()])

    def fail_at_first(_conn: object) -> None:
        for error in errors:
            raise error

    session = Session(
        database,
        application_name="test",
        lock_seconds=1,
        statement_seconds=1,
        on_connect=fail_at_first,
    )
    claimed_at = time.monotonic()
    with Ownership(
        replace(lease, seconds=60),
        session=session,
        heartbeat_seconds=0.1,
        claim_sent_at=claimed_at,
        log=structlog.get_logger,
    ) as ownership:
        wait_for(lambda: ownership.renewed_at > claimed_at, "a beat")


def test_its_threads_end_with_it(database: str, lease: Lease) -> None:
    with owned(lease, database) as ownership:
        pass
    assert not ownership.lost.is_set()
    assert not heart_beats()
    assert not any(thread.name == "watchdog" for thread in threading.enumerate())


def events(lines: list[EventDict]) -> Counter[str]:
    return Counter(line["event"] for line in lines)


def heart_beats() -> bool:
    return any(thread.name == "heartbeat" for thread in threading.enumerate())
