"""A paused queue: nothing is dispatched or claimed, everything else goes on."""

import select
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from storage import dispatch, jobs, leases, schema, switches
from storage.records import Client, Due, Stage, State
from storage.switches import Pause
from tests.storage.making import (
    SUCCESSOR,
    claim,
    claimed,
    claimer,
    current,
    expire,
    reclaimed,
    session,
    set_crashes,
    submitted,
    succeed,
    variants,
)

BY = "root@host"


@pytest.fixture
def paused(connection: psycopg.Connection) -> psycopg.Connection:
    """A database in which an operator has paused the queue."""
    assert switches.pause(connection, by=BY, reason="maintenance")
    return connection


@pytest.fixture
def second(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


def mark(conn: psycopg.Connection) -> list[Due]:
    return dispatch.mark_due(conn, limit=100, redispatch_seconds=30)


# --- the switch


def test_a_queue_is_not_paused_until_somebody_pauses_it(connection: psycopg.Connection) -> None:
    assert switches.paused().of(connection) is None


def test_who_paused_when_and_why_is_kept(paused: psycopg.Connection) -> None:
    found = switches.paused().of(paused)
    assert found is not None
    assert (found.by, found.reason) == (BY, "maintenance")
    assert datetime.now(UTC) - found.since < timedelta(minutes=1)


def test_pausing_again_changes_nothing(paused: psycopg.Connection) -> None:
    before = switches.paused().of(paused)
    assert not switches.pause(paused, by="somebody else", reason=None)
    assert switches.paused().of(paused) == before


def test_resuming_twice_changes_nothing_the_second_time(paused: psycopg.Connection) -> None:
    assert switches.resume(paused, by=BY)
    row = paused.execute("SELECT * FROM backtest_switches").fetchall()
    assert not switches.resume(paused, by="somebody else")
    assert paused.execute("SELECT * FROM backtest_switches").fetchall() == row
    assert switches.paused().of(paused) is None


def test_a_second_pause_has_its_own_reason(paused: psycopg.Connection) -> None:
    switches.resume(paused, by=BY)
    assert switches.pause(paused, by="other@host", reason=None)
    found = switches.paused().of(paused)
    assert isinstance(found, Pause)
    assert (found.by, found.reason) == ("other@host", None)


def test_resuming_what_was_never_paused_wakes_nobody(connection: psycopg.Connection) -> None:
    job_id = submitted(connection).job_id
    mark(connection)
    before = current(connection, job_id)
    assert not switches.resume(connection, by=BY)
    assert current(connection, job_id) == before


# --- what stands still


def test_no_job_is_due_while_the_queue_is_paused(paused: psycopg.Connection) -> None:
    waiting = submitted(paused).job_id
    assert mark(paused) == []
    assert dispatch.postpone_waiting(paused, [waiting], redispatch_seconds=30) == 0
    switches.resume(paused, by=BY)
    assert mark(paused) == [Due(waiting, 1)]


def test_a_queued_job_is_not_claimed_while_the_queue_is_paused(
    paused: psycopg.Connection, database: str
) -> None:
    job_id = submitted(paused).job_id
    assert claim(paused, job_id) is None
    assert not leases.claimable(paused, job_id, claimer())
    with session(database) as mine:
        assert leases.claim(mine, job_id, claimer()) is None
    assert current(paused, job_id).state is State.QUEUED
    switches.resume(paused, by=BY)
    assert reclaimed(paused, job_id)


def test_a_job_without_an_owner_is_neither_sent_nor_claimed_again(
    connection: psycopg.Connection,
) -> None:
    crashed, released = claimed(connection), claimed(connection)
    expire(connection, crashed.job_id)
    leases.release(connection, released)
    switches.pause(connection, by=BY, reason=None)
    assert mark(connection) == []
    for lease in (crashed, released):
        assert claim(connection, lease.job_id, locked_by=SUCCESSOR) is None
    switches.resume(connection, by=BY)
    assert {due.job_id for due in mark(connection)} == {crashed.job_id, released.job_id}
    assert reclaimed(connection, crashed.job_id).attempt == 2


def test_a_pause_counts_from_its_commit(
    connection: psycopg.Connection, second: psycopg.Connection
) -> None:
    first, later = submitted(connection).job_id, submitted(connection).job_id
    with second.transaction():
        switches.pause(second, by=BY, reason=None)
        assert reclaimed(connection, first)
    assert claim(connection, later) is None


# --- what goes on


def test_a_running_job_goes_on_to_its_end(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    switches.pause(connection, by=BY, reason=None)
    assert leases.start_stage(connection, lease, Stage.STAGE_A)
    assert leases.progress(connection, lease, Stage.STAGE_A, 1, 2)
    assert leases.renew(connection, lease)
    assert succeed(connection, lease, variants(2, reports=True)) is State.SUCCEEDED


def test_a_lost_answer_of_a_claim_is_recognised_in_a_pause(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    switches.pause(connection, by=BY, reason=None)
    assert leases.recognise(connection, lease.job_id, claimer(lease.locked_by))


def test_cancels_and_the_sweep_go_on(connection: psycopg.Connection) -> None:
    asked, out_of_crashes = claimed(connection), claimed(connection)
    set_crashes(connection, out_of_crashes.job_id, 3)
    switches.pause(connection, by=BY, reason=None)
    queued = submitted(connection).job_id
    assert jobs.cancel(connection, queued, client=Client.CLI)
    assert jobs.cancel(connection, asked.job_id, client=Client.CLI)
    assert current(connection, queued).state is State.CANCELLED
    for lease in (asked, out_of_crashes):
        expire(connection, lease.job_id)
    swept = dispatch.sweep(connection, max_crashes=3)
    assert swept == {State.CANCELLED: 1, State.FAILED: 1}


def test_the_gauges_tell_of_a_pause(connection: psycopg.Connection) -> None:
    assert not dispatch.gauges(connection).paused
    switches.pause(connection, by=BY, reason=None)
    assert dispatch.gauges(connection).paused
    switches.resume(connection, by=BY)
    assert not dispatch.gauges(connection).paused


# --- resuming


def test_jobs_whose_wake_up_was_dropped_in_the_pause_are_due_again_at_once(
    connection: psycopg.Connection,
) -> None:
    sent, owned = submitted(connection).job_id, claimed(connection).job_id
    mark(connection)
    switches.pause(connection, by=BY, reason=None)
    assert claim(connection, sent) is None  # and the message is gone
    switches.resume(connection, by=BY)
    assert mark(connection) == [Due(sent, 2)]
    assert current(connection, owned).next_dispatch_at is None


def test_schedulers_are_notified_when_the_queue_resumes(
    connection: psycopg.Connection, second: psycopg.Connection
) -> None:
    switches.pause(connection, by=BY, reason=None)
    second.execute(f"LISTEN {schema.CHANNEL}")
    switches.resume(connection, by=BY)
    assert select.select([second.fileno()], [], [], 20)[0]
    assert len(list(second.notifies(timeout=20, stop_after=1))) == 1
