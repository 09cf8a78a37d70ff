"""Jobs as users see them: create, get, find, describe, cancel, events, delete old.

Each function belongs into one transaction; `storage.session.Session.run` makes it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from storage import statements
from storage.asking import Ask
from storage.names import folded
from storage.records import Client, Event, EventName, Job, NewJob, State

_SQL = statements.load("jobs")

_ID_DIGITS = 32


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


class Head(NamedTuple):
    """Whose a job is, and how far."""

    job_id: UUID
    user_id: UUID
    state: State


class Ended(NamedTuple):
    """How many jobs of a state, and when the first and the last of them ended."""

    number: int
    first: datetime
    last: datetime


class OfInstrument(NamedTuple):
    """So many jobs of an instrument that are alike; `example` is the id of one.

    The rest is as in their requests: ISO times, the name of the timeframe, bars of the warm-up;
    None where an old request has none.
    """

    state: State
    start: str | None
    end: str | None
    timeframe: str | None
    warmup_bars: int | None
    number: int
    example: str


class Submitted(NamedTuple):
    """The job of a submission; `created` is False for one that was there under its key."""

    job: Job
    created: bool


def create(
    conn: psycopg.Connection[Any], new_job: NewJob, *, max_active: int, client: Client
) -> Submitted:
    """Submit a job, or return the one that was submitted before under the same key.

    `client` is what the user submits it through, for the event. A retry under an idempotency key
    returns its job even when the quota is full. Raises `QuotaExceeded` and `IdempotencyConflict`;
    neither leaves a trace. Belongs into a transaction, which keeps other submissions of the user
    out until it ends.
    """
    values = {
        "user_id": new_job.user_id,
        "name": new_job.name,
        "name_folded": None if new_job.name is None else folded(new_job.name),
        "note": new_job.note,
        "mode": new_job.mode,
        "priority": new_job.priority,
        "idempotency_key": new_job.idempotency_key,
        "submission_hash": new_job.submission_hash,
        "request_json": Jsonb(new_job.request_json),
        "request_hash": new_job.request_hash,
        "engine_params_hash": new_job.engine_params_hash,
        "backtest_runtime_config_hash": new_job.backtest_runtime_config_hash,
        "spec_hash": new_job.spec_hash,
        "spec_payload_json": (
            None if new_job.spec_payload_json is None else Jsonb(new_job.spec_payload_json)
        ),
        "coverage_json": None if new_job.coverage_json is None else Jsonb(new_job.coverage_json),
        "traceparent": new_job.traceparent,
        "client": client,
    }
    with conn.cursor(row_factory=dict_row) as cursor:
        # Submissions of one user are serialised, so that neither check can be outrun.
        cursor.execute(_SQL["lock_user"], values)
        if new_job.idempotency_key is not None:
            row = cursor.execute(_SQL["get_by_idempotency_key"], values).fetchone()
            if row is not None:
                job = Job.of(row)
                if not (new_job.replace_ended and job.state in (State.FAILED, State.CANCELLED)):
                    if not _same_submission(job, new_job):
                        raise IdempotencyConflict(job)
                    return Submitted(job, created=False)
                cursor.execute(_SQL["give_key_up"], {"job_id": job.job_id})
        counted = cursor.execute(_SQL["count_active"], values).fetchone()
        assert counted is not None
        if counted["active"] >= max_active:
            raise QuotaExceeded(counted["active"], max_active)
        row = cursor.execute(_SQL["insert_job"], values).fetchone()
        assert row is not None
        return Submitted(Job.of(row), created=True)


def by_idempotency_key(user_id: UUID, key: str) -> Ask[Job | None]:
    """Read the job that a user submitted under this key."""
    values = {"user_id": user_id, "idempotency_key": key}
    return Ask(_SQL["get_by_idempotency_key"], values, _first, rows=dict_row)


def get(conn: psycopg.Connection[Any], job_id: UUID) -> Job | None:
    """Read one job."""
    return by_id(job_id).of(conn)


def by_id(job_id: UUID) -> Ask[Job | None]:
    """Read one job."""
    return Ask(_SQL["get_job"], {"job_id": job_id}, _first, rows=dict_row)


def head(job_id: UUID) -> Ask[Head | None]:
    """Read whose a job is, and how far."""
    return Ask(
        _SQL["head"],
        {"job_id": job_id},
        lambda rows: Head(job_id, rows[0][0], State(rows[0][1])) if rows else None,
    )


def find(user_id: UUID, prefix: str, *, limit: int) -> Ask[list[Job]]:
    """Read at most `limit` of a user's jobs whose ids begin with `prefix`, by id.

    `prefix` is 1 to 32 hexadecimal digits without dashes.
    """
    values = {
        "user_id": user_id,
        "first": UUID(hex=prefix.ljust(_ID_DIGITS, "0")),
        "last": UUID(hex=prefix.ljust(_ID_DIGITS, "f")),
        "limit": limit,
    }
    return Ask(_SQL["find_jobs"], values, lambda rows: list(map(Job.of, rows)), rows=dict_row)


def alike(user_id: UUID, request_hash: str) -> Ask[UUID | None]:
    """Find the newest job of a user that succeeded with the same request."""
    values = {"user_id": user_id, "request_hash": request_hash}
    return Ask(_SQL["alike"], values, lambda rows: rows[0][0] if rows else None)


def cancel(conn: psycopg.Connection[Any], job_id: UUID, *, client: Client) -> Job | None:
    """Cancel a queued job at once, or ask a running one to stop; return it as it is then.

    Idempotent: a terminal job, and one that was asked before, stay as they are. None when there
    is no such job. `client` is what the user cancels it through, for the event.
    """
    values = {"job_ids": [job_id], "user_id": None, "client": client}
    conn.execute(_SQL["cancel_jobs"], values)
    return get(conn, job_id)


def cancel_many(
    conn: psycopg.Connection[Any], user_id: UUID, job_ids: Collection[UUID], *, client: Client
) -> list[Job]:
    """Cancel those of these jobs that are the user's, as `cancel`; return them by id."""
    values = {"user_id": user_id, "job_ids": list(job_ids)}
    conn.execute(_SQL["cancel_jobs"], values | {"client": client})
    return _all(conn, _SQL["jobs_of_user"], values)


