"""Jobs of a list as JSON, kept for as long as their rows are what they were.

A page of a list is first read as places, which costs little, and then only those lines are read
whose text is not known for the very version of their row. Whatever else a line shows (its best
variant, when its stage began) is written together with the row, under the lease.
"""

from collections.abc import Sequence
from math import inf
from uuid import UUID

import orjson

from api import views
from api.answers import encoded
from api.context import Context
from api.known import Known
from storage import lists
from storage.lists import JobLine, Place
from storage.records import State

KEPT = 10_000
"""How many lines a process remembers, of less than a kilobyte each."""


def remembered() -> Known:
    """Return the memory of a process: by id and version of the row, so nothing in it gets old."""
    return Known(inf, most=KEPT)


async def texts(
    page: Sequence[Place], user_id: UUID, state: State | None, context: Context
) -> list[orjson.Fragment]:
    """Return the JSON of the jobs of a page, in its order.

    Since the page was read a job may have been deleted, or may have left the state that was asked
    for: it is left out.
    """
    kept = context.lines
    known = {place.job_id: kept.get((place.job_id, place.version)) for place in page}
    unknown = [place for place in page if known[place.job_id] is None]
    if unknown:
        (read,) = await context.pool.ask(lists.lines(user_id, [place.job_id for place in unknown]))
        found = {line.job_id: line for line in read if state in (None, line.state)}
        for place in unknown:
            line = found.get(place.job_id)
            known[place.job_id] = None if line is None else _kept(line, place, kept)
    return [text for text in known.values() if text is not None]


def _kept(line: JobLine, place: Place, kept: Known) -> orjson.Fragment:
    # The row may have changed again since the page was read: then this is what comes after the
    # version it is kept under, which nobody meets any more.
    text = orjson.Fragment(encoded(views.item(line)))
    kept.put((place.job_id, place.version), text)
    return text
