"""The lease: one owner at a time, and whoever lost it writes nothing more."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from storage import jobs, leases, results
from storage.records import Beat, Claimed, Client, Lease, Stage, State
from tests.storage.making import (
    COVERAGE,
    FAILURE,
    OWNER,
    SUCCESSOR,
    answered,
    cancelled,
    claim,
    claimed,
    current,
    event_names,
    expire,
    fail,
    reclaimed,
    save_shortlist,
    save_snapshot,
    set_crashes,
    stored_rows,
    succeed,
    variants,
    wait_for_a_blocked_session,
)

WRITES: dict[str, Callable[[psycopg.Connection, Lease], object]] = {
    "renew": leases.renew,
    "progress": lambda conn, lease: leases.progress(conn, lease, Stage.STAGE_A, 7, 10),
    "start_stage": lambda conn, lease: leases.start_stage(conn, lease, Stage.STAGE_B, 10),
    "resumed": lambda conn, lease: leases.resumed_from_shortlist(conn, lease, written_by_attempt=1),
    "coverage": lambda conn, lease: results.save_coverage(conn, lease, COVERAGE),
    "shortlist": save_shortlist,
    "snapshot": lambda conn, lease: save_snapshot(conn, lease, variants(2)),
    "succeed": lambda conn, lease: succeed(conn, lease, variants(2, reports=True), answered()),
    "fail": fail,
    "cancelled": cancelled,
    "release": leases.release,
}
every_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())


def everything_about(conn: psycopg.Connection, lease: Lease) -> list[object]:
    return [
        conn.execute(f"SELECT * FROM {table} WHERE job_id = %s", [lease.job_id]).fetchall()
        for table in (
            "backtest_jobs",
            "backtest_job_stage_a_shortlist",
            "backtest_job_top_variants",
            "backtest_job_validation",
            "backtest_job_surfaces",
            "backtest_job_events",
        )
    ]


# --- the guard


@every_write
def test_an_owner_whose_lease_ran_out_writes_nothing(
    connection: psycopg.Connection, write: Callable[[psycopg.Connection, Lease], object]
) -> None:
    lease = claimed(connection)
    expire(connection, lease.job_id)
    before = everything_about(connection, lease)
    assert not write(connection, lease)
    assert everything_about(connection, lease) == before


@every_write
def test_a_stale_owner_writes_nothing_over_its_successor(
    connection: psycopg.Connection, write: Callable[[psycopg.Connection, Lease], object]
) -> None:
    stale = claimed(connection)
    expire(connection, stale.job_id)
    reclaimed(connection, stale.job_id)
    before = everything_about(connection, stale)
    assert not write(connection, stale)
    assert everything_about(connection, stale) == before


@every_write
def test_an_earlier_attempt_of_the_same_owner_writes_nothing(
    connection: psycopg.Connection, write: Callable[[psycopg.Connection, Lease], object]
) -> None:
    stale = claimed(connection)
    expire(connection, stale.job_id)
    reclaimed(connection, stale.job_id, locked_by=stale.locked_by)
    before = everything_about(connection, stale)
    assert not write(connection, stale)
    assert everything_about(connection, stale) == before


@every_write
def test_after_the_release_the_former_owner_writes_nothing(
    connection: psycopg.Connection, write: Callable[[psycopg.Connection, Lease], object]
) -> None:
    lease = claimed(connection)
    leases.release(connection, lease)
    before = everything_about(connection, lease)
    assert not write(connection, lease)
    assert everything_about(connection, lease) == before


@every_write
def test_a_terminal_job_is_written_by_nobody(
    connection: psycopg.Connection, write: Callable[[psycopg.Connection, Lease], object]
) -> None:
    lease = claimed(connection)
    assert succeed(connection, lease, variants(1, reports=True)) is State.SUCCEEDED
    before = everything_about(connection, lease)
    assert not write(connection, lease)
    assert everything_about(connection, lease) == before


@every_write
def test_the_owner_writes(
    connection: psycopg.Connection, write: Callable[[psycopg.Connection, Lease], object]
) -> None:
    lease = claimed(connection)
    before = everything_about(connection, lease)
    assert write(connection, lease)
    assert everything_about(connection, lease) != before


def test_a_write_that_waited_for_the_claim_of_a_successor_is_refused(
    database: str, connection: psycopg.Connection
) -> None:
    stale = claimed(connection)
    with psycopg.connect(database) as other, ThreadPoolExecutor(1) as threads:
        expire(other, stale.job_id)
        reclaimed(other, stale.job_id)
        # To the stale owner its lease is alive until the other transaction commits.
        written = threads.submit(fail, connection, stale)
        with psycopg.connect(database, autocommit=True) as observer:
            wait_for_a_blocked_session(observer)
        other.commit()
        assert written.result(timeout=20) is None
    assert current(connection, stale.job_id).locked_by == SUCCESSOR


# --- beats and stages


RENEWALS = ["renew", "progress", "start_stage", "resumed", "coverage", "shortlist", "snapshot"]


def remaining(conn: psycopg.Connection, lease: Lease) -> timedelta:
    """How long the lease lasts after its last beat."""
    job = current(conn, lease.job_id)
    assert job.lease_expires_at is not None
    assert job.heartbeat_at is not None
    return job.lease_expires_at - job.heartbeat_at


@pytest.mark.parametrize("write", RENEWALS)
def test_every_write_renews_the_lease_from_the_database_clock(
    connection: psycopg.Connection, write: str
) -> None:
    lease = replace(claimed(connection), seconds=90)
    before = current(connection, lease.job_id).heartbeat_at
    with connection.transaction():
        WRITES[write](connection, lease)
        row = connection.execute("SELECT now()").fetchone()
    assert row is not None
    assert current(connection, lease.job_id).heartbeat_at == row[0] != before
    assert remaining(connection, lease) == timedelta(seconds=90)


@pytest.mark.parametrize("write", RENEWALS)
def test_no_write_shortens_the_lease(connection: psycopg.Connection, write: str) -> None:
    lease = claimed(connection)
    until = current(connection, lease.job_id).lease_expires_at
    WRITES[write](connection, replace(lease, seconds=1))
    assert current(connection, lease.job_id).lease_expires_at == until


def test_progress_is_stored_without_an_event(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    beat = leases.progress(connection, lease, Stage.STAGE_B, 2**40, 2**41)
    assert beat == Beat(cancel_requested=False)
    job = current(connection, lease.job_id)
    assert (job.stage, job.processed_units, job.total_units) == ("stage_b", 2**40, 2**41)
    assert job.progress_updated_at == job.updated_at
    assert event_names(connection, lease.job_id) == ["queued", "claimed"]


@pytest.mark.parametrize("write", ["renew", "progress", "start_stage"])
def test_a_beat_brings_the_request_to_cancel(connection: psycopg.Connection, write: str) -> None:
    lease = claimed(connection)
    jobs.cancel(connection, lease.job_id, client=Client.CLI)
    assert WRITES[write](connection, lease) == Beat(cancel_requested=True)


def test_a_stage_starts_with_nothing_processed_and_one_event(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    leases.progress(connection, lease, Stage.STAGE_A, 10, 10)
    leases.start_stage(connection, lease, Stage.STAGE_B, 40)
    job = current(connection, lease.job_id)
    assert (job.stage, job.processed_units, job.total_units) == ("stage_b", 0, 40)
    event = jobs.events(lease.job_id).of(connection)[-1]
    assert (event.event, event.details) == ("stage_started", {"stage": "stage_b"})
    assert (event.actor, event.attempt) == (OWNER, 1)


# --- the end


def test_a_failure_stores_its_code_message_and_details(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    assert fail(connection, lease) is State.FAILED
    job = current(connection, lease.job_id)
    assert (job.state, job.last_error) == ("failed", FAILURE.message)
    assert job.last_error_json == {
        "code": "no_market_data",
        "message": FAILURE.message,
        "details": {"symbol": "BTCUSDT"},
    }
    assert (job.locked_by, job.lease_expires_at, job.next_dispatch_at) == (OWNER, None, None)
    assert job.finished_at == job.updated_at


@pytest.mark.parametrize("end", ["succeed", "fail", "cancelled"])
def test_a_requested_cancel_wins_every_terminal_write(
    connection: psycopg.Connection, end: str
) -> None:
    lease = claimed(connection)
    save_snapshot(connection, lease, variants(1))
    jobs.cancel(connection, lease.job_id, client=Client.CLI)
    assert WRITES[end](connection, lease) is State.CANCELLED
    job = current(connection, lease.job_id)
    assert (job.state, job.last_error, job.last_error_json) == ("cancelled", None, None)
    assert [row.report_table_md for row in stored_rows(connection, lease.job_id)] == [None]
    assert event_names(connection, lease.job_id) == [
        "queued",
        "claimed",
        "cancel_requested",
        "cancelled",
    ]


@pytest.mark.parametrize("crashes", [0, 3])
def test_a_requested_cancel_wins_the_claim(connection: psycopg.Connection, crashes: int) -> None:
    lease = claimed(connection)
    jobs.cancel(connection, lease.job_id, client=Client.CLI)
    set_crashes(connection, lease.job_id, crashes)
    expire(connection, lease.job_id)
    taken = claim(connection, lease.job_id, locked_by=SUCCESSOR, max_crashes=3)
    assert taken is State.CANCELLED
    job = current(connection, lease.job_id)
    assert (job.state, job.last_error, job.attempt) == ("cancelled", None, 1)
    assert jobs.events(lease.job_id).of(connection)[-1].actor == SUCCESSOR


def test_a_cancel_that_a_terminal_write_waited_for_wins(
    database: str, connection: psycopg.Connection
) -> None:
    lease = claimed(connection)
    with psycopg.connect(database) as other, ThreadPoolExecutor(1) as threads:
        jobs.cancel(other, lease.job_id, client=Client.CLI)
        ended = threads.submit(succeed, connection, lease, variants(2, reports=True))
        with psycopg.connect(database, autocommit=True) as observer:
            wait_for_a_blocked_session(observer)
        other.commit()
        assert ended.result(timeout=20) is State.CANCELLED
    assert stored_rows(connection, lease.job_id) == []


def test_a_released_job_keeps_its_stage_and_is_free_at_once(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    leases.start_stage(connection, lease, Stage.STAGE_B, 5)
    assert leases.release(connection, lease)
    job = current(connection, lease.job_id)
    assert (job.state, job.locked_by, job.stage) == ("running", None, "stage_b")
    assert job.lease_expires_at == job.updated_at
    assert isinstance(claim(connection, lease.job_id, locked_by=SUCCESSOR), Claimed)


def test_the_owner_finds_its_own_end_and_only_that(connection: psycopg.Connection) -> None:
    first = claimed(connection)
    assert leases.own_end(connection, first) is None
    expire(connection, first.job_id)
    second = reclaimed(connection, first.job_id)
    succeed(connection, second, variants(1, reports=True))
    assert leases.own_end(connection, second) is State.SUCCEEDED
    assert leases.own_end(connection, first) is None
    assert leases.own_end(connection, replace(second, attempt=1)) is None


def test_a_job_that_succeeded_has_processed_everything(connection: psycopg.Connection) -> None:
    done, failed = claimed(connection), claimed(connection)
    for lease in (done, failed):
        leases.progress(connection, lease, Stage.STAGE_B, 3, 9)
    succeed(connection, done, [])
    fail(connection, failed)
    assert current(connection, done.job_id).processed_units == 9
    assert current(connection, failed.job_id).processed_units == 3


# --- events


def test_the_events_tell_a_full_life(connection: psycopg.Connection) -> None:
    first = claimed(connection)
    leases.start_stage(connection, first, Stage.STAGE_A)
    save_shortlist(connection, first)
    leases.start_stage(connection, first, Stage.STAGE_B)
    expire(connection, first.job_id)
    second = reclaimed(connection, first.job_id)
    leases.resumed_from_shortlist(connection, second, written_by_attempt=1)
    leases.start_stage(connection, second, Stage.STAGE_B)
    leases.release(connection, second)
    third = reclaimed(connection, first.job_id, locked_by="host-3-0000000c")
    leases.start_stage(connection, third, Stage.FINALIZING)
    succeed(connection, third, variants(1, reports=True))

    events = jobs.events(first.job_id).of(connection)
    assert [(str(event.event), event.attempt, event.actor) for event in events] == [
        ("queued", 0, "user"),
        ("claimed", 1, OWNER),
        ("stage_started", 1, OWNER),
        ("stage_started", 1, OWNER),
        ("reclaimed", 2, SUCCESSOR),
        ("resumed_from_shortlist", 2, SUCCESSOR),
        ("stage_started", 2, SUCCESSOR),
        ("lease_released", 2, SUCCESSOR),
        ("reclaimed", 3, "host-3-0000000c"),
        ("stage_started", 3, "host-3-0000000c"),
        ("succeeded", 3, "host-3-0000000c"),
    ]
    crashed, released = (event.details for event in events if event.event == "reclaimed")
    assert (crashed["previous_owner"], crashed["reason"]) == (OWNER, "crashed")
    assert (released["previous_owner"], released["reason"]) == (SUCCESSOR, "released")
    assert events[5].details == {"written_by_attempt": 1}
