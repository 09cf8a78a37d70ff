"""Submission, idempotency, quota, names and notes, cancel and retention."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID, uuid4

import psycopg
import pytest

from storage import jobs, leases
from storage.records import Client
from tests.storage.making import (
    COVERAGE,
    SUCCESSOR,
    UNBOUNDED,
    cancelled,
    claimed,
    current,
    event_names,
    expire,
    new_job,
    reclaimed,
    save_snapshot,
    session,
    set_crashes,
    submitted,
    succeed,
    variants,
)


def count(conn: psycopg.Connection, table: str) -> int:
    row = conn.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def test_a_submitted_job_is_queued_and_due_at_once(connection: psycopg.Connection) -> None:
    wanted = new_job(
        mode="saved",
        priority=-5,
        name="Sweep",
        note="why",
        idempotency_key="k",
        submission_hash="a" * 64,
        spec_hash="s",
        spec_payload_json={"a": 1.5},
        coverage_json=COVERAGE,
    )
    job = jobs.create(connection, wanted, max_active=3, client=Client.CLI).job
    assert job == jobs.get(connection, job.job_id)
    for name in set(type(wanted).__slots__) - {"replace_ended"}:
        assert getattr(job, name) == getattr(wanted, name)
    assert (job.state, job.stage, job.attempt, job.crash_count) == ("queued", None, 0, 0)
    assert (job.locked_by, job.lease_expires_at, job.engine_version) == (None, None, None)
    assert (job.next_dispatch_at, job.dispatch_count) == (job.created_at, 0)
    (event,) = jobs.events(connection, job.job_id)
    assert (event.event, event.actor, event.attempt) == ("queued", "user", 0)
    assert event.details == {"client": "cli"}


def test_an_unknown_job_is_none(connection: psycopg.Connection) -> None:
    assert jobs.get(connection, uuid4()) is None
    assert jobs.cancel(connection, uuid4(), client=Client.CLI) is None
    assert jobs.events(connection, uuid4()) == []


# --- idempotency and quota


def test_the_same_key_returns_the_same_job(connection: psycopg.Connection) -> None:
    wanted = new_job(idempotency_key="once")
    first = jobs.create(connection, wanted, max_active=3, client=Client.CLI).job
    again = jobs.create(connection, wanted, max_active=3, client=Client.CLI)
    assert again == (first, False)
    assert count(connection, "backtest_jobs") == 1
    assert event_names(connection, first.job_id) == ["queued"]


def test_a_retry_returns_its_job_even_when_the_quota_is_full(
    connection: psycopg.Connection,
) -> None:
    wanted = new_job(idempotency_key="once")
    first, created = jobs.create(connection, wanted, max_active=1, client=Client.CLI)
    assert created
    assert jobs.create(connection, wanted, max_active=1, client=Client.CLI) == (first, False)


def test_another_request_under_the_same_key_is_a_conflict(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    first = submitted(connection, user_id=user_id, idempotency_key="once")
    with pytest.raises(jobs.IdempotencyConflict, match=str(first.job_id)) as caught:
        submitted(connection, user_id=user_id, idempotency_key="once", request_hash="other")
    assert caught.value.job == first
    assert count(connection, "backtest_jobs") == 1


def test_the_same_key_of_another_user_is_another_job(connection: psycopg.Connection) -> None:
    first = submitted(connection, idempotency_key="once")
    assert submitted(connection, idempotency_key="once").job_id != first.job_id


def test_the_quota_counts_active_jobs_of_the_user_only(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    submitted(connection)
    for job_id in [submitted(connection, user_id=user_id).job_id for _ in range(2)]:
        jobs.cancel(connection, job_id, client=Client.CLI)
    claimed(connection, user_id=user_id)
    jobs.create(connection, new_job(user_id=user_id), max_active=2, client=Client.CLI)
    with pytest.raises(jobs.QuotaExceeded) as caught:
        jobs.create(connection, new_job(user_id=user_id), max_active=2, client=Client.CLI)
    assert (caught.value.active, caught.value.limit) == (2, 2)
    assert count(connection, "backtest_jobs") == 5


def together(database: str, wanted: list[object], max_active: int) -> list[object]:
    """Submit all at the same moment, each on a connection of its own."""
    barrier = threading.Barrier(len(wanted))

    def submit(new: object) -> object:
        with session(database) as mine:
            barrier.wait(timeout=20)
            try:
                return mine.run(
                    partial(jobs.create, new_job=new, max_active=max_active, client=Client.CLI)
                )
            except jobs.QuotaExceeded as error:
                return error

    with ThreadPoolExecutor(len(wanted)) as threads:
        return list(threads.map(submit, wanted))


def test_simultaneous_submissions_cannot_outrun_the_quota(
    database: str, connection: psycopg.Connection
) -> None:
    user_id = uuid4()
    outcomes = together(database, [new_job(user_id=user_id) for _ in range(6)], max_active=3)
    assert sum(isinstance(outcome, jobs.Submitted) for outcome in outcomes) == 3
    assert count(connection, "backtest_jobs") == 3


def test_simultaneous_retries_make_one_job(database: str, connection: psycopg.Connection) -> None:
    wanted = new_job(idempotency_key="once")
    outcomes = together(database, [wanted] * 4, max_active=3)
    assert len({made.job.job_id for made in outcomes if isinstance(made, jobs.Submitted)}) == 1
    assert count(connection, "backtest_jobs") == 1


def test_a_refused_job_leaves_nothing_behind(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        jobs.create(connection, new_job(mode="saved"), max_active=3, client=Client.CLI)
    assert count(connection, "backtest_jobs") == count(connection, "backtest_job_events") == 0


# --- cancel


def test_cancelling_a_queued_job_ends_it(connection: psycopg.Connection) -> None:
    job_id = submitted(connection).job_id
    job = jobs.cancel(connection, job_id, client=Client.CLI)
    assert job == current(connection, job_id)
    assert (job.state, job.next_dispatch_at) == ("cancelled", None)
    assert job.finished_at == job.cancel_requested_at == job.updated_at
    event = jobs.events(connection, job_id)[-1]
    assert (event.event, event.actor) == ("cancelled", "user")


@pytest.mark.parametrize("client", list(Client))
def test_what_a_user_does_is_theirs_and_says_through_what(
    connection: psycopg.Connection, client: Client
) -> None:
    job = jobs.create(connection, new_job(), max_active=3, client=client).job
    queued = jobs.create(connection, new_job(), max_active=3, client=client).job
    lease = reclaimed(connection, job.job_id)
    for cancelled_one in (job, queued):
        jobs.cancel(connection, cancelled_one.job_id, client=client)
    cancelled(connection, lease)
    assert events_of(connection, job.job_id) == [
        ("queued", "user", {"client": str(client)}),
        ("claimed", SUCCESSOR, {}),
        ("cancel_requested", "user", {"client": str(client)}),
        ("cancelled", SUCCESSOR, {}),
    ]
    assert events_of(connection, queued.job_id)[1:] == [
        ("cancelled", "user", {"client": str(client)})
    ]


def events_of(conn: psycopg.Connection, job_id: UUID) -> list[tuple[str, str, object]]:
    return [(str(event.event), event.actor, event.details) for event in jobs.events(conn, job_id)]


def test_cancelling_a_running_job_asks_its_owner(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    job = jobs.cancel(connection, lease.job_id, client=Client.CLI)
    assert job == current(connection, lease.job_id)
    assert (job.state, job.finished_at, job.locked_by) == ("running", None, lease.locked_by)
    assert job.cancel_requested_at is not None
    assert event_names(connection, lease.job_id)[-1] == "cancel_requested"


@pytest.mark.parametrize("end", ["cancel", "succeed", "running"])
def test_a_repeated_cancel_changes_nothing(connection: psycopg.Connection, end: str) -> None:
    lease = claimed(connection)
    if end == "succeed":
        succeed(connection, lease, [])
    else:
        jobs.cancel(connection, lease.job_id, client=Client.CLI)
    if end == "cancel":
        cancelled(connection, lease)
    before = current(connection, lease.job_id), event_names(connection, lease.job_id)
    assert jobs.cancel(connection, lease.job_id, client=Client.CLI) == before[0]
    assert event_names(connection, lease.job_id) == before[1]


def test_simultaneous_cancels_leave_one_event(
    database: str, connection: psycopg.Connection
) -> None:
    lease = claimed(connection)
    barrier = threading.Barrier(4)

    def cancel(_: int) -> None:
        with psycopg.connect(database, autocommit=True) as conn:
            barrier.wait(timeout=20)
            jobs.cancel(conn, lease.job_id, client=Client.CLI)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(cancel, range(4)))
    assert event_names(connection, lease.job_id) == ["queued", "claimed", "cancel_requested"]


# --- retention


def finished(conn: psycopg.Connection, *, days_ago: float) -> UUID:
    lease = claimed(conn)
    save_snapshot(conn, lease, variants(3))
    succeed(conn, lease, variants(3, reports=True))
    conn.execute(
        "UPDATE backtest_jobs SET finished_at = now() - %s * interval '1 day' WHERE job_id = %s",
        [days_ago, lease.job_id],
    )
    return lease.job_id


def test_retention_deletes_old_terminal_jobs_only(connection: psycopg.Connection) -> None:
    old, young = finished(connection, days_ago=8), finished(connection, days_ago=6)
    queued, running = submitted(connection).job_id, claimed(connection).job_id
    connection.execute("UPDATE backtest_jobs SET created_at = created_at - interval '1 year'")
    assert jobs.delete_finished(connection, older_than_days=7, batch=100) == 1
    assert jobs.get(connection, old) is None
    for job_id in (young, queued, running):
        assert jobs.get(connection, job_id) is not None


def test_retention_takes_everything_of_a_job_with_it(connection: psycopg.Connection) -> None:
    finished(connection, days_ago=8)
    jobs.delete_finished(connection, older_than_days=7, batch=100)
    for table in (
        "backtest_jobs",
        "backtest_job_stage_a_shortlist",
        "backtest_job_top_variants",
        "backtest_job_events",
    ):
        assert count(connection, table) == 0


def test_retention_works_in_batches_oldest_first(connection: psycopg.Connection) -> None:
    ids = [finished(connection, days_ago=days) for days in (10, 12, 11)]
    deleted = [jobs.delete_finished(connection, older_than_days=7, batch=2) for _ in range(3)]
    assert deleted == [2, 1, 0]
    assert all(jobs.get(connection, job_id) is None for job_id in ids)


def test_only_one_connection_deletes_at_a_time(
    database: str, connection: psycopg.Connection
) -> None:
    for days in (10, 11):
        finished(connection, days_ago=days)
    with psycopg.connect(database) as other:
        assert jobs.delete_finished(other, older_than_days=7, batch=1) == 1
        assert jobs.delete_finished(connection, older_than_days=7, batch=1) == 0
        other.commit()
    assert jobs.delete_finished(connection, older_than_days=7, batch=1) == 1


def test_retention_skips_a_job_that_somebody_holds(
    database: str, connection: psycopg.Connection
) -> None:
    held = finished(connection, days_ago=12)
    finished(connection, days_ago=11)
    with psycopg.connect(database) as other:
        other.execute("SELECT FROM backtest_jobs WHERE job_id = %s FOR UPDATE", [held])
        assert jobs.delete_finished(connection, older_than_days=7, batch=10) == 1
    assert jobs.get(connection, held) is not None


# --- notification


def test_submitting_notifies_when_it_is_committed(
    database: str, connection: psycopg.Connection
) -> None:
    with psycopg.connect(database, autocommit=True) as listening:
        listening.execute("LISTEN backtest_jobs")
        with connection.transaction():
            job = submitted(connection)
            assert list(listening.notifies(timeout=0)) == []
        (notify,) = listening.notifies(timeout=20, stop_after=1)
    assert (notify.channel, notify.payload) == ("backtest_jobs", str(job.job_id))


def test_releasing_notifies_and_other_changes_do_not(
    database: str, connection: psycopg.Connection
) -> None:
    lease = claimed(connection)
    with psycopg.connect(database, autocommit=True) as listening:
        listening.execute("LISTEN backtest_jobs")
        leases.renew(connection, lease)
        jobs.cancel(connection, lease.job_id, client=Client.CLI)
        set_crashes(connection, lease.job_id, 1)
        leases.release(connection, lease)
        expire(connection, lease.job_id)
        # A marker ends the wait: everything before it has arrived when it has.
        connection.execute("NOTIFY backtest_jobs, 'end'")
        seen = []
        while "end" not in seen:
            seen += [n.payload for n in listening.notifies(timeout=20, stop_after=1)]
    assert seen == [str(lease.job_id), "end"]


def test_a_retry_of_a_submission_does_not_notify(
    database: str, connection: psycopg.Connection
) -> None:
    wanted = new_job(idempotency_key="once")
    jobs.create(connection, wanted, max_active=UNBOUNDED, client=Client.CLI)
    with psycopg.connect(database, autocommit=True) as listening:
        listening.execute("LISTEN backtest_jobs")
        jobs.create(connection, wanted, max_active=UNBOUNDED, client=Client.CLI)
        connection.execute("NOTIFY backtest_jobs, 'end'")
        seen = []
        while "end" not in seen:
            seen += [n.payload for n in listening.notifies(timeout=20, stop_after=1)]
    assert seen == ["end"]


def test_times_come_from_the_database_clock(connection: psycopg.Connection) -> None:
    with connection.transaction():
        row = connection.execute("SELECT now()").fetchone()
        assert row is not None
        job = submitted(connection)
    assert job.created_at == job.updated_at == row[0]
