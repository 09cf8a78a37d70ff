"""Jobs: submitted, listed, looked at, renamed, cancelled."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from api import cursor, schemas, submission, views
from api.answers import answer
from api.auth import Identity, SignedIn
from api.bodies import JsonBody
from api.calls import call
from api.context import Context, of
from api.errors import invalid_value
from api.fields import members
from api.job_ids import JobDigits, digits, own, wanted_by
from api.parameters import Asked, Query, choice, cursor_of, text, whole, words
from api.submission import Sent
from api.traces import traced
from api.variant_keys import RESERVED, IdempotencyKey, requested_variant
from engine.request import Request as Wanted
from engine.request import read_label, request_hash
from engine.request.label import LABEL
from engine.request.words import shown
from storage import jobs, lists, results
from storage.connection import Connection
from storage.paging import Page
from storage.records import Job, State

router = APIRouter(tags=["jobs"])

MOST_LISTED = 250
MOST_CANCELLED = 250
ENDED = (State.FAILED, State.CANCELLED)

ID_NAME = "job_id"


LIST = Query(
    choice("state", tuple(State), "Only jobs in this state."),
    text("symbol", "Only jobs on this symbol."),
    text("q", "Only jobs whose name begins so, or whose id (4 or more hexadecimal digits)."),
    whole("limit", 1, MOST_LISTED, "How many jobs a page has at most.", 50),
    cursor_of(ID_NAME),
)
STATUS = Query(words("include", ("distribution",), "What to add: distribution."))


@call(
    router,
    "POST",
    "/backtests/jobs",
    answers={200: schemas.SUBMITTED, 201: schemas.SUBMITTED},
    body=schemas.REQUEST,
    errors=(404, 409),
    headers=(schemas.IDEMPOTENCY_KEY,),
)
def submit(request: Request, who: SignedIn, document: JsonBody, key: IdempotencyKey) -> Response:
    """Submit a request as a job; a retry under the same Idempotency-Key returns that job."""
    context = of(request)
    with traced(request, context) as traceparent:
        return _submit(document, who, key, traceparent, context)


def _submit(
    document: Any, who: Identity, key: str | None, traceparent: str | None, context: Context
) -> Response:
    sent = Sent.of(document)
    # Before the candles are looked at: they may be gone, and the job is there.
    job = None if key is None or sent.problems else _known(who, key, sent, context)
    if job is not None:
        return _submitted(job, [], wanted_by(job), context, created=False)
    resolved = submission.resolve(sent.document, who, context)
    variant = None if key is None else requested_variant(key, who, resolved.document, context)
    checked = submission.check(sent, resolved, context)
    new_job = submission.new_job(
        sent,
        resolved,
        checked,
        who,
        context,
        idempotency_key=key,
        replace_ended=variant is not None,
        traceparent=traceparent,
    )
    limit = context.settings.backtest.jobs.max_active_jobs_per_user
    stored = context.pool.run(
        lambda conn: jobs.create(conn, new_job, max_active=limit, client=who.client)
    )
    return _submitted(
        stored.job, checked.warnings, checked.request, context, created=stored.created
    )


@call(
    router,
    "POST",
    "/backtests/estimate",
    answers={200: schemas.ESTIMATE},
    body=schemas.REQUEST,
    errors=(404,),
)
def estimate(request: Request, who: SignedIn, document: JsonBody) -> Response:
    """Say what a request would be as a job; store nothing."""
    context = of(request)
    sent = Sent.of(document)
    resolved = submission.resolve(sent.document, who, context)
    found = submission.assess(sent, resolved, context)
    alike = None
    if found.effective is not None and not found.errors:
        wanted = request_hash(found.effective)
        alike = context.pool.run(lambda conn: jobs.alike(conn, who.user_id, wanted), again=True)
    return answer(views.estimate(found, alike))


@call(router, "GET", "/backtests/jobs", answers={200: schemas.LIST})
def list_jobs(request: Request, who: SignedIn, asked: Annotated[Asked, Depends(LIST)]) -> Response:
    """List one's jobs, newest first."""

    def look(conn: Connection) -> tuple[Page[lists.JobLine], Any]:
        page = lists.page(
            conn,
            who.user_id,
            state=None if asked["state"] is None else State(asked["state"]),
            symbol=asked["symbol"],
            q=asked["q"],
            limit=asked["limit"],
            before=asked["cursor"],
        )
        return page, lists.counts(conn, who.user_id)

    page, counts = of(request).pool.run(look, again=True)
    following = None if page.next is None else cursor.written(page.next, ID_NAME)
    return answer(views.listed(page.items, following, counts))


