"""The worker's hold on a job: claim, renewal, progress, and the ways it ends.

Every write is guarded by the lease (job, owner, attempt, running, not expired), and every one that
does not end it renews it. A write that finds no such row changes nothing and returns None or False:
the lease is lost, and its former owner must write nothing more about the job. The terminal write
decides under the row lock, where a requested cancel wins over whatever else was to be written.

Each function belongs into one transaction; `storage.session.Session.run` makes it. Those that
execute one statement, all but `claim`, may have `run_one` send it as one message.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from storage import statements
from storage.connection import never
from storage.records import Beat, Claimed, Claimer, Failure, Job, Lease, Stage, State
from storage.session import Session

_SQL = statements.load("leases")

CLAIM_RETRY_SECONDS = 2.0
_CLAIM_RETRY_INTERVAL = 0.05


def claim(
    session: Session, job_id: UUID, claimer: Claimer, *, abandon: Callable[[], bool] = never
) -> Claimed | State | None:
    """Take the lease of a job that is to be had, as `try_claim`.

    Where its row is locked for a moment, it is tried again for up to 2 s.
    """
    deadline = time.monotonic() + CLAIM_RETRY_SECONDS
    while True:
        for attempt in (claim_queued, claim_any):
            outcome = session.run_one(
                partial(attempt, job_id=job_id, claimer=claimer), abandon=abandon
            )
            if outcome is not None:
                return outcome
        if time.monotonic() > deadline:
            return None
        if not session.run_one(lambda conn: claimable(conn, job_id, claimer), abandon=abandon):
            return None
        time.sleep(_CLAIM_RETRY_INTERVAL)


def try_claim(
    conn: psycopg.Connection[Any], job_id: UUID, claimer: Claimer
) -> Claimed | State | None:
    """Take the lease of a queued job, or of a running one whose lease has run out.

    Returns the claimed job; or the terminal state, when instead of being claimed the job was
    ended here (cancel requested, or crashed more than `max_crashes` times); or None when it is
    not to be had now.
    """
    return claim_queued(conn, job_id, claimer) or claim_any(conn, job_id, claimer)


def claim_queued(
    conn: psycopg.Connection[Any], job_id: UUID, claimer: Claimer
) -> Claimed | State | None:
    """Take the lease of a job that nobody has had, as `try_claim`."""
    return _claimed(conn, "claim_queued", job_id, claimer)


def claim_any(
    conn: psycopg.Connection[Any], job_id: UUID, claimer: Claimer
) -> Claimed | State | None:
    """Do what `try_claim` does, in one statement."""
    return _claimed(conn, "claim", job_id, claimer)


def _claimed(
    conn: psycopg.Connection[Any], name: str, job_id: UUID, claimer: Claimer
) -> Claimed | State | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SQL[name], claimer.values(job_id)).fetchone()
    if row is None:
        return None
    job = Job.of(row)
    if job.state.terminal:
        return job.state
    lease = Lease(job_id, claimer.locked_by, job.attempt, claimer.lease_seconds)
    return Claimed(
        job, lease, previous_owner=row.get("previous_owner"), crashed=row.get("crashed", False)
    )


def claimable(conn: psycopg.Connection[Any], job_id: UUID, claimer: Claimer) -> bool:
    """Whether a claim may succeed, once nobody else holds the row.

    Where it may not, the scheduler is told to look for another job.
    """
    row = conn.execute(_SQL["claimable"], claimer.values(job_id)).fetchone()
    assert row is not None
    return bool(row[0])


def recognise(conn: psycopg.Connection[Any], job_id: UUID, claimer: Claimer) -> Claimed | None:
    """Return, renewed, a claim of this claimer whose answer was lost; None when there is none.

    For a claim that met an error: it cannot know whether its COMMIT took place.
    """
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SQL["recognise"], claimer.values(job_id)).fetchone()
    if row is None:
        return None
    job = Job.of(row)
    lease = Lease(job_id, claimer.locked_by, job.attempt, claimer.lease_seconds)
    return Claimed(job, lease, previous_owner=None, crashed=False)


def renew(conn: psycopg.Connection[Any], lease: Lease) -> Beat | None:
    """Renew the lease, counted from now; None when it is lost."""
    return _beat(conn, "renew", lease, {})


def progress(
    conn: psycopg.Connection[Any],
    lease: Lease,
    stage: Stage,
    processed: int,
    total: int,
) -> Beat | None:
    """Write how far the stage is, in units; None when the lease is lost."""
    values = {"stage": stage, "processed": processed, "total": total}
    return _beat(conn, "progress", lease, values)


def start_stage(
    conn: psycopg.Connection[Any], lease: Lease, stage: Stage, total: int = 0
) -> Beat | None:
    """Enter a stage with nothing processed and append its event; None when the lease is lost."""
    return _beat(conn, "start_stage", lease, {"stage": stage, "total": total})


def resumed_from_shortlist(
    conn: psycopg.Connection[Any], lease: Lease, *, written_by_attempt: int
) -> bool:
    """Append the event that stage A was skipped; False when the lease is lost."""
    values = lease.values() | {"written_by_attempt": written_by_attempt}
    return conn.execute(_SQL["resumed_from_shortlist"], values).rowcount == 1


def end(
    conn: psycopg.Connection[Any], lease: Lease, state: State, failure: Failure | None = None
) -> State | None:
    """End the job as `state`, or as cancelled when that was requested; None when it is not ours.

    A failed job needs its `failure`, whose message is for the user: one short sentence, never a
    traceback.
    """
    values = lease.values() | {
        "actor": lease.locked_by,
        "state": state,
        "code": None if failure is None else str(failure.code),
        "message": None if failure is None else failure.message,
        "details": None if failure is None else Jsonb(failure.details),
    }
    row = conn.execute(_SQL["end"], values).fetchone()
    return None if row is None else State(row[0])


def release(conn: psycopg.Connection[Any], lease: Lease) -> bool:
    """Give the job back, to be picked up by someone else at once; no crash is counted.

    False when the lease was lost before.
    """
    return conn.execute(_SQL["release"], lease.values()).rowcount == 1


def own_end(conn: psycopg.Connection[Any], lease: Lease) -> State | None:
    """Look up how the job ended under this lease; None when it did not end under it.

    For the owner whose COMMIT met an error: it cannot know whether the write took place.
    """
    row = conn.execute(_SQL["own_end"], lease.values()).fetchone()
    return None if row is None else State(row[0])


def _beat(
    conn: psycopg.Connection[Any], name: str, lease: Lease, values: dict[str, Any]
) -> Beat | None:
    row = conn.execute(_SQL[name], lease.values() | values).fetchone()
    return None if row is None else Beat(cancel_requested=row[0])
