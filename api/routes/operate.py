"""What operators look at and turn: for tokens with `role: operator` alone."""

from fastapi import APIRouter
from starlette.responses import Response

from api import operate_schemas as schemas
from api import operating as shown
from api import views
from api.answers import answer
from api.calls import Call, route
from api.fields import members, text
from api.parameters import Query, whole
from engine.request import VERSION
from storage import operating, switches
from storage.connection import Connection
from storage.switches import Pause

router = APIRouter(tags=["operate"])

EVENTS = Query(whole("limit", 1, 250, "How many of the last events.", 50))


@route(router, "GET", "/operate/queue", answers={200: schemas.QUEUE}, operators=True)
async def queue(call: Call) -> Response:
    """Count queued and running jobs by age, and those that ended in the last hour."""
    waiting, ended, paused = await call.context.pool.ask(
        operating.queue(), operating.ended(), switches.paused()
    )
    return answer(shown.queue(waiting, ended, paused))


@route(router, "GET", "/operate/workers", answers={200: schemas.WORKERS}, operators=True)
async def workers(call: Call) -> Response:
    """List the workers that own a job, by machine; idle ones are known to nobody."""
    (leases,) = await call.context.pool.ask(operating.leases())
    return answer({"items": shown.workers(leases)})


@route(router, "GET", "/operate/leases", answers={200: schemas.LEASES}, operators=True)
async def leases(call: Call) -> Response:
    """List running jobs with their owners, those first whose lease ends first."""
    (found,) = await call.context.pool.ask(operating.leases())
    return answer({"items": [shown.lease(line) for line in found]})


@route(router, "GET", "/operate/stuck", answers={200: schemas.STUCK}, operators=True)
async def stuck(call: Call) -> Response:
    """List jobs that do not move, why, and what to do about it."""
    running, queued = await call.context.pool.ask(
        operating.stuck_running(), operating.stuck_queued(request_version=VERSION)
    )
    return answer(shown.stuck(running, queued))


@route(
    router,
    "GET",
    "/operate/events",
    answers={200: schemas.EVENTS},
    query=EVENTS,
    operators=True,
)
async def events(call: Call) -> Response:
    """List what happened last to any job, the newest first."""
    (found,) = await call.context.pool.ask(operating.events(call.asked["limit"]))
    return answer({"items": [{"job_id": one.job_id, **views.event(one)} for one in found]})


@route(
    router,
    "POST",
    "/operate/pause",
    answers={200: schemas.SWITCHED},
    body=schemas.PAUSE,
    operators=True,
)
def pause(call: Call) -> Response:
    """Start no more jobs; those that run go on. Pausing again changes nothing."""
    given = members(call.document, ("reason",)).get("reason")
    reason = None if given is None else text(given, "reason", switches.LONGEST_REASON)

    def change(conn: Connection) -> tuple[bool, Pause | None]:
        changed = switches.pause(conn, by=_name(call), reason=reason)
        return changed, switches.paused().of(conn)

    changed, paused = call.context.pool.run(change)
    return answer({"changed": changed, "paused": shown.pause(paused)})


@route(router, "POST", "/operate/resume", answers={200: schemas.SWITCHED}, operators=True)
def resume(call: Call) -> Response:
    """End the pause: what waits is dispatched at once. Resuming again changes nothing."""
    changed = call.context.pool.run(lambda conn: switches.resume(conn, by=_name(call)))
    return answer({"changed": changed, "paused": None})


def _name(call: Call) -> str:
    return f"user {call.who.user_id}"
