"""Live streams: one look at the database a second for all that is watched in this process.

    viewers ── feeds ◄── the hub's task ◄── one thread with one connection, which looks
                              ▲
                         LISTEN wakes it

Nobody watches: no query. A notification wakes the hub at once, and still there are never more than
ten looks a second. Where no notifications arrive, the same looks find everything a second later.

The processes of an API share nothing. So each counts the streams of a user for itself.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import TypeVar
from uuid import UUID

import structlog

from api.errors import ApiError, unavailable
from api.feeds import Feed, JobFeed, ListFeed
from api.look import Asked, Told, look
from configs.one_line import one_line
from storage import faults, schema
from storage.listener import Listener
from storage.session import Session

F = TypeVar("F", bound=Feed)

log = structlog.get_logger()

LOOK_SECONDS = 1.0
SHORTEST_PAUSE = 0.1
STATEMENT_SECONDS = 5.0


class Hub:
    """The feeds of this process, and the task that keeps them true.

    All of it happens in the event loop, except for the looks. It connects when somebody watches for
    the first time. `looks` is how many looks have begun.
    """

    def __init__(self, dsn: str, *, streams_per_user: int) -> None:
        self._session = Session(
            dsn,
            application_name="backtest-api-live",
            lock_seconds=STATEMENT_SECONDS,
            statement_seconds=STATEMENT_SECONDS,
            on_connect=schema.check,
        )
        self._listener = Listener(
            dsn,
            self._wake_from_thread,
            lambda text: log.warning("notifications", problem=text),
            channel=schema.EVENTS_CHANNEL,
            application_name="backtest-api-listener",
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="live")
        self._stopped = threading.Event()
        self._streams_per_user = streams_per_user
        self._streams: dict[UUID, int] = {}
        self._jobs: dict[UUID, JobFeed] = {}
        self._lists: dict[UUID, ListFeed] = {}
        self._watched = asyncio.Event()
        self._woken = asyncio.Event()
        self._looked_at = self._seen_at = 0.0
        self._failing = False
        self.looks = 0
        self.ending = False

    async def start(self) -> None:
        """Begin; returns at once, whether or not there is a database."""
        self._loop = asyncio.get_running_loop()
        self._looked_at = self._seen_at = self._loop.time() - LOOK_SECONDS
        self._task = asyncio.create_task(self._run(), name="live")

    def end_streams(self) -> None:
        """End all streams and begin none: the process was told to stop."""
        self.ending = True
        for feed in self._feeds():
            feed.wake()

    async def stop(self) -> None:
        """End streams, task, listener, thread and connection."""
        self.end_streams()
        self._stopped.set()
        self._task.cancel()
        await asyncio.wait([self._task])
        await asyncio.to_thread(self._listener.stop)
        await self._loop.run_in_executor(self._thread, self._session.close)
        self._thread.shutdown()

    def job(self, job_id: UUID, user_id: UUID) -> AbstractContextManager[JobFeed]:
        """Watch a job, in a stream of this user. Raises 429 and 503 when it is entered."""
        return self._stream(user_id, self._jobs, JobFeed, job_id)

    def user_list(self, user_id: UUID) -> AbstractContextManager[ListFeed]:
        """Watch the list of this user's jobs. Raises 429 and 503 when it is entered."""
        return self._stream(user_id, self._lists, ListFeed, user_id)

    @contextmanager
    def _stream(self, user_id: UUID, feeds: dict[UUID, F], make: type[F], key: UUID) -> Iterator[F]:
        self._admit(user_id)
        feed = feeds.get(key)
        if feed is None:
            feed = feeds[key] = make(key)
        feed.viewers += 1
        feed.joined = self.looks
        self._watched.set()
        self._woken.set()
        try:
            yield feed
        finally:
            feed.viewers -= 1
            if not feed.viewers:
                del feeds[key]
            if not self._feeds():
                self._watched.clear()
            self._streams[user_id] -= 1
            if not self._streams[user_id]:
                del self._streams[user_id]

    def _admit(self, user_id: UUID) -> None:
        if self.ending:
            raise unavailable("the API is stopping: try again")
        count = self._streams.get(user_id, 0)
        if count >= self._streams_per_user:
            raise ApiError(
                429,
                "too_many_requests",
                f"you have {count} streams open and may have {self._streams_per_user}: close one",
            )
        self._streams[user_id] = count + 1

    def _feeds(self) -> list[Feed]:
        return [*self._jobs.values(), *self._lists.values()]

    def _wake_from_thread(self) -> None:
        with suppress(RuntimeError):  # the loop has ended before the listener
            self._loop.call_soon_threadsafe(self._woken.set)

    async def _run(self) -> None:
        await self._watched.wait()
        self._listener.start()
        while True:
            await self._watched.wait()
            await self._pause()
            try:
                await self._look()
            except Exception as error:  # whatever it is, streams go on
                self._failed(error)
            else:
                self._failing = False
            self._looked_at = self._loop.time()

    async def _pause(self) -> None:
        """Wait for a second since the last look, or until something wakes us."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._looked_at + LOOK_SECONDS):
                await self._woken.wait()
        await asyncio.sleep(max(0.0, self._looked_at + SHORTEST_PAUSE - self._loop.time()))
        self._woken.clear()

    async def _look(self) -> None:
        jobs, user_lists = list(self._jobs.values()), list(self._lists.values())
        if not jobs and not user_lists:
            return
        awaited = {feed for feed in self._feeds() if feed.awaited}
        self.looks += 1
        number, began = self.looks, self._loop.time()
        asked = Asked(
            {feed.key: feed.position for feed in jobs},
            {feed.key: None if feed in awaited else feed.listing for feed in user_lists},
            seconds=began - self._seen_at,
        )
        told = await self._loop.run_in_executor(self._thread, self._ask, asked)
        self._seen_at = began
        news: list[tuple[Feed, bool]] = []
        news += [(feed, feed.publish(told.jobs.get(feed.key))) for feed in jobs]
        news += [(feed, feed.publish(told.lists[feed.key])) for feed in user_lists]
        for feed, changed in news:
            feed.look = number
            if changed or feed in awaited:
                feed.wake()

    def _ask(self, asked: Asked) -> Told:
        return self._session.run(partial(look, asked=asked), abandon=self._stopped.is_set)

    def _failed(self, error: Exception) -> None:
        """Say so once; the connection may have been an old one, so the second try comes at once."""
        if self._failing:
            return
        self._failing = True
        self._woken.set()
        known = faults.passing(error) or isinstance(error, schema.SchemaUnusable)
        log.warning("look_failed", error=one_line(error), exc_info=None if known else error)
