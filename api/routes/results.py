"""What a job has found: its best variants, and any other one of its grid."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from api import schemas, views
from api.answers import answer
from api.auth import SignedIn
from api.calls import call
from api.context import of
from api.errors import invalid_value, not_found
from api.job_ids import JobDigits, own, wanted_by
from api.parameters import Asked, Query, whole, words
from api.variant_keys import SPACES, reserved
from engine.request.words import shown
from storage import results
from storage.connection import Connection
from storage.records import Job, State, TopVariant

router = APIRouter(tags=["results"])

PARTS = ("report", "trades", "equity")
BY_DEFAULT = frozenset(("report", "trades"))
NOTHING = "none"

TOP = Query(
    whole("limit", 1, 300, "How many variants at most.", 50),
    words("include", (*PARTS, NOTHING), "What to add to each: report, trades, equity, or none."),
)


@call(
    router,
    "GET",
    "/backtests/jobs/{job_id}/top",
    answers={200: schemas.TOP},
    errors=(404, 409),
)
def top(
    request: Request, who: SignedIn, wanted: JobDigits, asked: Annotated[Asked, Depends(TOP)]
) -> Response:
    """Return the best variants so far, by rank; reports and trades once the job has succeeded."""
    include = BY_DEFAULT if asked["include"] is None else asked["include"]

    def look(conn: Connection) -> dict[str, Any]:
        job = own(conn, who, wanted)
        parts = include if job.state is State.SUCCEEDED else frozenset()
        flags = {part: part in parts for part in PARTS}
        rows = results.top(conn, job.job_id, asked["limit"], **flags)
        items = [views.variant(row, parts) for row in rows]
        return {"job_id": str(job.job_id), "state": job.state, "items": items}

    return answer(of(request).pool.run(look, again=True))


@call(
    router,
    "GET",
    "/backtests/jobs/{job_id}/variants/{variant_key}",
    answers={200: schemas.VARIANT},
    errors=(404, 409),
)
def variant(request: Request, who: SignedIn, wanted: JobDigits) -> Response:
    """Return one stored variant with its report, trades and equity."""
    key = request.path_params["variant_key"]
    if not re.fullmatch(r"[0-9a-f]{64}", key, re.ASCII):
        raise invalid_value(
            "variant_key", f"must be the 64 hexadecimal digits of a variant_key, got {shown(key)}"
        )

    def look(conn: Connection) -> TopVariant:
        job = own(conn, who, wanted)
        row = results.variant(conn, job.job_id, key)
        if row is None:
            raise not_found(f"job {job.job_id} stored no variant {key}")
        return row

    return answer(views.variant(of(request).pool.run(look, again=True), PARTS))


@call(
    router,
    "GET",
    "/backtests/jobs/{job_id}/variants/base/{base_index}",
    answers={200: schemas.ANY_VARIANT},
    errors=(404, 409),
)
def base(request: Request, who: SignedIn, wanted: JobDigits) -> Response:
    """Return any variant of stage A, and a request for it alone."""
    return _any_variant(request, who, wanted, "base", "base_index")


@call(
    router,
    "GET",
    "/backtests/jobs/{job_id}/variants/by-index/{variant_index}",
    answers={200: schemas.ANY_VARIANT},
    errors=(404, 409),
)
def by_index(request: Request, who: SignedIn, wanted: JobDigits) -> Response:
    """Return any variant of stage B, and a request for it alone."""
    return _any_variant(request, who, wanted, "variant", "variant_index")


def _any_variant(request: Request, who: Any, wanted: str, space: str, name: str) -> Response:
    given = request.path_params[name]
    if not re.fullmatch(r"[0-9]{1,19}", given, re.ASCII):
        raise invalid_value(name, f"must be a whole number from 0, got {shown(given)}")
    index = int(given)
    pool = of(request).pool
    job: Job = pool.run(lambda conn: own(conn, who, wanted), again=True)
    try:
        found = SPACES[space](wanted_by(job).document, index)
    except IndexError as error:
        raise not_found(str(error)) from None
    row = pool.run(lambda conn: results.variant(conn, job.job_id, found.variant_key), again=True)
    return answer(
        {
            "space": space,
            "index": index,
            "base_index": found.base_index,
            "variant_key": found.variant_key,
            "payload_json": found.payload,
            "request": found.request,
            "idempotency_key": reserved(job.job_id, space, index),
            "row": None if row is None else row.rank,
        }
    )
