"""One look at the database: rows of all that is watched, as the bytes that viewers get.

This runs beside the event loop, in the one thread that has the hub's connection.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from api import views
from api.answers import encoded
from api.feeds import KEPT, PAGE, Item, JobNews, Listing, event
from storage import lists, watching
from storage.connection import Connection
from storage.lists import JobLine
from storage.records import State


@dataclass(frozen=True, slots=True)
class Asked:
    """Jobs with the last event that is known of each; users with their list, None to read it all.

    `seconds` is how long ago the look before began.
    """

    jobs: Mapping[UUID, int]
    lists: Mapping[UUID, Listing | None]
    seconds: float


@dataclass(frozen=True, slots=True)
class Told:
    """What was found; a job that is not there is gone."""

    jobs: Mapping[UUID, JobNews]
    lists: Mapping[UUID, Listing]


def look(conn: Connection, asked: Asked) -> Told:
    """Look once at everything; belongs into one transaction."""
    pages = {
        user_id: lists.page(conn, user_id, limit=PAGE).items
        for user_id, known in asked.lists.items()
        if known is None
    }
    seen = watching.look(
        conn,
        asked.jobs,
        asked.lists.keys(),
        listed=[
            job_id
            for known in asked.lists.values()
            if known is not None
            for job_id, item in known.items.items()
            if State(item.state).terminal
        ],
        finished_within=watching.FINISHED_WITHIN_SECONDS + asked.seconds,
    )
    moving: dict[UUID, list[JobLine]] = defaultdict(list)
    for line in seen.lines:
        moving[line.user_id].append(line)
    listings = {
        user_id: _listing(conn, user_id, known, [*pages.get(user_id, ()), *moving[user_id]])
        for user_id, known in asked.lists.items()
    }
    return Told(_jobs(seen), listings)


def _jobs(seen: watching.Seen) -> dict[UUID, JobNews]:
    lifecycle: dict[UUID, list[tuple[int, bytes]]] = defaultdict(list)
    for row in seen.events:
        text = event("lifecycle", encoded(views.event(row)), row.event_id)
        lifecycle[row.job_id].append((row.event_id, text))
    return {
        job.job_id: JobNews(
            lifecycle.get(job.job_id, ()),
            event("progress", encoded(views.moving(job))),
            job.state.terminal,
        )
        for job in seen.jobs
    }


def _listing(
    conn: Connection, user_id: UUID, known: Listing | None, lines: list[JobLine]
) -> Listing:
    """Return the list with these lines, of which later ones are newer, and with its counts."""
    if known is not None and not lines:
        return known
    items = dict(known.items) if known is not None else {}
    moving = {line.job_id for line in lines}
    for line in lines:
        order = (line.created_at, line.job_id)
        items[line.job_id] = Item(order, line.state, encoded(views.item(line)))
    ordered = sorted(items.items(), key=lambda entry: entry[1].order, reverse=True)
    kept = {
        job_id: item
        for place, (job_id, item) in enumerate(ordered)
        if place < KEPT or job_id in moving
    }
    found = Listing(kept, b"" if known is None else known.counts)
    # Counting takes longer than everything else, and is the same as long as nothing moved.
    if known is None or found.states() != known.states():
        return Listing(kept, encoded(views.counts(lists.counts(user_id).of(conn))))
    return found
