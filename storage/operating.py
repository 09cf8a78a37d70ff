"""What operators look at: the queue, leases, what is stuck and why, the last events.

Whose jobs they are makes no difference here. The cost grows with the jobs that are queued or
running, not with those that have ended.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import dict_row

from storage import statements
from storage.asking import Ask
from storage.records import Event, EventName, Stage, State

_SQL = statements.load("operating")

AGES = (60.0, 600.0, 3600.0, 86_400.0)
"""Bounds of the ages that jobs are counted by, in seconds."""

ENDED_WITHIN_SECONDS = 3600.0
MOST_ENDED = 10_000
MOST_LEASES = 200
MOST_STUCK = 200

PATIENCE: Mapping[str, float] = {
    "expired": 10.0,  # a scheduler and a free worker need a moment
    "cancel": 60.0,
    "finalizing": 60.0,
    "progress": 60.0,  # it is written every second
    "queued": 600.0,
}
"""How many seconds something may last before a job counts as stuck."""


class Problem(StrEnum):
    """Why a job does not move."""

    EXPIRED_LEASE = "expired_lease"
    SILENT_OWNER = "silent_owner"
    CANCEL_NOT_HEARD = "cancel_not_heard"
    FINALIZING_LONG = "finalizing_long"
    NO_PROGRESS = "no_progress"
    PAUSED = "paused"
    NEWER_VERSION = "newer_version"
    NOT_DISPATCHED = "not_dispatched"
    NO_WORKER = "no_worker"
    WORKERS_BUSY = "workers_busy"


class Waiting(NamedTuple):
    """How many jobs of a state there are, by age: up to each of `AGES`, and older."""

    numbers: Sequence[int]
    oldest: datetime | None

    @property
    def number(self) -> int:
        """How many there are altogether."""
        return sum(self.numbers)


class LeaseLine(NamedTuple):
    """A running job and who owns it; `locked_by` is None once it was released."""

    job_id: UUID
    user_id: UUID
    locked_by: str | None
    attempt: int
    crash_count: int
    stage: Stage
    processed_units: int
    total_units: int
    locked_at: datetime
    stage_started_at: datetime | None
    progress_updated_at: datetime | None
    heartbeat_at: datetime
    lease_expires_at: datetime
    cancel_requested_at: datetime | None
    expired: bool


class Stuck(NamedTuple):
    """A job that does not move, since when and why."""

    job_id: UUID
    user_id: UUID
    state: State
    problem: Problem
    since: datetime
    locked_by: str | None
    stage: Stage | None
    attempt: int
    at: datetime


class StuckJobs(NamedTuple):
    """The jobs that have stood still for longest; `found` is how many there are."""

    jobs: Sequence[Stuck]
    found: int


def queue() -> Ask[dict[State, Waiting]]:
    """Count queued and running jobs by age."""

    def made(rows: list[Any]) -> dict[State, Waiting]:
        found = {
            state: Waiting([0] * (len(AGES) + 1), None) for state in State if not state.terminal
        }
        for state, group in groupby(rows, key=lambda row: State(row[0])):
            numbers, oldest = [0] * (len(AGES) + 1), []
            for _, age, number, since in group:
                numbers[age] = number
                oldest.append(since)
            found[state] = Waiting(numbers, min(oldest))
        return found

    return Ask(_SQL["queue"], {"bounds": list(AGES)}, made)


def ended() -> Ask[dict[State, int]]:
    """Count the jobs that ended in the last hour, `MOST_ENDED` of them at most."""

    def made(rows: list[Any]) -> dict[State, int]:
        counted = {State(state): int(number) for state, number in rows}
        return {state: counted.get(state, 0) for state in State if state.terminal}

    return Ask(_SQL["ended"], {"within": ENDED_WITHIN_SECONDS, "limit": MOST_ENDED}, made)


def leases() -> Ask[list[LeaseLine]]:
    """Read who owns which job, those first whose lease ends or ended first."""

    def made(rows: list[Any]) -> list[LeaseLine]:
        return [LeaseLine(**(row | {"stage": Stage(row["stage"])})) for row in rows]

    return Ask(_SQL["leases"], {"limit": MOST_LEASES}, made, dict_row)


def stuck_running() -> Ask[StuckJobs]:
    """Find running jobs without an owner, or whose owner does not get on."""
    return Ask(_SQL["running_stuck"], {**PATIENCE, "limit": MOST_STUCK}, _stuck, dict_row)


def stuck_queued(*, request_version: int) -> Ask[StuckJobs]:
    """Find jobs that have been queued for long; a request newer than `request_version` waits."""
    values = {**PATIENCE, "limit": MOST_STUCK, "request_version": request_version}
    return Ask(_SQL["queued_stuck"], values, _stuck, dict_row)


def events(limit: int) -> Ask[list[Event]]:
    """Read what happened last, the newest first."""

    def made(rows: list[Any]) -> list[Event]:
        return [Event(**(row | {"event": EventName(row["event"])})) for row in rows]

    return Ask(_SQL["events"], {"limit": limit}, made, dict_row)


def _stuck(rows: list[Any]) -> StuckJobs:
    found = rows[0]["found"] if rows else 0
    jobs = []
    for row in rows:
        stage = row["stage"]
        typed = {
            "state": State(row["state"]),
            "problem": Problem(row["problem"]),
            "stage": None if stage is None else Stage(stage),
        }
        jobs.append(Stuck(**{key: row[key] for key in row if key != "found"} | typed))
    return StuckJobs(jobs, found)
