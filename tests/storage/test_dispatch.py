"""What is due, in which order, how it is marked, and what the sweep ends."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest

from storage import dispatch, jobs, leases
from storage.records import Client, Due, Gauges, Lease, Stage, State
from tests.storage.making import (
    OWNER,
    SUCCESSOR,
    cancelled,
    claim,
    claimed,
    current,
    event_names,
    expire,
    reclaimed,
    set_crashes,
    submitted,
    succeed,
    wait_for_a_blocked_session,
)


def mark(conn: psycopg.Connection, limit: int = 100, redispatch_seconds: float = 30) -> list[Due]:
    return dispatch.mark_due(conn, limit=limit, redispatch_seconds=redispatch_seconds)


def make_due_again(conn: psycopg.Connection) -> None:
    conn.execute(
        "UPDATE backtest_jobs SET next_dispatch_at = now() WHERE next_dispatch_at IS NOT NULL"
    )


def seconds_to_next_wake_up(conn: psycopg.Connection, job_id: UUID) -> float:
    row = conn.execute(
        "SELECT extract(epoch FROM next_dispatch_at - updated_at)::float8"
        " FROM backtest_jobs WHERE job_id = %s",
        [job_id],
    ).fetchone()
    assert row is not None
    return float(row[0])


# --- due and order


def test_a_submitted_job_is_due_once(connection: psycopg.Connection) -> None:
    job_id = submitted(connection).job_id
    assert mark(connection) == [Due(job_id, 1)]
    assert mark(connection) == []
    assert current(connection, job_id).state == "queued"


def test_higher_priority_comes_first_then_the_older_job(connection: psycopg.Connection) -> None:
    ids = [submitted(connection, priority=p).job_id for p in (0, 5, -1, 5, 0)]
    expected = [ids[1], ids[3], ids[0], ids[4], ids[2]]
    assert [due.job_id for due in mark(connection)] == expected


def test_equally_old_jobs_go_by_id(connection: psycopg.Connection) -> None:
    ids = [submitted(connection).job_id for _ in range(5)]
    connection.execute("UPDATE backtest_jobs SET created_at = '2026-01-01Z'")
    assert [due.job_id for due in mark(connection)] == sorted(ids)


def test_a_round_takes_no_more_than_its_limit(connection: psycopg.Connection) -> None:
    ids = [submitted(connection).job_id for _ in range(5)]
    rounds = [[due.job_id for due in mark(connection, limit=2)] for _ in range(4)]
    assert rounds == [ids[:2], ids[2:4], ids[4:], []]


def test_a_round_that_is_too_small_for_all_takes_the_higher_priority(
    connection: psycopg.Connection,
) -> None:
    submitted(connection)
    urgent = submitted(connection, priority=100).job_id
    assert [due.job_id for due in mark(connection, limit=1)] == [urgent]


def test_a_running_job_is_due_when_its_lease_has_run_out(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    assert mark(connection) == []
    expire(connection, lease.job_id)
    assert mark(connection) == [Due(lease.job_id, 1)]
    assert mark(connection) == []


def test_a_released_job_is_due_at_once(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    leases.release(connection, lease)
    assert mark(connection) == [Due(lease.job_id, 1)]


@pytest.mark.parametrize("end", [cancelled, lambda c, lease: succeed(c, lease, [])])
def test_a_terminal_job_is_never_due(connection: psycopg.Connection, end) -> None:
    end(connection, claimed(connection))
    assert mark(connection) == []


def test_rows_held_by_somebody_are_left_for_the_next_round(
    database: str, connection: psycopg.Connection
) -> None:
    held, free = submitted(connection).job_id, submitted(connection).job_id
    with psycopg.connect(database) as other:
        other.execute("SELECT FROM backtest_jobs WHERE job_id = %s FOR UPDATE", [held])
        assert mark(connection) == [Due(free, 1)]
    assert mark(connection) == [Due(held, 1)]


def test_two_schedulers_never_mark_the_same_job(
    database: str, connection: psycopg.Connection
) -> None:
    ids = {submitted(connection).job_id for _ in range(6)}
    with psycopg.connect(database) as other:
        first = {due.job_id for due in mark(other, limit=3)}
        second = {due.job_id for due in mark(connection, limit=10)}
        other.commit()
    assert first | second == ids
    assert not first & second


# --- marks


def test_a_mark_holds_for_the_same_time_however_often_it_was_made(
    connection: psycopg.Connection,
) -> None:
    job_id = submitted(connection).job_id
    waits = []
    for _ in range(6):
        make_due_again(connection)
        mark(connection, redispatch_seconds=5)
        waits.append(seconds_to_next_wake_up(connection, job_id))
    assert waits == [5] * 6
    assert current(connection, job_id).dispatch_count == 6


def test_a_job_whose_wake_up_waits_in_the_broker_is_not_marked(
    connection: psycopg.Connection,
) -> None:
    first, second = submitted(connection).job_id, submitted(connection).job_id
    dues = dispatch.mark_due(connection, limit=1, redispatch_seconds=30, waiting=[first])
    assert dues == [Due(second, 1)]


def test_a_due_job_whose_wake_up_waits_is_put_off_without_a_mark(
    connection: psycopg.Connection,
) -> None:
    ids = [submitted(connection).job_id for _ in range(3)]
    expired = claimed(connection).job_id
    expire(connection, expired)
    waiting = [ids[0], expired, uuid4()]
    assert dispatch.postpone_waiting(connection, waiting, redispatch_seconds=7) == 2
    for job_id in (ids[0], expired):
        assert seconds_to_next_wake_up(connection, job_id) == 7
        assert current(connection, job_id).dispatch_count == 0
    assert {due.job_id for due in mark(connection)} == set(ids[1:])


def test_what_is_not_due_is_not_put_off(connection: psycopg.Connection) -> None:
    marked = submitted(connection).job_id
    mark(connection, redispatch_seconds=30)
    alive = claimed(connection).job_id
    ended = claimed(connection)
    cancelled(connection, ended)
    waiting = [marked, alive, ended.job_id]
    before = [current(connection, job_id) for job_id in waiting]
    assert dispatch.postpone_waiting(connection, waiting, redispatch_seconds=90) == 0
    assert [current(connection, job_id) for job_id in waiting] == before


def test_a_job_that_somebody_holds_is_put_off_in_a_later_round(
    database: str, connection: psycopg.Connection
) -> None:
    job_id = submitted(connection).job_id
    with psycopg.connect(database) as other:
        other.execute("SELECT FROM backtest_jobs WHERE job_id = %s FOR UPDATE", [job_id])
        assert dispatch.postpone_waiting(connection, [job_id], redispatch_seconds=7) == 0


def test_a_claim_takes_the_mark_away(connection: psycopg.Connection) -> None:
    job_id = submitted(connection).job_id
    mark(connection)
    reclaimed(connection, job_id)
    job = current(connection, job_id)
    assert (job.next_dispatch_at, job.dispatch_count) == (None, 0)


def test_an_unmarked_job_is_due_at_once(connection: psycopg.Connection) -> None:
    ids = [submitted(connection).job_id for _ in range(3)]
    dues = mark(connection)
    assert dispatch.unmark(connection, dues[1:]) == 2
    assert mark(connection) == [Due(job_id, 2) for job_id in ids[1:]]


def test_unmarking_nothing_is_harmless(connection: psycopg.Connection) -> None:
    assert dispatch.unmark(connection, []) == 0


def test_a_job_claimed_since_is_not_unmarked(connection: psycopg.Connection) -> None:
    job_id = submitted(connection).job_id
    dues = mark(connection)
    reclaimed(connection, job_id)
    assert dispatch.unmark(connection, dues) == 0
    assert current(connection, job_id).next_dispatch_at is None


def test_a_job_marked_again_since_is_not_unmarked(connection: psycopg.Connection) -> None:
    submitted(connection)
    dues = mark(connection)
    make_due_again(connection)
    mark(connection)
    assert dispatch.unmark(connection, dues) == 0
    assert mark(connection) == []


def test_a_job_that_is_due_again_is_not_unmarked(connection: psycopg.Connection) -> None:
    job_id = submitted(connection).job_id
    dues = mark(connection)
    make_due_again(connection)
    before = current(connection, job_id)
    assert dispatch.unmark(connection, dues) == 0
    assert current(connection, job_id) == before


def test_a_job_cancelled_since_is_not_unmarked(connection: psycopg.Connection) -> None:
    job_id = submitted(connection).job_id
    dues = mark(connection)
    jobs.cancel(connection, job_id, client=Client.CLI)
    assert dispatch.unmark(connection, dues) == 0


# --- sweep


def test_the_sweep_fails_a_job_out_of_crashes(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    leases.start_stage(connection, lease, Stage.STAGE_B)
    set_crashes(connection, lease.job_id, 3)
    expire(connection, lease.job_id)
    assert dispatch.sweep(connection, max_crashes=3) == Counter({State.FAILED: 1})
    job = current(connection, lease.job_id)
    assert (job.state, job.crash_count, job.locked_by) == ("failed", 4, OWNER)
    assert job.last_error == "The job was given up after its worker crashed 4 times."
    assert job.last_error_json is not None
    assert job.last_error_json["code"] == "worker_crashed_repeatedly"
    details = job.last_error_json["details"]
    assert (details["last_owner"], details["stage"]) == (OWNER, "stage_b")
    assert details["last_heartbeat"]
    event = jobs.events(lease.job_id).of(connection)[-1]
    assert (event.event, event.actor) == ("failed", "scheduler")
    assert event.details["code"] == "worker_crashed_repeatedly"


def test_the_sweep_leaves_the_last_crash_within_the_limit_to_the_claim(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    set_crashes(connection, lease.job_id, 2)
    expire(connection, lease.job_id)
    assert not dispatch.sweep(connection, max_crashes=3)
    assert current(connection, lease.job_id).crash_count == 2


def test_the_sweep_never_fails_a_released_job(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    set_crashes(connection, lease.job_id, 9)
    leases.release(connection, lease)
    assert not dispatch.sweep(connection, max_crashes=3)
    assert current(connection, lease.job_id).state == "running"


def test_the_sweep_leaves_live_leases_alone(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    set_crashes(connection, lease.job_id, 9)
    jobs.cancel(connection, lease.job_id, client=Client.CLI)
    assert not dispatch.sweep(connection, max_crashes=3)
    assert current(connection, lease.job_id).state == "running"


@pytest.mark.parametrize("crashes", [0, 3])
def test_a_requested_cancel_wins_the_sweep(connection: psycopg.Connection, crashes: int) -> None:
    lease = claimed(connection)
    jobs.cancel(connection, lease.job_id, client=Client.CLI)
    set_crashes(connection, lease.job_id, crashes)
    expire(connection, lease.job_id)
    assert dispatch.sweep(connection, max_crashes=3) == Counter({State.CANCELLED: 1})
    assert current(connection, lease.job_id).last_error is None
    assert event_names(connection, lease.job_id)[-1] == "cancelled"


def test_a_released_job_with_a_requested_cancel_is_swept(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    jobs.cancel(connection, lease.job_id, client=Client.CLI)
    leases.release(connection, lease)
    assert dispatch.sweep(connection, max_crashes=3) == Counter({State.CANCELLED: 1})


def test_a_job_that_was_marked_before_its_end_needs_no_wake_up_any_more(
    connection: psycopg.Connection,
) -> None:
    swept, taken = claimed(connection), claimed(connection)
    for lease in (swept, taken):
        set_crashes(connection, lease.job_id, 3)
        expire(connection, lease.job_id)
    assert len(mark(connection)) == 2
    assert claim(connection, taken.job_id, locked_by=SUCCESSOR, max_crashes=3) is State.FAILED
    dispatch.sweep(connection, max_crashes=3)
    for lease in (swept, taken):
        job = current(connection, lease.job_id)
        assert (job.state, job.next_dispatch_at) == ("failed", None)


def test_a_sweep_ends_no_more_than_its_batch(connection: psycopg.Connection) -> None:
    for _ in range(3):
        lease = claimed(connection)
        set_crashes(connection, lease.job_id, 3)
        expire(connection, lease.job_id)
    swept = [dispatch.sweep(connection, max_crashes=3, batch=2).total() for _ in range(3)]
    assert swept == [2, 1, 0]


def test_the_sweep_skips_a_job_that_somebody_holds(
    database: str, connection: psycopg.Connection
) -> None:
    held, free = claimed(connection), claimed(connection)
    for lease in (held, free):
        set_crashes(connection, lease.job_id, 3)
        expire(connection, lease.job_id)
    with psycopg.connect(database) as other:
        other.execute("SELECT FROM backtest_jobs WHERE job_id = %s FOR UPDATE", [held.job_id])
        assert dispatch.sweep(connection, max_crashes=3) == Counter({State.FAILED: 1})
    assert current(connection, held.job_id).state == "running"


# --- gauges


def test_an_empty_queue_has_zero_gauges(connection: psycopg.Connection) -> None:
    assert dispatch.gauges(connection) == Gauges(0, 0, 0.0, 0, 0, 0, False, 0, 0, 0)


def test_gauges_count_active_jobs_and_expired_leases(connection: psycopg.Connection) -> None:
    oldest = submitted(connection).job_id
    submitted(connection)
    claimed(connection)
    expire(connection, claimed(connection).job_id)
    cancelled(connection, claimed(connection))
    connection.execute(
        "UPDATE backtest_jobs SET created_at = now() - interval '1 hour' WHERE job_id = %s",
        [oldest],
    )
    gauges = dispatch.gauges(connection)
    assert (gauges.queued, gauges.running, gauges.expired_leases) == (2, 2, 1)
    assert 3600 <= gauges.oldest_queued_age_seconds < 3700


def test_gauges_count_the_sessions_that_wait_for_a_lock(
    database: str, connection: psycopg.Connection
) -> None:
    lease = claimed(connection)
    with psycopg.connect(database) as holder, ThreadPoolExecutor(1) as threads:
        holder.execute("SELECT FROM backtest_jobs WHERE job_id = %s FOR UPDATE", [lease.job_id])
        with psycopg.connect(database, autocommit=True) as other:
            waiting = threads.submit(leases.renew, other, lease)
            wait_for_a_blocked_session(connection)
            while_it_waits = dispatch.gauges(connection).waiting_sessions
            holder.rollback()
            assert waiting.result(timeout=20)
    assert while_it_waits == 1
    assert dispatch.gauges(connection).waiting_sessions == 0


def finalizing_since(conn: psycopg.Connection, lease: Lease, seconds: int) -> None:
    leases.start_stage(conn, lease, Stage.FINALIZING)
    conn.execute(
        "UPDATE backtest_job_events SET at = now() - make_interval(secs => %s)"
        " WHERE job_id = %s AND event = 'stage_started'",
        [seconds, lease.job_id],
    )


def test_gauges_count_jobs_that_have_been_finalizing_for_more_than_a_minute(
    connection: psycopg.Connection,
) -> None:
    finalizing_since(connection, claimed(connection), 70)
    finalizing_since(connection, claimed(connection), 50)
    ended = claimed(connection)
    finalizing_since(connection, ended, 70)
    succeed(connection, ended, [])
    assert dispatch.gauges(connection).finalizing_overdue == 1


def test_an_earlier_attempt_that_was_finalizing_does_not_count(
    connection: psycopg.Connection,
) -> None:
    first = claimed(connection)
    finalizing_since(connection, first, 300)
    leases.release(connection, first)
    second = reclaimed(connection, first.job_id)
    assert dispatch.gauges(connection).finalizing_overdue == 0
    leases.start_stage(connection, second, Stage.FINALIZING)
    assert dispatch.gauges(connection).finalizing_overdue == 0


def test_a_stage_before_finalizing_may_last(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    leases.start_stage(connection, lease, Stage.STAGE_B)
    connection.execute("UPDATE backtest_job_events SET at = now() - interval '1 hour'")
    leases.start_stage(connection, lease, Stage.FINALIZING)
    assert dispatch.gauges(connection).finalizing_overdue == 0
