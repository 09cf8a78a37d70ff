"""What the viewers of one thing are told: a job, or the list of a user's jobs.

A feed is shared by all its viewers, and every event in it was put into bytes once. A viewer holds
only its place. So one that reads slowly makes nothing grow: it gets the latest state of what
changed meanwhile, and all of the lifecycle.

Everything here belongs to the event loop.
"""

import asyncio
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from fastapi.sse import format_sse_event

from api.answers import encoded

PAGE = 50
"""Jobs in the snapshot of a list: as many as its first page has."""

KEPT = 250
"""Jobs of a list whose latest news are kept, beside those that may still change."""


def event(name: str, data: bytes, event_id: int | None = None) -> bytes:
    """Return a server-sent event; `data` is JSON."""
    named = None if event_id is None else str(event_id)
    return format_sse_event(event=name, data_str=data.decode("utf-8"), id=named)


def ending(reason: str) -> bytes:
    """Return the last event of a stream: `finished`, `expired` or `gone`."""
    return event("end", encoded({"reason": reason}))


@dataclass(slots=True)
class Place:
    """How far a viewer is: the last lifecycle event, and the last revision of everything else.

    `look` is the last one that began before the viewer came: what it is told is newer, so that
    everything it did before is in it. `over` says that it was told the end.
    """

    look: int
    event_id: int = 0
    revision: int = 0
    over: bool = False


class Feed(ABC):
    """What both kinds have."""

    def __init__(self, key: UUID) -> None:
        self.key = key
        self.viewers = 0
        self.look = 0
        """Number of the look that it shows."""
        self.joined = 0
        """Number of the last look that had begun when the last viewer came."""
        self.changed = asyncio.Event()
        """Set by the next change, and replaced then."""

    @property
    def awaited(self) -> bool:
        """Whether a viewer waits for the next look, even if nothing is new in it."""
        return self.look <= self.joined

    def wake(self) -> None:
        """Wake everybody who waits for a change."""
        self.changed.set()
        self.changed = asyncio.Event()

    def news(self, place: Place) -> bytes:
        """Return what a viewer has not been told yet, and move its place."""
        return self._news(place) if self.look > place.look else b""

    @abstractmethod
    def _news(self, place: Place) -> bytes:
        """Return it, and move the place; called only where there may be some."""


class JobNews(NamedTuple):
    """What a look found about a job: later events by id, framed, and the framed progress."""

    lifecycle: Sequence[tuple[int, bytes]]
    progress: bytes
    over: bool


class JobFeed(Feed):
    """The lifecycle of a job and its latest progress."""

    def __init__(self, job_id: UUID) -> None:
        super().__init__(job_id)
        self._ids: list[int] = []
        self._lifecycle: list[bytes] = []
        self._progress = b""
        self._revision = 0
        self._end = b""

    @property
    def position(self) -> int:
        """The last event that is known; those of one job are committed in the order of ids."""
        return self._ids[-1] if self._ids else 0

    def publish(self, found: JobNews | None) -> bool:
        """Take what a look found, None where the job is gone; say whether anything is new."""
        before = (self.position, self._revision, self._end)
        if found is None:
            self._end = ending("gone")
        else:
            for event_id, text in found.lifecycle:
                self._ids.append(event_id)
                self._lifecycle.append(text)
            if found.progress != self._progress:
                self._progress = found.progress
                self._revision += 1
            if found.over:
                self._end = ending("finished")
        return before != (self.position, self._revision, self._end)

    def _news(self, place: Place) -> bytes:
        """Return lifecycle first, then progress, then the end."""
        if place.event_id > self.position:
            place.event_id = 0  # no event of this job: rubbish, or of a database that was lost
        told = self._lifecycle[bisect_right(self._ids, place.event_id) :]
        if place.revision != self._revision:
            told.append(self._progress)
        if self._end:
            told.append(self._end)
            place.over = True
        place.event_id, place.revision = self.position, self._revision
        return told[0] if len(told) == 1 else b"".join(told)


class Item(NamedTuple):
    """A job of a list: where it stands, its state, and itself as JSON."""

    order: tuple[datetime, UUID]
    state: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Listing:
    """A user's jobs as one look found them: by id, newest first, and the counts as JSON."""

    items: Mapping[UUID, Item] = field(default_factory=dict)
    counts: bytes = b""

    def states(self) -> dict[UUID, str]:
        """Where these are the same, so are the counts."""
        return {job_id: item.state for job_id, item in self.items.items()}


class ListFeed(Feed):
    """The first page of a user's jobs, every active one, and how many there are."""

    def __init__(self, user_id: UUID) -> None:
        super().__init__(user_id)
        self.listing = Listing()
        self._revision = 0
        self._jobs: dict[UUID, tuple[int, bytes]] = {}
        self._counts = (0, b"")
        self._snapshot = (0, b"")

    def publish(self, listing: Listing) -> bool:
        """Take a newer list; say whether anything is new."""
        before, self.listing = self.listing, listing
        if listing == before:
            return False
        self._revision += 1
        changed = {
            job_id: (self._revision, event("job", item.text))
            for job_id, item in listing.items.items()
            if item != before.items.get(job_id)
        }
        kept = {key: told for key, told in self._jobs.items() if key in listing.items}
        self._jobs = kept | changed
        if listing.counts != before.counts:
            self._counts = (self._revision, event("counts", listing.counts))
        return True

    def _news(self, place: Place) -> bytes:
        """Return all for a new viewer; afterwards each job that changed, and the counts."""
        seen, place.revision = place.revision, self._revision
        if seen == 0:
            return self._whole()
        told = (*self._jobs.values(), self._counts) if seen < self._revision else ()
        return b"".join(text for revision, text in told if revision > seen)

    def _whole(self) -> bytes:
        """Return the snapshot, which is made once for all who come until something changes."""
        revision, text = self._snapshot
        if revision != self._revision:
            items = b",".join(item.text for item in list(self.listing.items.values())[:PAGE])
            text = event("snapshot", b'{"items":[%b],"counts":%b}' % (items, self.listing.counts))
            self._snapshot = (self._revision, text)
        return text
