"""Streams of server-sent events: one job as it goes, or the list of one's own jobs.

The framework's own way makes and checks each event for each viewer. Here an event becomes bytes
once for all of them, so only its response and its form of an event are used.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, suppress

import anyio
from fastapi import APIRouter
from fastapi.sse import EventSourceResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import schemas
from api.auth import Identity
from api.calls import Call, route
from api.feeds import Feed, Place, ending
from api.job_ids import named, owned
from api.live import Hub
from storage import jobs

COMMENT_SECONDS = 15.0
UNREAD_SECONDS = 5.0
"""How long after its token has expired a stream may try to say so."""

BEGIN = b"retry: 1000\n\n"
COMMENT = b": still here\n\n"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

LARGEST_EVENT_ID = 2**63 - 1

router = APIRouter(tags=["streams"])


@route(
    router,
    "GET",
    "/backtests/jobs/{job_id}/stream",
    answers={200: schemas.STREAM},
    errors=(404, 409, 429),
    headers=(schemas.LAST_EVENT_ID,),
)
async def stream_of_job(call: Call) -> Response:
    """Tell the lifecycle of a job and its progress, until it ends."""
    context, who = call.context, call.who
    job_id = await named(context.pool, who, call.job)
    (job,) = await context.pool.ask(jobs.head(job_id))
    owned(job, job_id, who)
    after = last_event_id(call.request.headers.get("last-event-id", ""))
    return _Stream(context.hub, context.hub.job(job_id, who.user_id), who, after)


@route(router, "GET", "/backtests/stream", answers={200: schemas.STREAM}, errors=(429,))
async def stream_of_list(call: Call) -> Response:
    """Tell the first page of one's own jobs, and then what changes in it."""
    hub = call.context.hub
    return _Stream(hub, hub.user_list(call.who.user_id), call.who)


def last_event_id(text: str) -> int:
    """Read the header Last-Event-ID; 0, as if it was not there, for what no stream has sent."""
    if not re.fullmatch(r"[0-9]{1,19}", text):
        return 0
    number = int(text)
    return number if number <= LARGEST_EVENT_ID else 0


class _Stream(EventSourceResponse):
    """An open stream: what a feed has for a viewer, and a comment every 15 s."""

    def __init__(
        self, hub: Hub, watching: AbstractContextManager[Feed], who: Identity, after: int = 0
    ) -> None:
        super().__init__((), headers=HEADERS)
        self._hub = hub
        self._watching = watching
        self._expires_at = who.expires_at
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch as long as the client listens. Nothing is sent yet where that is refused."""
        with self._watching as feed:
            self.body_iterator = self._events(feed, Place(self._hub.looks, self._after))
            # Who reads nothing is not told that the token has expired, but cut off.
            with anyio.move_on_after(self._left() + UNREAD_SECONDS):
                await super().__call__(scope, receive, send)

    async def _events(self, feed: Feed, place: Place) -> AsyncIterator[bytes]:
        comment_at = time.monotonic() + COMMENT_SECONDS
        yield BEGIN
        while not (self._hub.ending or place.over):
            if self._left() <= 0:
                yield ending("expired")
                return
            changed, news = feed.changed, feed.news(place)
            if (wait := comment_at - time.monotonic()) <= 0:
                comment_at += COMMENT_SECONDS - wait
                news += COMMENT
            if news:
                yield news
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait, self._left())):
                    await changed.wait()

    def _left(self) -> float:
        return self._expires_at - time.time()
