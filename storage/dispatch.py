"""The scheduler's view: which jobs need a wake-up, help or an end, and how many there are."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from storage import statements
from storage.plan_records import HelpWanted
from storage.records import Due, Gauges, State

_SQL = statements.load("dispatch")

ACTOR = "scheduler"
"""Who did it, in the events of jobs that the sweep ends."""


def postpone_waiting(
    conn: psycopg.Connection[Any], waiting: Collection[UUID], *, redispatch_seconds: float
) -> int:
    """Put off due jobs whose wake-up waits in the broker already; returns how many."""
    values = {"waiting": list(waiting), "redispatch_seconds": redispatch_seconds}
    return conn.execute(_SQL["postpone_waiting"], values).rowcount


def mark_due(
    conn: psycopg.Connection[Any],
    *,
    limit: int,
    redispatch_seconds: float,
    waiting: Collection[UUID] = (),
) -> list[Due]:
    """Mark at most `limit` due jobs as sent and return them in the order to send them.

    Due are queued jobs, and running ones whose lease has run out, that have had no wake-up for
    `redispatch_seconds`; those in `waiting` have one. Once the mark is committed they are to be
    sent; what then could not be is given back with `unmark`.
    """
    values = {
        "limit": limit,
        "redispatch_seconds": redispatch_seconds,
        "waiting": list(waiting),
    }
    with conn.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(_SQL["mark_due"], values).fetchall()


def unmark(conn: psycopg.Connection[Any], dues: Sequence[Due]) -> int:
    """Make marked jobs due again at once; those claimed or marked since are left alone.

    Returns how many.
    """
    values = {
        "job_ids": [due.job_id for due in dues],
        "dispatch_counts": [due.dispatch_count for due in dues],
    }
    return conn.execute(_SQL["unmark"], values).rowcount


def sweep(conn: psycopg.Connection[Any], *, max_crashes: int, batch: int = 1000) -> Counter[State]:
    """End expired jobs that nobody may claim any more; returns how many by their new state.

    Those with a cancel requested are `cancelled`, those out of crashes `failed`. A released job
    is never failed.
    """
    rows = conn.execute(_SQL["sweep"], {"max_crashes": max_crashes, "batch": batch, "actor": ACTOR})
    return Counter(State(state) for (state,) in rows)


def help_wanted(conn: psycopg.Connection[Any], *, max_crashes: int, limit: int) -> list[HelpWanted]:
    """Read at most `limit` running jobs with shards that a helper may claim, as it would judge.

    Those with the fewest workers come first, then those that are dispatched first.
    """
    values = {"max_crashes": max_crashes, "limit": limit}
    with conn.cursor(row_factory=class_row(HelpWanted)) as cursor:
        return cursor.execute(_SQL["help_wanted"], values).fetchall()


def sweep_plans(conn: psycopg.Connection[Any], *, batch: int) -> int:
    """Delete at most `batch` plans of jobs that have ended, with their shards.

    Returns how many; 0 also while another connection is deleting.
    """
    return conn.execute(_SQL["sweep_plans"], {"batch": batch}).rowcount


def gauges(conn: psycopg.Connection[Any]) -> Gauges:
    """Count the active jobs."""
    with conn.cursor(row_factory=class_row(Gauges)) as cursor:
        row = cursor.execute(_SQL["gauges"]).fetchone()
    assert row is not None
    return row