def describe(
    conn: psycopg.Connection[Any],
    user_id: UUID,
    job_id: UUID,
    *,
    changes: Mapping[str, str | None],
) -> Job | None:
    """Set `name`, `note` or both of a user's job, in any state; None when they have no such job.

    What `changes` leaves out stays as it is, None clears. Raises KeyError for another name.
    """
    for key in changes:
        if key not in ("name", "note"):
            raise KeyError(key)
    name = changes.get("name")
    values = {
        "user_id": user_id,
        "job_id": job_id,
        "renames": "name" in changes,
        "name": name,
        "name_folded": None if name is None else folded(name),
        "notes": "note" in changes,
        "note": changes.get("note"),
    }
    return _one(conn, _SQL["describe"], values)


def events(job_id: UUID, *, after: int = 0) -> Ask[list[Event]]:
    """Read the lifecycle of a job, oldest first, from the event that follows `after` on."""
    return Ask(
        _SQL["events_of_job"],
        {"job_id": job_id, "after": after},
        lambda rows: [Event(**(row | {"event": EventName(row["event"])})) for row in rows],
        rows=dict_row,
    )


def of_instrument(market_id: int, symbol: str) -> Ask[list[OfInstrument]]:
    """Ask which jobs there are of an instrument, whoever owns them."""

    def made(rows: list[Any]) -> list[OfInstrument]:
        return [
            OfInstrument(
                State(state), start, end, timeframe, warmup and int(warmup), number, job_id
            )
            for state, start, end, timeframe, warmup, number, job_id in rows
        ]

    values = {"market_id": str(market_id), "symbol": symbol[:64]}
    return Ask(_SQL["of_instrument"], values, made)


def finished_before(*, older_than_days: float) -> Ask[dict[State, Ended]]:
    """Ask what `delete_finished` would delete, in as many batches as that takes."""

    def made(rows: list[Any]) -> dict[State, Ended]:
        return {State(state): Ended(*found) for state, *found in rows}

    return Ask(_SQL["finished_before"], {"days": older_than_days}, made)


def delete_finished(conn: psycopg.Connection[Any], *, older_than_days: float, batch: int) -> int:
    """Delete at most `batch` jobs that ended that long ago, with everything that is theirs.

    Returns how many; 0 also while another connection is deleting.
    """
    values = {"days": older_than_days, "batch": batch}
    return conn.execute(_SQL["delete_finished"], values).rowcount


def _same_submission(job: Job, new_job: NewJob) -> bool:
    # Jobs of programs that know no submission hash are told apart as those programs did.
    if job.submission_hash is None or new_job.submission_hash is None:
        return job.request_hash == new_job.request_hash
    return job.submission_hash == new_job.submission_hash


def _first(rows: list[dict[str, Any]]) -> Job | None:
    return Job.of(rows[0]) if rows else None


def _all(conn: psycopg.Connection[Any], statement: str, values: dict[str, Any]) -> list[Job]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return [Job.of(row) for row in cursor.execute(statement, values)]


def _one(conn: psycopg.Connection[Any], statement: str, values: dict[str, Any]) -> Job | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statement, values).fetchone()
    return None if row is None else Job.of(row)
