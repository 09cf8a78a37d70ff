"""Job ids as people give them: whole, or as many digits as tell one job from their others."""

import re
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from starlette.requests import Request

from api.auth import Identity
from api.errors import ApiError, Detail, invalid_value, not_found
from engine.request import Request as Wanted
from engine.request import RequestError, parse
from engine.request.words import shown
from storage import jobs
from storage.connection import Connection
from storage.records import Job

SHORTEST = 4
WHOLE = 32
NAMED = 5


async def job_digits(request: Request) -> str:
    """Return the 4 to 32 hexadecimal digits of `{job_id}`; dashes and case do not matter."""
    return digits(request.path_params["job_id"], "job_id")


JobDigits = Annotated[str, Depends(job_digits)]


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
    if len(wanted) == WHOLE:
        job = jobs.get(conn, UUID(hex=wanted))
        if job is None:
            raise not_found(f"there is no job {UUID(hex=wanted)}")
        if job.user_id != who.user_id:
            raise ApiError(403, "forbidden", f"job {job.job_id} belongs to another user")
        return job
    found = jobs.find(conn, who.user_id, wanted, limit=NAMED + 1)
    if not found:
        raise not_found(f"no job of yours begins with {wanted}")
    if len(found) > 1:
        raise _ambiguous(wanted, found)
    return found[0]


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


def _ambiguous(wanted: str, found: list[Job]) -> ApiError:
    more = " and more" if len(found) > NAMED else ""
    details = [
        Detail("job_id", "ambiguous_id", f"{job.job_id}, created {job.created_at:%Y-%m-%d %H:%M}")
        for job in found[:NAMED]
    ]
    message = f"{wanted} is the beginning of {len(details)} of your jobs{more}: give more digits"
    return ApiError(409, "ambiguous_id", message, details)
