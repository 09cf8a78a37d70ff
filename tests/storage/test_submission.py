"""Submitting jobs: idempotency keys, the quota, and many at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import uuid4

import psycopg
import pytest

from storage import jobs
from storage.records import Client, Job, NewJob, State
from storage.session import Session
from tests.storage.making import (
    claimed,
    count,
    current,
    event_names,
    fail,
    new_job,
    reclaimed,
    session,
    submitted,
    succeed,
)


def create(conn: psycopg.Connection, new: NewJob, max_active: int = 9) -> jobs.Submitted:
    with conn.transaction():
        return jobs.create(conn, new, max_active=max_active, client=Client.API)


# --- the same again


def test_the_same_key_returns_the_same_job(connection: psycopg.Connection) -> None:
    wanted = new_job(idempotency_key="once")
    first, created = create(connection, wanted)
    assert created
    assert create(connection, wanted) == (first, False)
    assert count(connection, "backtest_jobs") == 1
    assert event_names(connection, first.job_id) == ["queued"]


def test_a_retry_returns_its_job_even_when_the_quota_is_full(
    connection: psycopg.Connection,
) -> None:
    wanted = new_job(idempotency_key="once")
    first = create(connection, wanted, max_active=1).job
    assert create(connection, wanted, max_active=1) == (first, False)


def test_a_job_is_found_by_its_key_and_its_user(connection: psycopg.Connection) -> None:
    job = submitted(connection, idempotency_key="once")
    assert jobs.by_idempotency_key(job.user_id, "once").of(connection) == job
    assert jobs.by_idempotency_key(job.user_id, "Once").of(connection) is None
    assert jobs.by_idempotency_key(uuid4(), "once").of(connection) is None


def test_the_same_key_of_another_user_is_another_job(connection: psycopg.Connection) -> None:
    first = submitted(connection, idempotency_key="once")
    assert submitted(connection, idempotency_key="once").job_id != first.job_id


# --- what the same is


A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        ({"submission_hash": A}, {"submission_hash": A}),
        # A default has changed since: what was sent has not.
        ({"submission_hash": A}, {"submission_hash": A, "request_hash": "other"}),
        # One of the two comes from a program that knows no hash of what was sent.
        ({}, {}),
        ({}, {"submission_hash": A}),
        ({"submission_hash": A}, {}),
    ],
)
def test_the_same_submission_is_a_retry(
    connection: psycopg.Connection, stored: dict[str, str], sent: dict[str, str]
) -> None:
    first = submitted(connection, idempotency_key="once", **stored)
    again = new_job(user_id=first.user_id, idempotency_key="once", **sent)
    assert create(connection, again) == (first, False)


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        # They come to the same effective request, and are not the same all the same.
        ({"submission_hash": A}, {"submission_hash": B}),
        ({}, {"request_hash": "other"}),
        ({}, {"submission_hash": A, "request_hash": "other"}),
        ({"submission_hash": A}, {"request_hash": "other"}),
    ],
)
def test_another_submission_under_the_same_key_is_a_conflict(
    connection: psycopg.Connection, stored: dict[str, str], sent: dict[str, str]
) -> None:
    first = submitted(connection, idempotency_key="once", **stored)
    other = new_job(user_id=first.user_id, idempotency_key="once", **sent)
    with pytest.raises(jobs.IdempotencyConflict, match=str(first.job_id)) as caught:
        create(connection, other)
    assert caught.value.job == first
    assert count(connection, "backtest_jobs") == count(connection, "backtest_job_events") == 1


# --- in the place of a job that came to nothing


def cancel(conn: psycopg.Connection, job: Job) -> None:
    jobs.cancel(conn, job.job_id, client=Client.CLI)


@pytest.mark.parametrize("sent", [{}, {"request_hash": "other", "submission_hash": A}])
@pytest.mark.parametrize("how", [State.FAILED, State.CANCELLED])
def test_a_job_that_came_to_nothing_gives_its_key_up(
    connection: psycopg.Connection, how: State, sent: dict[str, str]
) -> None:
    job = submitted(connection, idempotency_key="once")
    if how is State.FAILED:
        fail(connection, reclaimed(connection, job.job_id))
    else:
        cancel(connection, job)
    before = current(connection, job.job_id)
    again = new_job(user_id=job.user_id, idempotency_key="once", replace_ended=True, **sent)
    made = create(connection, again)
    assert made.created
    assert (made.job.idempotency_key, made.job.state) == ("once", State.QUEUED)
    after = current(connection, job.job_id)
    changed = {n for n in Job.__slots__ if getattr(after, n) != getattr(before, n)}
    assert (changed, after.idempotency_key) == ({"idempotency_key"}, None)
    assert create(connection, again) == (made.job, False)


def test_without_being_asked_no_job_gives_its_key_up(connection: psycopg.Connection) -> None:
    job = submitted(connection, idempotency_key="once")
    cancel(connection, job)
    again = new_job(user_id=job.user_id, idempotency_key="once")
    assert create(connection, again) == (current(connection, job.job_id), False)


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.SUCCEEDED])
def test_a_job_that_is_or_may_become_something_keeps_its_key(
    connection: psycopg.Connection, state: State
) -> None:
    if state is State.QUEUED:
        job_id = submitted(connection, idempotency_key="once").job_id
    else:
        lease = claimed(connection, idempotency_key="once")
        job_id = lease.job_id
        if state is State.SUCCEEDED:
            succeed(connection, lease, [])
    job = current(connection, job_id)
    assert job.state is state
    again = new_job(user_id=job.user_id, idempotency_key="once", replace_ended=True)
    assert create(connection, again) == (job, False)
    other = new_job(
        user_id=job.user_id, idempotency_key="once", replace_ended=True, request_hash="other"
    )
    with pytest.raises(jobs.IdempotencyConflict):
        create(connection, other)


def test_a_replacement_that_the_quota_refuses_leaves_the_key_where_it_was(
    connection: psycopg.Connection,
) -> None:
    job = submitted(connection, idempotency_key="once")
    cancel(connection, job)
    submitted(connection, user_id=job.user_id)
    again = new_job(user_id=job.user_id, idempotency_key="once", replace_ended=True)
    with pytest.raises(jobs.QuotaExceeded):
        create(connection, again, max_active=1)
    assert current(connection, job.job_id).idempotency_key == "once"


# --- the quota, and many at once


def test_the_quota_counts_active_jobs_of_the_user_only(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    submitted(connection)
    for _ in range(2):
        cancel(connection, submitted(connection, user_id=user_id))
    claimed(connection, user_id=user_id)
    create(connection, new_job(user_id=user_id), max_active=2)
    with pytest.raises(jobs.QuotaExceeded) as caught:
        create(connection, new_job(user_id=user_id), max_active=2)
    assert (caught.value.active, caught.value.limit) == (2, 2)
    assert count(connection, "backtest_jobs") == 5


def together(database: str, wanted: list[NewJob], max_active: int) -> list[object]:
    """Submit all at the same moment, each on a connection of its own."""
    barrier = threading.Barrier(len(wanted))

    def submit(new: NewJob) -> object:
        with session(database) as mine:
            mine.run(lambda conn: conn.execute("SELECT"))
            barrier.wait(timeout=30)
            return attempt(mine, new)

    def attempt(mine: Session, new: NewJob) -> object:
        try:
            return mine.run(
                partial(jobs.create, new_job=new, max_active=max_active, client=Client.API)
            )
        except jobs.QuotaExceeded as error:
            return error

    with ThreadPoolExecutor(len(wanted)) as threads:
        return list(threads.map(submit, wanted))


def made(outcomes: list[object]) -> list[jobs.Submitted]:
    return [outcome for outcome in outcomes if isinstance(outcome, jobs.Submitted)]


def test_simultaneous_submissions_cannot_outrun_the_quota(
    database: str, connection: psycopg.Connection
) -> None:
    user_id = uuid4()
    outcomes = together(database, [new_job(user_id=user_id) for _ in range(40)], max_active=3)
    assert [each.created for each in made(outcomes)] == [True] * 3
    assert count(connection, "backtest_jobs") == 3


def test_simultaneous_retries_make_one_job(database: str, connection: psycopg.Connection) -> None:
    outcomes = made(together(database, [new_job(idempotency_key="once")] * 50, max_active=1))
    assert len(outcomes) == 50
    assert len({each.job.job_id for each in outcomes}) == 1
    assert sum(each.created for each in outcomes) == 1
    assert count(connection, "backtest_jobs") == count(connection, "backtest_job_events") == 1


def test_simultaneous_replacements_make_one_job(
    database: str, connection: psycopg.Connection
) -> None:
    ended = submitted(connection, idempotency_key="once")
    cancel(connection, ended)
    again = new_job(user_id=ended.user_id, idempotency_key="once", replace_ended=True)
    outcomes = made(together(database, [again] * 20, max_active=1))
    assert sum(each.created for each in outcomes) == 1
    (job_id,) = {each.job.job_id for each in outcomes}
    assert job_id != ended.job_id
    assert count(connection, "backtest_jobs") == 2
