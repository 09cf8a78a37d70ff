"""Jobs as users see them: submission, names and notes, events, cancel, retention."""

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest

from storage import jobs, leases
from storage.records import Client
from tests.storage.making import (
    COVERAGE,
    SUCCESSOR,
    UNBOUNDED,
    answered,
    cancelled,
    claimed,
    count,
    current,
    event_names,
    expire,
    new_job,
    reclaimed,
    save_snapshot,
    set_crashes,
    submitted,
    succeed,
    variants,
)
from tests.storage.sharing import planned


def test_a_submitted_job_is_queued_and_due_at_once(connection: psycopg.Connection) -> None:
    wanted = new_job(
        mode="saved",
        priority=-5,
        name="Sweep",
        note="why",
        idempotency_key="k",
        submission_hash="a" * 64,
        traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
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
    (event,) = jobs.events(job.job_id).of(connection)
    assert (event.event, event.actor, event.attempt) == ("queued", "user", 0)
    assert event.details == {"client": "cli"}


def test_an_unknown_job_is_none(connection: psycopg.Connection) -> None:
    assert jobs.get(connection, uuid4()) is None
    assert jobs.cancel(connection, uuid4(), client=Client.CLI) is None
    assert jobs.events(uuid4()).of(connection) == []


def test_a_refused_job_leaves_nothing_behind(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        jobs.create(connection, new_job(mode="saved"), max_active=3, client=Client.CLI)
    assert count(connection, "backtest_jobs") == count(connection, "backtest_job_events") == 0


# --- names and notes


def test_a_name_and_a_note_are_set_one_by_one_and_cleared(connection: psycopg.Connection) -> None:
    job = submitted(connection, name="Sweep", note="why")
    for changes, expected in [
        ({"name": "Other"}, ("Other", "why")),
        ({"note": None}, ("Other", None)),
        ({}, ("Other", None)),
        ({"name": None, "note": "because"}, (None, "because")),
    ]:
        changed = jobs.describe(connection, job.user_id, job.job_id, changes=changes)
        assert changed == current(connection, job.job_id)
        assert (changed.name, changed.note) == expected


@pytest.mark.parametrize("end", ["queued", "running", "succeeded"])
def test_a_job_is_described_in_any_state_and_goes_on(
    connection: psycopg.Connection, end: str
) -> None:
    job = submitted(connection)
    if end != "queued":
        lease = reclaimed(connection, job.job_id)
    if end == "succeeded":
        succeed(connection, lease, [])
    before = current(connection, job.job_id)
    after = jobs.describe(connection, job.user_id, job.job_id, changes={"name": "Sweep"})
    assert after is not None
    changed = {n for n in type(after).__slots__ if getattr(after, n) != getattr(before, n)}
    assert changed == {"name", "updated_at"}
    if end == "running":
        assert leases.renew(connection, lease)


def test_nobody_describes_the_job_of_another_user(connection: psycopg.Connection) -> None:
    job = submitted(connection)
    assert jobs.describe(connection, uuid4(), job.job_id, changes={"name": "x"}) is None
    assert jobs.describe(connection, job.user_id, uuid4(), changes={"name": "x"}) is None
    assert current(connection, job.job_id) == job


def test_only_a_name_and_a_note_describe_a_job(connection: psycopg.Connection) -> None:
    job = submitted(connection)
    with pytest.raises(KeyError, match="state"):
        jobs.describe(connection, job.user_id, job.job_id, changes={"state": "failed"})


# --- events


def test_events_are_read_from_one_on(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    first, second = jobs.events(lease.job_id).of(connection)
    assert jobs.events(lease.job_id, after=first.event_id).of(connection) == [second]
    assert jobs.events(lease.job_id, after=first.event_id - 1).of(connection) == [first, second]
    assert jobs.events(lease.job_id, after=second.event_id).of(connection) == []


# --- cancel


def test_cancelling_a_queued_job_ends_it(connection: psycopg.Connection) -> None:
    job_id = submitted(connection).job_id
    job = jobs.cancel(connection, job_id, client=Client.CLI)
    assert job == current(connection, job_id)
    assert (job.state, job.next_dispatch_at) == ("cancelled", None)
    assert job.finished_at == job.cancel_requested_at == job.updated_at
    event = jobs.events(job_id).of(connection)[-1]
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
    return [
        (str(event.event), event.actor, event.details) for event in jobs.events(job_id).of(conn)
    ]


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


def test_several_jobs_are_cancelled_each_by_its_state(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    queued = submitted(connection, user_id=user_id).job_id
    running = claimed(connection, user_id=user_id).job_id
    ended = claimed(connection, user_id=user_id)
    succeed(connection, ended, [])
    theirs = submitted(connection)
    wanted = [running, theirs.job_id, ended.job_id, uuid4(), queued]
    for _ in range(2):
        found = jobs.cancel_many(connection, user_id, wanted, client=Client.PAGE)
        assert [job.job_id for job in found] == sorted([queued, running, ended.job_id])
        states = {job.job_id: (job.state, job.cancel_requested_at is not None) for job in found}
        assert states == {
            queued: ("cancelled", True),
            running: ("running", True),
            ended.job_id: ("succeeded", False),
        }
    assert current(connection, theirs.job_id) == theirs
    assert events_of(connection, queued)[1:] == [("cancelled", "user", {"client": "page"})]
    assert events_of(connection, running)[2:] == [("cancel_requested", "user", {"client": "page"})]


def test_simultaneous_cancels_of_the_same_jobs_do_not_deadlock(
    database: str, connection: psycopg.Connection
) -> None:
    user_id = uuid4()
    made = [submitted(connection, user_id=user_id).job_id for _ in range(30)]
    barrier = threading.Barrier(4)

    def cancel(number: int) -> int:
        with psycopg.connect(database) as conn:  # one transaction, as everywhere
            barrier.wait(timeout=20)
            order = made if number % 2 else made[::-1]
            return len(jobs.cancel_many(conn, user_id, order, client=Client.API))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(cancel, range(4))) == [30] * 4
    assert count(connection, "backtest_job_events") == 60


# --- retention


def finished(conn: psycopg.Connection, *, days_ago: float) -> UUID:
    lease = claimed(conn)
    save_snapshot(conn, lease, variants(3))
    planned(conn, lease)
    succeed(conn, lease, variants(3, reports=True), answered())
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
        "backtest_job_validation",
        "backtest_job_surfaces",
        "backtest_job_plans",
        "backtest_job_shards",
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
