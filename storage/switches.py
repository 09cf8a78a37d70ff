"""What operators turn on and off: the pause of the queue.

While it is paused, no job is dispatched and none is claimed; those that run go on, and jobs are
submitted, cancelled and swept as always. It outlives every program. Each function belongs into one
transaction.
"""

from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from storage import statements
from storage.asking import Ask

_SQL = statements.load("switches")

LONGEST_REASON = 500
LONGEST_NAME = 200


class Pause(NamedTuple):
    """Since when the queue is paused, who paused it, and why where that was said."""

    since: datetime
    by: str
    reason: str | None


def paused() -> Ask[Pause | None]:
    """Ask whether the queue is paused; None when it is not."""
    return Ask(_SQL["paused"], {}, lambda rows: Pause(*rows[0]) if rows else None)


def pause(conn: psycopg.Connection[Any], *, by: str, reason: str | None) -> bool:
    """Pause the queue; False when it was paused already, which stays as it is.

    A claim that has begun may still succeed.
    """
    return conn.execute(_SQL["pause"], {"by": by, "reason": reason}).rowcount == 1


def resume(conn: psycopg.Connection[Any], *, by: str) -> bool:
    """End the pause, and have everything that waits dispatched at once; False without a pause."""
    if conn.execute(_SQL["resume"], {"by": by}).rowcount == 0:
        return False
    conn.execute(_SQL["wake_all"])
    return True
