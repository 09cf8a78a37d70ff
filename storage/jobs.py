"""Jobs as users see them: create, get, find, list, cancel, events, delete old.

Each function belongs into one transaction; `storage.session.Session.run` makes it.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from storage import statements
from storage.records import Client, Event, EventName, Job, NewJob, State

_SQL = statements.load("jobs")

_ID_DIGITS = 32
_BEFORE_ALL: tuple[str, UUID] = ("infinity", UUID(int=2**128 - 1))


class QuotaExceeded(Exception):
    """The user has `active` jobs queued or running and may have `limit`."""

    def __init__(self, active: int, limit: int) -> None:
        super().__init__(
            f"{active} of your jobs are queued or running and {limit} may be:"
            " wait for one to end, or cancel one"
        )
        self.active = active
        self.limit = limit


class IdempotencyConflict(Exception):
    """The idempotency key belongs to `job`, which was made from another request."""

    def __init__(self, job: Job) -> None:
        super().__init__(
            f"this idempotency key was used for another request (job {job.job_id}):"
            " use a new key for a new request"
        )
        self.job = job


def create(
    conn: psycopg.Connection[Any], new_job: NewJob, *, max_active: int, client: Client
) -> Job:
    """Submit a job, or return the one that was submitted before under the same key.

    `client` is what the user submits it through, for the event. A retry under an idempotency key
    returns its job even when the quota is full. Raises `QuotaExceeded` and `IdempotencyConflict`;
    neither leaves a trace. Belongs into a transaction, which keeps other submissions of the user
    out until it ends.
    """
    values = {
        "user_id": new_job.user_id,
        "mode": new_job.mode,
        "priority": new_job.priority,
        "idempotency_key": new_job.idempotency_key,
        "request_json": Jsonb(new_job.request_json),
        "request_hash": new_job.request_hash,
        "engine_params_hash": new_job.engine_params_hash,
        "backtest_runtime_config_hash": new_job.backtest_runtime_config_hash,
        "spec_hash": new_job.spec_hash,
        "spec_payload_json": (
            None if new_job.spec_payload_json is None else Jsonb(new_job.spec_payload_json)
        ),
        "coverage_json": None if new_job.coverage_json is None else Jsonb(new_job.coverage_json),
        "client": client,
    }
    with conn.cursor(row_factory=dict_row) as cursor:
        # Submissions of one user are serialised, so that neither check can be outrun.
        cursor.execute(_SQL["lock_user"], values)
        if new_job.idempotency_key is not None:
            row = cursor.execute(_SQL["get_by_idempotency_key"], values).fetchone()
            if row is not None:
                job = Job.of(row)
                if job.request_hash != new_job.request_hash:
                    raise IdempotencyConflict(job)
                return job
        counted = cursor.execute(_SQL["count_active"], values).fetchone()
        assert counted is not None
        if counted["active"] >= max_active:
            raise QuotaExceeded(counted["active"], max_active)
        row = cursor.execute(_SQL["insert_job"], values).fetchone()
        assert row is not None
        return Job.of(row)


def get(conn: psycopg.Connection[Any], job_id: UUID) -> Job | None:
    """Read one job."""
    return _one(conn, _SQL["get_job"], {"job_id": job_id})


def find(conn: psycopg.Connection[Any], user_id: UUID, prefix: str, *, limit: int) -> list[Job]:
    """Read at most `limit` of a user's jobs whose ids begin with `prefix`, by id.

    `prefix` is 1 to 32 hexadecimal digits without dashes.
    """
    values = {
        "user_id": user_id,
        "first": UUID(hex=prefix.ljust(_ID_DIGITS, "0")),
        "last": UUID(hex=prefix.ljust(_ID_DIGITS, "f")),
        "limit": limit,
    }
    with conn.cursor(row_factory=dict_row) as cursor:
        return [Job.of(row) for row in cursor.execute(_SQL["find_jobs"], values)]


def list_jobs(
    conn: psycopg.Connection[Any],
    user_id: UUID,
    *,
    state: State | None = None,
    limit: int = 50,
    before: tuple[datetime, UUID] | None = None,
) -> list[Job]:
    """List a user's jobs by `created_at DESC, job_id DESC`.

    `before` is (created_at, job_id) of the last job of the page before.
    """
    created_at, job_id = before or _BEFORE_ALL
    values = {
        "user_id": user_id,
        "state": state,
        "limit": limit,
        "before_created_at": created_at,
        "before_job_id": job_id,
    }
    statement = _SQL["list_jobs" if state is None else "list_jobs_in_state"]
    with conn.cursor(row_factory=dict_row) as cursor:
        return [Job.of(row) for row in cursor.execute(statement, values)]


def cancel(conn: psycopg.Connection[Any], job_id: UUID, *, client: Client) -> Job | None:
    """Cancel a queued job at once, or ask a running one to stop; return it as it is then.

    Idempotent: a terminal job, and one that was asked before, stay as they are. None when there
    is no such job. `client` is what the user cancels it through, for the event.
    """
    conn.execute(_SQL["cancel_job"], {"job_id": job_id, "client": client})
    return get(conn, job_id)


def events(conn: psycopg.Connection[Any], job_id: UUID) -> list[Event]:
    """Read the lifecycle of a job, oldest first."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_SQL["events_of_job"], {"job_id": job_id})
        return [Event(**(row | {"event": EventName(row["event"])})) for row in rows]


def delete_finished(conn: psycopg.Connection[Any], *, older_than_days: float, batch: int) -> int:
    """Delete at most `batch` jobs that ended that long ago, with everything that is theirs.

    Returns how many; 0 also while another connection is deleting.
    """
    values = {"days": older_than_days, "batch": batch}
    return conn.execute(_SQL["delete_finished"], values).rowcount


def _one(conn: psycopg.Connection[Any], statement: str, values: dict[str, Any]) -> Job | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statement, values).fetchone()
    return None if row is None else Job.of(row)
