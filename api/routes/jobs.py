"""Jobs: submitted, listed, looked at, renamed, cancelled."""

from functools import partial
from typing import Any
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter
from starlette.responses import Response

from api import cursor, schemas, submission, views
from api.answers import answer
from api.auth import Identity
from api.calls import Call, route
from api.context import Context
from api.errors import invalid_value, not_found
from api.fields import members, together
from api.job_ids import digits, named, own, owned, wanted_by
from api.lines import texts
from api.parameters import Query, choice, cursor_of, text, whole, words
from api.submission import Sent
from api.traces import traced
from api.variant_keys import RESERVED, idempotency_key, requested_variant
from engine.request import Request as Wanted
from engine.request import read_label, request_hash
from engine.request.label import LABEL
from engine.request.words import shown
from storage import jobs, lists, results, switches, watching
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


@route(
    router,
    "POST",
    "/backtests/jobs",
    answers={200: schemas.SUBMITTED, 201: schemas.SUBMITTED},
    body=schemas.REQUEST,
    errors=(404, 409),
    headers=(schemas.IDEMPOTENCY_KEY,),
)
def submit(call: Call) -> Response:
    """Submit a request as a job; a retry under the same Idempotency-Key returns that job."""
    with traced(call.request, call.context) as traceparent:
        return _submit(call, traceparent)


def _submit(call: Call, traceparent: str | None) -> Response:
    context, who, sent = call.context, call.who, Sent.of(call.document)
    key = idempotency_key(call.request)
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

    def store(conn: Connection) -> tuple[jobs.Submitted, switches.Pause | None]:
        stored = jobs.create(conn, new_job, max_active=limit, client=who.client)
        return stored, switches.paused().of(conn)

    stored, paused = context.pool.run(store)
    warnings = [*checked.warnings, *views.pause_warnings(paused)]
    return _submitted(stored.job, warnings, checked.request, context, created=stored.created)


@route(
    router,
    "POST",
    "/backtests/estimate",
    answers={200: schemas.ESTIMATE},
    body=schemas.REQUEST,
    errors=(404,),
)
def estimate(call: Call) -> Response:
    """Say what a request would be as a job; store nothing."""
    context, who, sent = call.context, call.who, Sent.of(call.document)
    resolved = submission.resolve(sent.document, who, context)
    found = submission.assess(sent, resolved, context)
    alike = None
    if found.effective is not None and not found.errors:
        wanted = request_hash(found.effective)

        def ask(conn: Connection) -> tuple[UUID | None, switches.Pause | None]:
            return jobs.alike(who.user_id, wanted).of(conn), switches.paused().of(conn)

        alike, paused = context.pool.run(ask, again=True)
        found.warnings.extend(views.pause_warnings(paused))
    return answer(views.estimate(found, alike))


@route(router, "GET", "/backtests/jobs", answers={200: schemas.LIST}, query=LIST)
async def list_jobs(call: Call) -> Response:
    """List one's jobs, newest first."""
    user_id, asked, context = call.who.user_id, call.asked, call.context
    filters: dict[str, Any] = {
        "state": None if asked["state"] is None else State(asked["state"]),
        "symbol": asked["symbol"],
        "limit": asked["limit"],
        "before": asked["cursor"],
    }
    many = context.crowded.get(user_id)
    counted = lists.counts(user_id, many or ())
    items: list[Any]
    if asked["q"] is None:
        places, counts, paused = await context.pool.ask(
            lists.page_of_places(user_id, **filters), counted, switches.paused()
        )
        items, following = (
            await texts(places.items, user_id, filters["state"], context),
            places.next,
        )
    else:

        def look(
            conn: Connection,
        ) -> tuple[Page[lists.JobLine], dict[State, lists.Count], switches.Pause | None]:
            page = lists.page(conn, user_id, q=asked["q"], **filters)
            return page, counted.of(conn), switches.paused().of(conn)

        search = partial(context.pool.run, look, again=True)
        page, counts, paused = await to_thread.run_sync(search)
        items, following = [views.item(line) for line in page.items], page.next
    if many is None:
        crowded = [state for state, count in counts.items() if count.more]
        context.crowded.put(user_id, crowded or None)
    next_cursor = None if following is None else cursor.written(following, ID_NAME)
    return answer(views.listed(items, next_cursor, counts, paused))


@route(
    router,
    "GET",
    "/backtests/jobs/{job_id}",
    answers={200: schemas.STATUS},
    errors=(404, 409),
    query=STATUS,
)
async def status(call: Call) -> Response:
    """Return one job, and what to make of it."""
    pool, who = call.context.pool, call.who
    job_id = await named(pool, who, call.job)
    found, rows, figures = await pool.ask(
        jobs.by_id(job_id), results.outline(job_id), results.figures(job_id)
    )
    job = owned(found, job_id, who)
    watched = None
    if job.state is State.RUNNING:
        (moving,) = await pool.ask(watching.watched([job_id]))
        watched = next(iter(moving), None)
    shown = views.status(job, rows, figures, watched)
    if "distribution" in (call.asked["include"] or ()):
        (outcomes,) = await pool.ask(results.outcomes(job_id))
        shown["distribution"] = await to_thread.run_sync(views.distribution, outcomes, rows)
    return answer(shown)


