"""Job ids as people give them: whole, or as many digits as tell one job from their others."""

import re
from typing import TypeVar
from uuid import UUID

from api.auth import Identity
from api.errors import ApiError, Detail, invalid_value, not_found
from engine.request import Request as Wanted
from engine.request import RequestError, parse
from engine.request.words import shown
from storage import jobs
from storage.asking import Ask
from storage.connection import Connection
from storage.jobs import Head
from storage.pool import SessionPool
from storage.records import Job

Owned = TypeVar("Owned", Job, Head)

SHORTEST = 4
WHOLE = 32
NAMED = 5


def digits(text: str, path: str) -> str:
    """Return the digits of an id. Raises 422 naming `path`."""
    found = text.replace("-", "").lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},{WHOLE}}}", found, re.ASCII):
        raise invalid_value(
            path,
            f"must be a job's id or the first {SHORTEST} or more of its hexadecimal digits, "
            f"got {shown(text)}",
        )
    return found


def own(conn: Connection, who: Identity, wanted: str) -> Job:
    """Return the caller's job that these digits name.

    Raises 404 where there is none, 403 for the whole id of somebody else's, 409 where they are the
    beginning of several of the caller's own.
    """
    if len(wanted) < WHOLE:
        return _only(_beginning(who, wanted).of(conn), wanted)
    job_id = UUID(hex=wanted)
    return owned(jobs.get(conn, job_id), job_id, who)


async def named(pool: SessionPool, who: Identity, wanted: str) -> UUID:
    """Return the id that these digits name, for `owned` to look at. Raises as `own` does."""
    if len(wanted) == WHOLE:
        return UUID(hex=wanted)
    (found,) = await pool.ask(_beginning(who, wanted))
    return _only(found, wanted).job_id


def owned(found: Owned | None, job_id: UUID, who: Identity) -> Owned:
    """Return what was found of a job if it is the caller's. Raises 404 and 403."""
    if found is None:
        raise not_found(f"there is no job {job_id}")
    if found.user_id != who.user_id:
        raise ApiError(403, "forbidden", f"job {job_id} belongs to another user")
    return found


def wanted_by(job: Job) -> Wanted:
    """Return what a stored job asked for.

    Raises 409 where this program cannot read it: its indicator may be one of a plugin that is not
    installed here.
    """
    try:
        return parse(job.request_json)
    except RequestError as error:
        raise ApiError(
            409, "conflict", f"the request of job {job.job_id} cannot be read here: {error}"
        ) from None


def _beginning(who: Identity, wanted: str) -> Ask[list[Job]]:
    return jobs.find(who.user_id, wanted, limit=NAMED + 1)


def _only(found: list[Job], wanted: str) -> Job:
    if not found:
        raise not_found(f"no job of yours begins with {wanted}")
    if len(found) > 1:
        raise _ambiguous(wanted, found)
    return found[0]


def _ambiguous(wanted: str, found: list[Job]) -> ApiError:
    more = " and more" if len(found) > NAMED else ""
    details = [
        Detail("job_id", "ambiguous_id", f"{job.job_id}, created {job.created_at:%Y-%m-%d %H:%M}")
        for job in found[:NAMED]
    ]
    message = f"{wanted} is the beginning of {len(details)} of your jobs{more}: give more digits"
    return ApiError(409, "ambiguous_id", message, details)
