"""Idempotency keys: those that callers choose, and those that belong to one variant of a job.

Every variant of a job's grid opens as a job of its own, found again under the key
`variant:<job>:<space>:<index>`. Such a key is good for the request of that variant alone.
"""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.requests import Request

from api.auth import Identity
from api.context import Context
from api.errors import invalid_value
from engine.one_variant import OneVariant, base_variant, variant_by_index
from engine.request import RequestError, complete, read_idempotency_key
from engine.request.words import shown
from storage import jobs

HEADER = "idempotency-key"
RESERVED = "variant:"
SPACES: Mapping[str, Any] = {"base": base_variant, "variant": variant_by_index}

_KEY = re.compile(r"variant:([0-9a-f-]{36}):(base|variant):(0|[1-9][0-9]{0,18})", re.ASCII)


def idempotency_key(request: Request) -> str | None:
    """Return the header of a submission. Raises 422."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    if len(given) > 1:
        raise invalid_value("idempotency_key", "is given twice: give it once")
    return read_idempotency_key(given[0])


def reserved(job_id: UUID, space: str, index: int) -> str:
    """Return the key of a variant."""
    return f"{RESERVED}{job_id}:{space}:{index}"


def requested_variant(
    key: str, who: Identity, document: Any, context: Context
) -> OneVariant | None:
    """Return the variant that a reserved key names; None for a key of the caller's own choice.

    Raises 422 where it names none of the caller's, and where the document is another request.
    """
    if not key.startswith(RESERVED):
        return None
    variant = _named(key, who, context)
    if variant is None:
        raise invalid_value(
            "idempotency_key",
            f"begins with {RESERVED}, which is kept for variants of one's own jobs, and names "
            f"none, got {shown(key)}",
            "choose a key of your own, or take request and key from "
            "/backtests/jobs/{job_id}/variants/",
        )
    wanted, given = (
        complete(one, context.defaults, context.limits) for one in (variant.request, document)
    )
    if wanted != given:
        raise invalid_value(
            "idempotency_key",
            f"{key} is kept for the request of that variant, and this is another one",
            "choose a key of your own",
        )
    return variant


def _named(key: str, who: Identity, context: Context) -> OneVariant | None:
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    try:
        job_id = UUID(match[1])
    except ValueError:
        return None
    job = context.pool.run(lambda conn: jobs.get(conn, job_id), again=True)
    if (
        job is None
        or job.user_id != who.user_id
        or reserved(job_id, match[2], int(match[3])) != key
    ):
        return None
    try:
        found: OneVariant = SPACES[match[2]](job.request_json, int(match[3]))
    except (IndexError, RequestError):
        return None
    return found
