"""The worker's hold on a job: claim, heartbeat, progress, and the ways it ends.

Every write is guarded by the lease (job, owner, attempt, running, not expired). A write that
finds no such row changes nothing and returns None or False: the lease is lost, and its former
owner must write nothing more about the job. Terminal writes decide under the row lock, where
a requested cancel wins over whatever else was about to be written.
"""

import time
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from storage import statements
from storage.records import Beat, Claimed, Failure, Job, Lease, Stage, State

_SQL = statements.load("leases")

CLAIM_RETRY_SECONDS = 2.0
_CLAIM_RETRY_INTERVAL = 0.05


def claim(
    conn: psycopg.Connection[Any],
    job_id: UUID,
    *,
    locked_by: str,
    lease_seconds: float,
    max_crashes: int,
    engine_version: str,
) -> Claimed | State | None:
    """Take the lease of a queued job, or of a running one whose lease has run out.

    Returns the claimed job; or the terminal state, when instead of being claimed the job was
    ended here (cancel requested, or crashed more than `max_crashes` times); or None when it is
    not to be had, and the message that named it may be dropped. A job that is to be had but whose
    row is locked for the moment is tried for up to 2 s.
    """
    values = {
        "job_id": job_id,
        "locked_by": locked_by,
        "lease_seconds": lease_seconds,
        "max_crashes": max_crashes,
        "engine_version": engine_version,
    }
    deadline = time.monotonic() + CLAIM_RETRY_SECONDS
    while True:
        with conn.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_SQL["claim"], values).fetchone()
        if row is not None:
            break
        if time.monotonic() > deadline or not _claimable(conn, job_id):
            return None
        time.sleep(_CLAIM_RETRY_INTERVAL)
    job = Job.of(row)
    if job.state.terminal:
        return job.state
    lease = Lease(job_id=job_id, locked_by=locked_by, attempt=job.attempt)
    return Claimed(job, lease, previous_owner=row["previous_owner"], crashed=row["crashed"])


def heartbeat(conn: psycopg.Connection[Any], lease: Lease, lease_seconds: float) -> Beat | None:
    """Renew the lease for `lease_seconds` from now; None when it is lost."""
    return _beat(conn, "heartbeat", lease, {"lease_seconds": lease_seconds})


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
    values = lease.guard() | {"written_by_attempt": written_by_attempt}
    return conn.execute(_SQL["resumed_from_shortlist"], values).rowcount == 1


def fail(conn: psycopg.Connection[Any], lease: Lease, failure: Failure) -> State | None:
    """End the job as failed, or as cancelled when that was requested; None when the lease is lost.

    The message is for the user: one short sentence, never a traceback.
    """
    values = {
        "code": str(failure.code),
        "message": failure.message,
        "details": Jsonb(failure.details),
    }
    return _end(conn, "fail", lease, values)


def cancelled(conn: psycopg.Connection[Any], lease: Lease) -> State | None:
    """End the job as cancelled; None when the lease is lost."""
    return _end(conn, "cancelled", lease, {})


def release(conn: psycopg.Connection[Any], lease: Lease) -> bool:
    """Give the job back, to be picked up by someone else at once; no crash is counted.

    False when the lease was lost before.
    """
    return conn.execute(_SQL["release"], lease.guard()).rowcount == 1


def own_end(conn: psycopg.Connection[Any], lease: Lease) -> State | None:
    """Look up how the job ended under this lease; None when it did not end under it.

    For the owner whose COMMIT met an error: it cannot know whether the write took place.
    """
    row = conn.execute(_SQL["own_end"], lease.guard()).fetchone()
    return None if row is None else State(row[0])


def _claimable(conn: psycopg.Connection[Any], job_id: UUID) -> bool:
    row = conn.execute(_SQL["claimable"], {"job_id": job_id}).fetchone()
    return row is not None


def _beat(
    conn: psycopg.Connection[Any], name: str, lease: Lease, values: dict[str, Any]
) -> Beat | None:
    row = conn.execute(_SQL[name], lease.guard() | values).fetchone()
    return None if row is None else Beat(cancel_requested=row[0])


def _end(
    conn: psycopg.Connection[Any], name: str, lease: Lease, values: dict[str, Any]
) -> State | None:
    row = conn.execute(_SQL[name], lease.guard() | values).fetchone()
    return None if row is None else State(row[0])