@route(
    router,
    "PATCH",
    "/backtests/jobs/{job_id}",
    answers={200: schemas.STATUS},
    body=schemas.LABEL,
    errors=(404, 409),
)
def describe(call: Call) -> Response:
    """Change name and note, in any state; null clears."""
    who, wanted = call.who, call.job
    given, (name, note, _) = together(
        call.document, lambda document: members(document, LABEL), read_label
    )
    changes = {key: value for key, value in (("name", name), ("note", note)) if key in given}

    def change(conn: Connection) -> dict[str, Any]:
        job_id = own(conn, who, wanted).job_id
        job = jobs.describe(conn, who.user_id, job_id, changes=changes)
        if job is None:  # deleted meanwhile
            raise not_found(f"there is no job {job_id}")
        return _status(conn, job)

    return answer(call.context.pool.run(change))


@route(
    router,
    "POST",
    "/backtests/jobs/{job_id}/cancel",
    answers={200: schemas.STATUS},
    errors=(404, 409),
)
def cancel(call: Call) -> Response:
    """Cancel a queued job at once, ask a running one to stop; others stay as they are."""
    who, wanted = call.who, call.job

    def change(conn: Connection) -> dict[str, Any]:
        job_id = own(conn, who, wanted).job_id
        job = jobs.cancel(conn, job_id, client=who.client)
        if job is None:  # deleted meanwhile
            raise not_found(f"there is no job {job_id}")
        return _status(conn, job)

    return answer(call.context.pool.run(change))


@route(
    router,
    "POST",
    "/backtests/jobs/cancel",
    answers={200: schemas.CANCELLED},
    body=schemas.IDS,
    errors=(404, 409),
)
def cancel_many(call: Call) -> Response:
    """Cancel several jobs: all of them, or none where one is not the caller's."""
    who, wanted = call.who, _ids(members(call.document, ("ids",)).get("ids"))

    def change(conn: Connection) -> list[lists.JobLine]:
        # Two ids may name one job: it is answered once.
        ids = dict.fromkeys(own(conn, who, one).job_id for one in wanted)
        jobs.cancel_many(conn, who.user_id, list(ids), client=who.client)
        found = {line.job_id: line for line in lists.lines(who.user_id, list(ids)).of(conn)}
        return [found[job_id] for job_id in ids if job_id in found]

    return answer({"items": [views.item(line) for line in call.context.pool.run(change)]})


@route(
    router,
    "GET",
    "/backtests/jobs/{job_id}/events",
    answers={200: schemas.EVENTS},
    errors=(404, 409),
)
async def events(call: Call) -> Response:
    """Return what happened to a job, oldest first."""
    pool, who = call.context.pool, call.who
    job_id = await named(pool, who, call.job)
    head, found = await pool.ask(jobs.head(job_id), jobs.events(job_id))
    owned(head, job_id, who)
    return answer({"items": [views.event(event) for event in found]})


def _known(who: Identity, key: str, sent: Sent, context: Context) -> Job | None:
    """Return the job that was submitted before under a key, unless another one may follow it."""
    job = context.pool.run(jobs.by_idempotency_key(who.user_id, key).of, again=True)
    if job is None or job.submission_hash is None:  # one of an older release is compared whole
        return None
    if key.startswith(RESERVED):
        # Such a key names its request, whatever it was written like in an older release.
        resolved = submission.resolve(sent.document, who, context)
        requested_variant(key, who, resolved.document, context)
        return None if job.state in ENDED else job
    if job.submission_hash != sent.hash:
        raise jobs.IdempotencyConflict(job)
    return job


def _submitted(
    job: Job, warnings: list[dict[str, str]], wanted: Wanted, context: Context, *, created: bool
) -> Response:
    if created:
        document = views.status(job, [], None)
    else:
        document, paused = context.pool.run(
            lambda conn: (_status(conn, job), switches.paused().of(conn)), again=True
        )
        if job.state is State.QUEUED:
            warnings = views.pause_warnings(paused)
    document |= {"warnings": warnings, "estimate": submission.estimated(wanted, context)}
    headers = {"Location": f"/backtests/jobs/{job.job_id}"}
    return answer(document, 201 if created else 200, headers)


def _status(conn: Connection, job: Job) -> dict[str, Any]:
    running = job.state is State.RUNNING
    moving = watching.watched([job.job_id]).of(conn) if running else []
    rows, figures = results.outline(job.job_id).of(conn), results.figures(job.job_id).of(conn)
    return views.status(job, rows, figures, next(iter(moving), None))


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
