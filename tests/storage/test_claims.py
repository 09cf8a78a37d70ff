"""The claim: who gets a job, what it counts as a crash, and what it recognises as its own."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from storage import faults, leases
from storage.records import Claimed, Claimer, Lease, Stage, State
from tests.network import postgres_proxy
from tests.storage.making import (
    OWNER,
    SUCCESSOR,
    cancelled,
    claim,
    claimed,
    claimer,
    current,
    event_names,
    expire,
    reclaimed,
    session,
    set_crashes,
    submitted,
    succeed,
)
from tests.storage.test_leases import WRITES, remaining

# --- claim


def test_a_claim_writes_the_lease_and_starts_from_nothing(connection: psycopg.Connection) -> None:
    job_id = submitted(connection).job_id
    taken = claim(connection, job_id, lease_seconds=60)
    assert isinstance(taken, Claimed)
    job = taken.job
    assert job == current(connection, job_id)
    assert taken.lease == Lease(job_id, OWNER, 1, 60)
    assert (taken.previous_owner, taken.crashed, taken.reclaimed) == (None, False, False)
    assert (job.state, job.stage, job.attempt, job.crash_count) == ("running", "stage_a", 1, 0)
    assert (job.processed_units, job.total_units, job.progress_updated_at) == (0, 0, None)
    assert (job.locked_by, job.engine_version) == (OWNER, "engine-1")
    assert (job.next_dispatch_at, job.dispatch_count) == (None, 0)
    assert job.started_at == job.locked_at == job.heartbeat_at
    assert job.locked_at is not None
    assert job.lease_expires_at == job.locked_at + timedelta(seconds=60)


def test_a_reclaim_zeroes_progress_and_keeps_the_first_start(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    leases.start_stage(connection, lease, Stage.STAGE_B, 50)
    leases.progress(connection, lease, Stage.STAGE_B, 20, 50)
    before = current(connection, lease.job_id)
    expire(connection, lease.job_id)
    taken = claim(connection, lease.job_id, locked_by=SUCCESSOR)
    assert isinstance(taken, Claimed)
    assert taken.job.started_at == before.started_at
    assert (taken.job.stage, taken.job.processed_units, taken.job.total_units) == ("stage_a", 0, 0)
    assert (taken.previous_owner, taken.crashed, taken.reclaimed) == (OWNER, True, True)
    assert (taken.job.attempt, taken.job.crash_count) == (2, 1)


def test_a_live_lease_cannot_be_claimed(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    assert claim(connection, lease.job_id, locked_by=SUCCESSOR) is None
    assert current(connection, lease.job_id).locked_by == OWNER


@pytest.mark.parametrize("end", ["succeed", "fail", "cancelled"])
def test_a_terminal_job_cannot_be_claimed(connection: psycopg.Connection, end: str) -> None:
    lease = claimed(connection)
    WRITES[end](connection, lease)
    ended = current(connection, lease.job_id)
    assert claim(connection, lease.job_id, locked_by=SUCCESSOR) is None
    assert current(connection, lease.job_id) == ended


def test_an_unknown_job_cannot_be_claimed(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    connection.execute("DELETE FROM backtest_jobs")
    assert claim(connection, lease.job_id) is None


def test_of_many_simultaneous_claims_one_wins(
    database: str, connection: psycopg.Connection
) -> None:
    contenders = 4
    barrier = threading.Barrier(contenders)
    rounds = [submitted(connection).job_id for _ in range(10)]

    def contend(number: int) -> list[object]:
        with psycopg.connect(database, autocommit=True) as conn:
            taken = []
            for job_id in rounds:
                barrier.wait(timeout=20)
                taken.append(claim(conn, job_id, locked_by=f"host-{number}-00000000"))
            return taken

    with ThreadPoolExecutor(contenders) as threads:
        outcomes = list(threads.map(contend, range(contenders)))
    for job_id, taken in zip(rounds, zip(*outcomes, strict=True), strict=True):
        (winner,) = [claim for claim in taken if claim is not None]
        assert isinstance(winner, Claimed)
        assert current(connection, job_id).locked_by == winner.lease.locked_by
        assert event_names(connection, job_id) == ["queued", "claimed"]


@contextmanager
def locked(database: str, job_id: UUID) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database) as holder:
        holder.execute("SELECT FROM backtest_jobs WHERE job_id = %s FOR UPDATE", [job_id])
        yield holder


def test_a_claim_waits_for_a_row_that_is_locked_for_a_moment(
    database: str, connection: psycopg.Connection
) -> None:
    job_id = submitted(connection).job_id
    with locked(database, job_id) as holder, session(database) as mine:
        threading.Timer(0.2, holder.rollback).start()
        assert isinstance(leases.claim(mine, job_id, claimer()), Claimed)


def test_a_claim_gives_up_on_a_row_that_stays_locked(
    database: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "CLAIM_RETRY_SECONDS", 0.1)
    job_id = submitted(connection).job_id
    with locked(database, job_id), session(database) as mine:
        assert leases.claim(mine, job_id, claimer()) is None
    assert current(connection, job_id).state == "queued"


@pytest.mark.parametrize("state", ["live", "terminal", "unknown"])
def test_a_claim_of_what_is_not_to_be_had_is_not_tried_again(
    database: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    lease = claimed(connection)
    if state == "terminal":
        cancelled(connection, lease)
    tries: list[UUID] = []
    once = leases.claim_any

    def counted(conn: psycopg.Connection, job_id: UUID, claimer: Claimer) -> Claimed | State | None:
        tries.append(job_id)
        return once(conn, job_id, claimer)

    monkeypatch.setattr(leases, "claim_any", counted)
    with session(database) as mine:
        wanted = uuid4() if state == "unknown" else lease.job_id
        assert leases.claim(mine, wanted, claimer(SUCCESSOR)) is None
    assert len(tries) == 1


# --- crashes


def test_an_owner_that_vanished_counts_one_crash(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    for crashes in (1, 2, 3):
        expire(connection, lease.job_id)
        reclaimed(connection, lease.job_id, locked_by=f"host-{crashes}-0000000c")
        assert current(connection, lease.job_id).crash_count == crashes


def test_an_owner_that_asks_again_for_its_own_job_has_not_crashed(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    set_crashes(connection, lease.job_id, 3)
    expire(connection, lease.job_id)
    taken = claim(connection, lease.job_id, locked_by=lease.locked_by, max_crashes=3)
    assert isinstance(taken, Claimed)
    assert (taken.job.attempt, taken.job.crash_count, taken.crashed) == (2, 3, False)


# --- a claim whose answer was lost


def test_a_claim_recognises_itself_renewed_and_without_another_event(
    connection: psycopg.Connection,
) -> None:
    job_id = submitted(connection).job_id
    taken = claim(connection, job_id)
    assert isinstance(taken, Claimed)
    found = leases.recognise(connection, job_id, claimer(lease_seconds=90))
    assert found is not None
    assert found.lease == replace(taken.lease, seconds=90)
    assert found.job == current(connection, job_id)
    assert remaining(connection, found.lease) == timedelta(seconds=90)
    assert (found.job.attempt, found.job.crash_count) == (1, 0)
    assert event_names(connection, job_id) == ["queued", "claimed"]


def test_recognising_does_not_shorten_the_lease(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    until = current(connection, lease.job_id).lease_expires_at
    found = leases.recognise(connection, lease.job_id, claimer(lease_seconds=1))
    assert found is not None
    assert found.job.lease_expires_at == until


@pytest.mark.parametrize("case", ["another's", "expired", "released", "ended", "queued"])
def test_what_is_not_a_live_claim_of_its_own_is_not_recognised(
    connection: psycopg.Connection, case: str
) -> None:
    if case == "queued":
        job_id = submitted(connection).job_id
    else:
        lease = claimed(connection)
        job_id = lease.job_id
        match case:
            case "expired":
                expire(connection, job_id)
            case "released":
                leases.release(connection, lease)
            case "ended":
                succeed(connection, lease, [])
    before = current(connection, job_id)
    who = claimer(SUCCESSOR if case == "another's" else OWNER)
    assert leases.recognise(connection, job_id, who) is None
    assert current(connection, job_id) == before


def test_a_claim_whose_answer_was_lost_goes_on_with_its_job(
    database: str, connection: psycopg.Connection
) -> None:
    job_id = submitted(connection).job_id
    with postgres_proxy(database) as network, session(network.dsn) as mine:
        network.drop_answer_of(b"COMMIT", after=b"claimed AS (")
        with pytest.raises(psycopg.Error) as caught:
            leases.claim(mine, job_id, claimer())
        assert faults.passing(caught.value)
        assert network.dropped.is_set()
        found = mine.run(lambda conn: leases.recognise(conn, job_id, claimer()))
        assert found is not None
        assert mine.run(lambda conn: leases.end(conn, found.lease, State.SUCCEEDED))
    assert current(connection, job_id).crash_count == 0
    assert event_names(connection, job_id) == ["queued", "claimed", "succeeded"]


# --- versions of a request


@pytest.mark.parametrize(
    ("request_json", "known", "taken"),
    [
        ({}, 1, True),
        ({"version": None}, 1, True),
        ({"version": 1}, 1, True),
        ({"version": 1.0}, 1, True),
        ({"version": 1}, 2, True),
        ({"version": 2}, 2, True),
        ({"version": 2}, 1, False),
        ({"version": 1.5}, 1, False),
        ({"version": 10**30}, 1, False),
        # No number is no version: it is claimed, and refused when the request is read.
        ({"version": "x"}, 1, True),
        ({"version": [2]}, 1, True),
    ],
    ids=repr,
)
def test_a_claim_takes_only_requests_of_a_version_that_it_knows(
    database: str,
    connection: psycopg.Connection,
    request_json: dict[str, object],
    known: int,
    taken: bool,
) -> None:
    job_id = submitted(connection, request_json=request_json).job_id
    with session(database) as mine:
        outcome = leases.claim(mine, job_id, claimer(request_version=known))
    assert isinstance(outcome, Claimed) is taken
    assert current(connection, job_id).attempt == int(taken)


def test_the_crash_beyond_the_limit_fails_the_job_in_the_claim(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    leases.start_stage(connection, lease, Stage.STAGE_B)
    set_crashes(connection, lease.job_id, 3)
    expire(connection, lease.job_id)
    before = current(connection, lease.job_id)
    assert claim(connection, lease.job_id, locked_by=SUCCESSOR, max_crashes=3) is State.FAILED
    job = current(connection, lease.job_id)
    assert (job.state, job.crash_count, job.attempt) == ("failed", 4, 1)
    assert (job.locked_by, job.lease_expires_at) == (OWNER, None)
    assert job.finished_at is not None
    assert job.last_error == "The job was given up after its worker crashed 4 times."
    assert job.last_error_json is not None
    assert job.last_error_json["code"] == "worker_crashed_repeatedly"
    assert job.last_error_json["message"] == job.last_error
    details = job.last_error_json["details"]
    assert (details["last_owner"], details["stage"]) == (OWNER, "stage_b")
    assert before.heartbeat_at is not None
    (heartbeat,) = connection.execute(
        "SELECT %s::timestamptz", [details["last_heartbeat"]]
    ).fetchone() or (None,)
    assert heartbeat == before.heartbeat_at
    assert event_names(connection, lease.job_id)[-1] == "failed"


def test_the_last_crash_within_the_limit_does_not_fail_the_job(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    set_crashes(connection, lease.job_id, 2)
    expire(connection, lease.job_id)
    assert isinstance(claim(connection, lease.job_id, max_crashes=3), Claimed)


def test_a_released_job_out_of_crashes_is_claimed_all_the_same(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    set_crashes(connection, lease.job_id, 3)
    assert leases.release(connection, lease)
    taken = claim(connection, lease.job_id, locked_by=SUCCESSOR, max_crashes=3)
    assert isinstance(taken, Claimed)
    assert taken.job.crash_count == 3
    assert (taken.previous_owner, taken.crashed) == (OWNER, False)
