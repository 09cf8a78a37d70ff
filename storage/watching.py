"""What changes about jobs that somebody looks at, for all who look at once.

The caller asks about once a second, however many look: so the cost is that of what is watched, not
of who watches.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from storage import statements
from storage.asking import Ask
from storage.lists import JobLine, lines_of
from storage.records import Event, EventName, Stage, State
from storage.sharing import Sharing

_SQL = statements.load("watching")

FINISHED_WITHIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What moves about a job; `snapshot_at` is when its top variants were last written.

    `sharing` is None unless the job is running and its stage has a plan.
    """

    job_id: UUID
    user_id: UUID
    state: State
    stage: Stage | None
    processed_units: int
    total_units: int
    progress_updated_at: datetime | None
    stage_started_at: datetime | None
    attempt: int
    cancel_requested_at: datetime | None
    snapshot_at: datetime | None
    sharing: Sharing | None


class Seen(NamedTuple):
    """One look. A job that was asked for and is not among `jobs` does not exist any more."""

    jobs: list[Watched]
    events: list[Event]
    lines: list[JobLine]


def watched(job_ids: Collection[UUID]) -> Ask[list[Watched]]:
    """Read what moves about these jobs; those that do not exist are left out."""

    def made(rows: list[Any]) -> list[Watched]:
        return [_watched(row) for row in rows]

    return Ask(_SQL["watched"], {"job_ids": list(job_ids)}, made, dict_row)


def look(
    conn: psycopg.Connection[Any],
    after: Mapping[UUID, int],
    user_ids: Collection[UUID],
    *,
    listed: Collection[UUID] = (),
    finished_within: float = FINISHED_WITHIN_SECONDS,
) -> Seen:
    """Look at jobs by id, and at the active jobs of users.

    `after` gives for each job the last `event_id` that was seen of it, 0 for none; `events` are
    all that came later. It is one number per job for a reason: ids of events are given out before
    the commit, so one of another job may appear late and be smaller. Events of one job are
    appended under the lock of its row, and appear in their order.

    `lines` are the users' queued and running jobs, those that ended in the last
    `finished_within` seconds, and of the `listed` ones those that ended earlier and were renamed in
    that time; newest first. Whoever was away for longer asks for more. It belongs into one
    transaction; the events are read last, so that a job whose state has ended here and
    whose events have not is never seen.
    """
    values = {
        "job_ids": list(after),
        "seen": list(after.values()),
        "user_ids": list(user_ids),
        "listed": list(listed),
        "finished_within": finished_within,
    }
    lines = conn.execute(_SQL["lines"], values).fetchall() if user_ids else []
    jobs = watched(after).of(conn) if after else []
    with conn.cursor(row_factory=dict_row) as cursor:
        events = cursor.execute(_SQL["events"], values).fetchall() if after else []
    return Seen(
        jobs,
        [Event(**(row | {"event": EventName(row["event"])})) for row in events],
        lines_of(lines),
    )


def _watched(row: Mapping[str, Any]) -> Watched:
    stage = None if row["stage"] is None else Stage(row["stage"])
    shared = None if stage is None or row["sharing"] is None else Sharing.of(stage, row["sharing"])
    return Watched(**{**row, "state": State(row["state"]), "stage": stage, "sharing": shared})
