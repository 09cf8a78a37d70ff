"""What a job has found: its best variants, and any other one of its grid."""

import re
from uuid import UUID

import orjson
from fastapi import APIRouter
from starlette.responses import Response

from api import schemas, views
from api.answers import answer, encoded
from api.calls import Call, route
from api.errors import ApiError, invalid_value, not_found
from api.job_ids import named, own, owned, wanted_by
from api.parameters import Query, whole, words
from api.variant_keys import SPACES, reserved
from engine.request.words import shown
from storage import jobs, results
from storage.records import Job, State

router = APIRouter(tags=["results"])

PARTS = ("report", "trades", "equity")
BY_DEFAULT = frozenset(("report", "trades"))
NOTHING = "none"

KEPT_BYTES = 2**26
"""How much of lists without such parts a process remembers; 50 rows are 70 kB."""

ENTRY_BYTES = 500
"""What remembering takes besides."""

TOP = Query(
    whole("limit", 1, 300, "How many variants at most.", 50),
    words("include", (*PARTS, NOTHING), "What to add to each: report, trades, equity, or none."),
)


@route(
    router,
    "GET",
    "/backtests/jobs/{job_id}/top",
    answers={200: schemas.TOP},
    errors=(404, 409),
    query=TOP,
)
async def top(call: Call) -> Response:
    """Return the best variants so far, by rank; reports and trades once the job has succeeded."""
    include = BY_DEFAULT if call.asked["include"] is None else call.asked["include"]
    flags = {part: part in include for part in PARTS}
    pool, who, limit = call.context.pool, call.who, call.asked["limit"]
    job_id = await named(pool, who, call.job)
    if not any(flags.values()):
        return await _without_parts(call, job_id, limit)
    found, rows = await pool.ask(jobs.head(job_id), results.top_as_text(job_id, limit, **flags))
    job = owned(found, job_id, who)
    parts = include if job.state is State.SUCCEEDED else frozenset()
    items = [views.variant(row, parts) for row in rows]
    return answer({"job_id": job_id, "state": job.state, "items": items})


async def _without_parts(call: Call, job_id: UUID, limit: int) -> Response:
    """Return what pages ask for again and again; only rows that have changed are read again."""
    pool, kept = call.context.pool, call.context.tops
    version, items = kept.get((job_id, limit)) or (None, b"")
    if version is not None:
        found, now = await pool.ask(jobs.head(job_id), results.top_version(job_id, limit))
    if version is None or now != version:
        found, rows = await pool.ask(jobs.head(job_id), results.top_as_text(job_id, limit))
        items = encoded([views.variant(row, ()) for row in rows])
        kept.put((job_id, limit), (results.version_of(rows), items), len(items) + ENTRY_BYTES)
    job = owned(found, job_id, call.who)
    return answer({"job_id": job_id, "state": job.state, "items": orjson.Fragment(items)})


@route(
    router,
    "GET",
    "/backtests/jobs/{job_id}/validation",
    answers={200: schemas.VALIDATION},
    errors=(404, 409),
)
async def validation(call: Call) -> Response:
    """Return what was asked of a search once it was done, and which surfaces there are."""
    pool, who = call.context.pool, call.who
    job_id = await named(pool, who, call.job)
    found, answers = await pool.ask(jobs.by_id(job_id), results.validation(job_id))
    job = owned(found, job_id, who)
    if answers is None:
        raise _no_answers(job)
    return answer(views.validation(job_id, answers))


@route(
    router,
    "GET",
    "/backtests/jobs/{job_id}/surfaces/{number}",
    answers={200: schemas.SURFACE},
    errors=(404, 409),
)
async def surface(call: Call) -> Response:
    """Return one surface of a search; `validation` lists them."""
    given = call.path("number")
    if not re.fullmatch(r"[1-9][0-9]{0,8}", given, re.ASCII):
        raise invalid_value("number", f"must be a whole number from 1, got {shown(given)}")
    pool, who, number = call.context.pool, call.who, int(given)
    job_id = await named(pool, who, call.job)
    found, figures, stored = await pool.ask(
        jobs.by_id(job_id), results.figures(job_id), results.surface(job_id, number)
    )
    job = owned(found, job_id, who)
    if figures is None:
        raise _no_answers(job)
    if stored is None:
        raise not_found(f"job {job_id} has no surface {number}")
    return answer(views.surface(job_id, number, stored))


def _no_answers(job: Job) -> ApiError:
    """Say why nothing is stored of what was asked of a search."""
    if not job.request_json.get("validation"):
        message = f"job {job.job_id} keeps no bars aside: nothing was asked of its search"
        return ApiError(404, "not_validated", message)
    if not job.state.terminal:
        message = f"job {job.job_id} is {job.state}: what is asked of its search comes at the end"
        return ApiError(404, "not_ended", message)
    ended = "was cancelled" if job.state is State.CANCELLED else f"has {job.state}"
    message = f"job {job.job_id} {ended}: nothing is stored of what was asked of its search"
    return ApiError(404, "not_validated", message)


@route(
    router,
    "GET",
    "/backtests/jobs/{job_id}/variants/{variant_key}",
    answers={200: schemas.VARIANT},
    errors=(404, 409),
)
async def variant(call: Call) -> Response:
    """Return one stored variant with its report, trades and equity."""
    key = call.path("variant_key")
    if not re.fullmatch(r"[0-9a-f]{64}", key, re.ASCII):
        raise invalid_value(
            "variant_key", f"must be the 64 hexadecimal digits of a variant_key, got {shown(key)}"
        )

    pool, who = call.context.pool, call.who
    job_id = await named(pool, who, call.job)
    job, row = await pool.ask(jobs.head(job_id), results.variant_as_text(job_id, key))
    owned(job, job_id, who)
    if row is None:
        raise not_found(f"job {job_id} stored no variant {key}")
    return answer(views.variant(row, PARTS))


@route(
    router,
    "GET",
    "/backtests/jobs/{job_id}/variants/base/{base_index}",
    answers={200: schemas.ANY_VARIANT},
    errors=(404, 409),
)
def base(call: Call) -> Response:
    """Return any variant of stage A, and a request for it alone."""
    return _any_variant(call, "base", "base_index")


@route(
    router,
    "GET",
    "/backtests/jobs/{job_id}/variants/by-index/{variant_index}",
    answers={200: schemas.ANY_VARIANT},
    errors=(404, 409),
)
def by_index(call: Call) -> Response:
    """Return any variant of stage B, and a request for it alone."""
    return _any_variant(call, "variant", "variant_index")


def _any_variant(call: Call, space: str, name: str) -> Response:
    given = call.path(name)
    if not re.fullmatch(r"[0-9]{1,19}", given, re.ASCII):
        raise invalid_value(name, f"must be a whole number from 0, got {shown(given)}")
    index = int(given)
    pool = call.context.pool
    job = pool.run(lambda conn: own(conn, call.who, call.job), again=True)
    try:
        found = SPACES[space](wanted_by(job).document, index)
    except IndexError as error:
        raise not_found(str(error)) from None
    row = pool.run(results.variant_as_text(job.job_id, found.variant_key).of, again=True)
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