@call(router, "GET", "/backtests/jobs/{job_id}", answers={200: schemas.STATUS}, errors=(404, 409))
def status(
    request: Request, who: SignedIn, wanted: JobDigits, asked: Annotated[Asked, Depends(STATUS)]
) -> Response:
    """Return one job, and what to make of it."""
    include = asked["include"] or frozenset()

    def look(conn: Connection) -> dict[str, Any]:
        job = own(conn, who, wanted)
        shown = _status(conn, job)
        if "distribution" in include:
            outcomes, rows = results.outcomes(conn, job.job_id), results.outline(conn, job.job_id)
            shown["distribution"] = views.distribution(outcomes, rows)
        return shown

    return answer(of(request).pool.run(look, again=True))


@call(
    router,
    "PATCH",
    "/backtests/jobs/{job_id}",
    answers={200: schemas.STATUS},
    body=schemas.LABEL,
    errors=(404, 409),
)
def describe(request: Request, who: SignedIn, wanted: JobDigits, document: JsonBody) -> Response:
    """Change name and note, in any state; null clears."""
    given = members(document, LABEL)
    name, note, _ = read_label(given)
    changes = {key: value for key, value in (("name", name), ("note", note)) if key in given}

    def change(conn: Connection) -> dict[str, Any]:
        job_id = own(conn, who, wanted).job_id
        job = jobs.describe(conn, who.user_id, job_id, changes=changes)
        assert job is not None
        return _status(conn, job)

    return answer(of(request).pool.run(change))


@call(
    router,
    "POST",
    "/backtests/jobs/{job_id}/cancel",
    answers={200: schemas.STATUS},
    errors=(404, 409),
)
def cancel(request: Request, who: SignedIn, wanted: JobDigits) -> Response:
    """Cancel a queued job at once, ask a running one to stop; others stay as they are."""

    def change(conn: Connection) -> dict[str, Any]:
        job_id = own(conn, who, wanted).job_id
        job = jobs.cancel(conn, job_id, client=who.client)
        assert job is not None
        return _status(conn, job)

    return answer(of(request).pool.run(change))


@call(
    router,
    "POST",
    "/backtests/jobs/cancel",
    answers={200: schemas.CANCELLED},
    body=schemas.IDS,
    errors=(404, 409),
)
def cancel_many(request: Request, who: SignedIn, document: JsonBody) -> Response:
    """Cancel several jobs: all of them, or none where one is not the caller's."""
    wanted = _ids(members(document, ("ids",)).get("ids"))

    def change(conn: Connection) -> list[lists.JobLine]:
        # Two ids may name one job: it is answered once.
        ids = dict.fromkeys(own(conn, who, one).job_id for one in wanted)
        jobs.cancel_many(conn, who.user_id, list(ids), client=who.client)
        found = {line.job_id: line for line in lists.lines(conn, who.user_id, list(ids))}
        return [found[job_id] for job_id in ids]

    return answer({"items": [views.item(line) for line in of(request).pool.run(change)]})


@call(
    router,
    "GET",
    "/backtests/jobs/{job_id}/events",
    answers={200: schemas.EVENTS},
    errors=(404, 409),
)
def events(request: Request, who: SignedIn, wanted: JobDigits) -> Response:
    """Return what happened to a job, oldest first."""
    found = of(request).pool.run(
        lambda conn: jobs.events(conn, own(conn, who, wanted).job_id), again=True
    )
    return answer({"items": [views.event(event) for event in found]})


def _known(who: Identity, key: str, sent: Sent, context: Context) -> Job | None:
    """Return the job that was submitted before under a key, unless another one may follow it."""
    job = context.pool.run(lambda conn: jobs.by_idempotency_key(conn, who.user_id, key), again=True)
    if job is None or job.submission_hash is None:  # one of an older release is compared whole
        return None
    if job.state in ENDED and key.startswith(RESERVED):
        return None
    if job.submission_hash != sent.hash:
        raise jobs.IdempotencyConflict(job)
    return job


def _submitted(
    job: Job, warnings: list[dict[str, str]], wanted: Wanted, context: Context, *, created: bool
) -> Response:
    if created:
        document = views.status(job, [])
    else:
        document = context.pool.run(lambda conn: _status(conn, job), again=True)
    document |= {"warnings": warnings, "estimate": submission.estimated(wanted, context)}
    headers = {"Location": f"/backtests/jobs/{job.job_id}"}
    return answer(document, 201 if created else 200, headers)


def _status(conn: Connection, job: Job) -> dict[str, Any]:
    running = job.state is State.RUNNING
    lines = lists.lines(conn, job.user_id, [job.job_id]) if running else []
    return views.status(job, results.outline(conn, job.job_id), next(iter(lines), None))


def _ids(given: Any) -> list[str]:
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_CANCELLED:
        raise invalid_value("ids", f"must be an array of 1 to {MOST_CANCELLED} ids of jobs")
    wanted = []
    for number, one in enumerate(given):
        path = f"ids[{number}]"
        if not isinstance(one, str):
            raise invalid_value(path, f"must be a job's id, got {shown(one)}")
        wanted.append(digits(one, path))
    return wanted
