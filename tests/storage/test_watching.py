"""Looking at jobs that change, once for all who look."""

from uuid import UUID, uuid4

import psycopg
import pytest

from storage import jobs, leases, watching
from storage.records import Client, Stage, State
from tests.storage.making import (
    claimed,
    current,
    fail,
    reclaimed,
    save_snapshot,
    submitted,
    succeed,
    variants,
)


def events(conn: psycopg.Connection, after: dict[UUID, int]) -> list[tuple[UUID, str]]:
    return [(event.job_id, str(event.event)) for event in watching.look(conn, after, []).events]


def last_event(conn: psycopg.Connection, job_id: UUID) -> int:
    return jobs.events(job_id).of(conn)[-1].event_id


def test_nothing_watched_is_nothing_seen(connection: psycopg.Connection) -> None:
    submitted(connection)
    assert watching.look(connection, {}, []) == ([], [], [])


def test_a_watched_job_says_how_far_it_is(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    leases.start_stage(connection, lease, Stage.STAGE_B, 20)
    leases.progress(connection, lease, Stage.STAGE_B, 7, 20)
    (seen,) = watching.look(connection, {lease.job_id: 0}, []).jobs
    job = current(connection, lease.job_id)
    for name in type(seen).__slots__:
        if name not in ("stage_started_at", "snapshot_at", "sharing"):
            assert getattr(seen, name) == getattr(job, name), name
    assert seen.stage_started_at == jobs.events(lease.job_id).of(connection)[-1].at
    assert seen.snapshot_at is None


def test_a_snapshot_shows_by_its_time(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    times = []
    for _ in range(2):
        assert save_snapshot(connection, lease, variants(2))
        (seen,) = watching.look(connection, {lease.job_id: 0}, []).jobs
        times.append(seen.snapshot_at)
    assert None not in times
    assert times[0] != times[1]


def test_a_job_that_does_not_exist_any_more_is_not_among_the_jobs(
    connection: psycopg.Connection,
) -> None:
    job = submitted(connection)
    seen = watching.look(connection, {job.job_id: 0, uuid4(): 0}, [])
    assert [each.job_id for each in seen.jobs] == [job.job_id]


def test_the_events_after_the_last_one_seen_of_each_job(connection: psycopg.Connection) -> None:
    first, second = claimed(connection).job_id, submitted(connection).job_id
    submitted(connection)
    after = {first: jobs.events(first).of(connection)[0].event_id, second: 0}
    assert events(connection, after) == [(first, "claimed"), (second, "queued")]
    after = {each: last_event(connection, each) for each in (first, second)}
    assert events(connection, after) == []
    jobs.cancel(connection, first, client=Client.API)
    assert events(connection, after) == [(first, "cancel_requested")]


def test_an_event_that_is_committed_late_is_not_missed(
    database: str, connection: psycopg.Connection
) -> None:
    slow, quick = submitted(connection).job_id, submitted(connection).job_id
    seen = {each: last_event(connection, each) for each in (slow, quick)}
    with psycopg.connect(database) as other:
        jobs.cancel(other, slow, client=Client.API)  # takes its event_id now
        jobs.cancel(connection, quick, client=Client.API)
        (news,) = watching.look(connection, seen, []).events
        assert news.job_id == quick
        seen[quick] = news.event_id
        other.commit()
    (late,) = watching.look(connection, seen, []).events
    assert (late.job_id, late.event) == (slow, "cancelled")
    assert late.event_id < seen[quick]


def lines(conn: psycopg.Connection, *user_ids: UUID, within: float = 30) -> list[UUID]:
    seen = watching.look(conn, {}, user_ids, finished_within=within)
    return [line.job_id for line in seen.lines]


def test_the_lines_of_users_are_their_active_jobs_newest_first(
    connection: psycopg.Connection,
) -> None:
    one, two = uuid4(), uuid4()
    queued = submitted(connection, user_id=one, name="Sweep").job_id
    running = claimed(connection, user_id=two).job_id
    submitted(connection)
    assert lines(connection, one, two) == [running, queued]
    assert lines(connection, one) == [queued]
    (line,) = watching.look(connection, {}, [one]).lines
    assert (line.user_id, line.name, line.state) == (one, "Sweep", State.QUEUED)


@pytest.mark.parametrize("how", ["succeeded", "failed", "cancelled"])
def test_a_job_that_ended_a_moment_ago_is_among_the_lines(
    connection: psycopg.Connection, how: str
) -> None:
    user_id = uuid4()
    lease = claimed(connection, user_id=user_id)
    match how:
        case "succeeded":
            succeed(connection, lease, [])
        case "failed":
            fail(connection, lease)
        case _:
            leases.release(connection, lease)
            leases.end(connection, reclaimed(connection, lease.job_id), State.CANCELLED)
    connection.execute(
        "UPDATE backtest_jobs SET finished_at = now() - interval '20 seconds' WHERE user_id = %s",
        [user_id],
    )
    (line,) = watching.look(connection, {}, [user_id]).lines
    assert (line.job_id, line.state) == (lease.job_id, how)
    assert lines(connection, user_id, within=10) == []
    assert lines(connection, user_id, within=60) == [lease.job_id]


def renamed_after_an_hour(conn: psycopg.Connection, user_id: UUID) -> UUID:
    job_id = submitted(conn, user_id=user_id).job_id
    jobs.cancel(conn, job_id, client=Client.API)
    conn.execute(
        "UPDATE backtest_jobs SET updated_at = updated_at - interval '1 hour',"
        " finished_at = finished_at - interval '1 hour' WHERE job_id = %s",
        [job_id],
    )
    jobs.describe(conn, user_id, job_id, changes={"name": "later"})
    return job_id


def test_a_listed_job_that_ended_long_ago_is_among_the_lines_when_it_is_renamed(
    connection: psycopg.Connection,
) -> None:
    user_id = uuid4()
    renamed, other = (renamed_after_an_hour(connection, user_id) for _ in range(2))
    (line,) = watching.look(connection, {}, [user_id], listed=[renamed]).lines
    assert (line.job_id, line.name) == (renamed, "later")
    connection.execute("UPDATE backtest_jobs SET updated_at = now() - interval '40 seconds'")
    assert watching.look(connection, {}, [user_id], listed=[renamed, other]).lines == []


def test_a_listed_job_that_ended_a_moment_ago_is_one_line(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    job_id = submitted(connection, user_id=user_id).job_id
    jobs.cancel(connection, job_id, client=Client.API)
    assert len(watching.look(connection, {}, [user_id], listed=[job_id]).lines) == 1


def test_a_listed_job_of_somebody_else_is_no_line(connection: psycopg.Connection) -> None:
    theirs = renamed_after_an_hour(connection, uuid4())
    assert watching.look(connection, {}, [uuid4()], listed=[theirs]).lines == []


def test_every_event_is_announced_with_its_job(
    database: str, connection: psycopg.Connection
) -> None:
    with psycopg.connect(database, autocommit=True) as listening:
        listening.execute("LISTEN backtest_job_events")
        lease = claimed(connection)
        leases.start_stage(connection, lease, Stage.STAGE_A, 9)
        leases.progress(connection, lease, Stage.STAGE_A, 1, 9)
        leases.renew(connection, lease)
        fail(connection, lease)
        connection.execute("NOTIFY backtest_job_events, 'end'")
        heard: list[str] = []
        while "end" not in heard:
            heard += [n.payload for n in listening.notifies(timeout=20, stop_after=1)]
    number = len(jobs.events(lease.job_id).of(connection))
    assert heard == [str(lease.job_id)] * number + ["end"]
    assert number == 4
