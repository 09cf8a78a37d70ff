"""A user's jobs as lists show them: lean rows, filters, a search, counts.

Every call costs about the same whatever the number of jobs. A search is no exception: where more
than `EXAMINED` jobs match by name, it walks down the list instead, that far at most, and the page
says where to go on. Each function belongs into one transaction.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from storage import statements
from storage.names import folded
from storage.paging import Page, Position, page_of, position
from storage.records import Mode, Stage, State

_SQL = statements.load("lists")

EXAMINED = 1000
"""How many jobs a search looks at for one page."""

COUNTED = 1000
"""How far jobs that have ended are counted."""

_NO_ID = UUID(int=2**128 - 1), UUID(int=0)


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job in a list.

    `market_id` to `primary_metric` are those of the request, None where an old one has none.
    `best` is the primary metric of the best variant so far; it is None where there is none, where
    it is undefined, and where it is infinite, which `best_infinite` says. `stage_started_at` is
    None unless the job is running.
    """

    job_id: UUID
    user_id: UUID
    name: str | None
    mode: Mode
    state: State
    stage: Stage | None
    attempt: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    processed_units: int
    total_units: int
    progress_updated_at: datetime | None
    stage_started_at: datetime | None
    market_id: int | None
    symbol: str | None
    timeframe: str | None
    start: str | None
    end: str | None
    primary_metric: str | None
    best: float | None
    best_infinite: bool
    last_error: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Make a line of a row by column name."""
        values = {name: row[name] for name in cls.__slots__}
        stage = values["stage"]
        values |= {
            "mode": Mode(values["mode"]),
            "state": State(values["state"]),
            "stage": None if stage is None else Stage(stage),
        }
        return cls(**values)


class Count(NamedTuple):
    """A number of jobs; with `more` there are more than that."""

    number: int
    more: bool


def page(
    conn: psycopg.Connection[Any],
    user_id: UUID,
    *,
    state: State | None = None,
    symbol: str | None = None,
    q: str | None = None,
    limit: int = 50,
    before: Position | None = None,
) -> Page[JobLine]:
    """List a user's jobs by `created_at DESC, job_id DESC`.

    `q` is the beginning of a name, in any case, or of an id if it has at least 4 hexadecimal
    digits. `before` is the `next` of the page before. A page of a search may hold fewer than
    `limit` items, even none, and still have a `next`.
    """
    values = position(before) | {
        "user_id": user_id,
        "state": state,
        "symbol": symbol,
        "limit": limit + 1,
    }
    if not q:
        return page_of(_lines(conn, "page", values), limit, _where)
    first, last = _id_range(q)
    values |= {"pattern": _pattern(q), "first": first, "last": last, "examined": EXAMINED}
    matches = conn.execute(_SQL["matches"], values).fetchone()
    assert matches is not None
    if _too_many(*matches):
        return _walk(conn, user_id, values, limit)
    return page_of(_lines(conn, "page_of_matches", values), limit, _where)


def lines(conn: psycopg.Connection[Any], user_id: UUID, job_ids: Collection[UUID]) -> list[JobLine]:
    """Read those of these jobs that are the user's, newest first."""
    return _lines(conn, "lines", {"user_id": user_id, "job_ids": list(job_ids)})


def counts(conn: psycopg.Connection[Any], user_id: UUID) -> dict[State, Count]:
    """Count a user's jobs in every state: active ones exactly, ended ones up to `COUNTED`."""
    values = {
        "user_id": user_id,
        "states": list(State),
        "most": [COUNTED + 1 if state.terminal else None for state in State],
    }
    return {
        State(state): Count(min(number, COUNTED), more=True)
        if State(state).terminal and number > COUNTED
        else Count(number, more=False)
        for state, number in conn.execute(_SQL["counts"], values)
    }


def _too_many(named: int, with_ids: int) -> bool:
    return max(named, with_ids) > EXAMINED


def _walk(
    conn: psycopg.Connection[Any], user_id: UUID, values: Mapping[str, Any], limit: int
) -> Page[JobLine]:
    """Go down the list, at most `EXAMINED` jobs, until the page is full."""
    rows = conn.execute(_SQL["examine"], values).fetchall()
    found = [(created_at, job_id) for job_id, created_at, matches in rows if matches]
    examined = [(created_at, job_id) for job_id, created_at, matches in rows if not matches]
    shown = found[:limit]
    last = shown[-1:] if len(found) > limit else examined
    items = lines(conn, user_id, [job_id for _, job_id in shown])
    return Page(items, last[0] if last else None)


def _lines(
    conn: psycopg.Connection[Any], statement: str, values: Mapping[str, Any]
) -> list[JobLine]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return [JobLine.of(row) for row in cursor.execute(_SQL[statement], values)]


def _where(line: JobLine) -> Position:
    return line.created_at, line.job_id


def _pattern(q: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", folded(q)) + "%"


def _id_range(q: str) -> tuple[UUID, UUID]:
    """Return the first and the last id that may begin with `q`; where none may, none is between."""
    digits = q.lower().replace("-", "")
    if not re.fullmatch(r"[0-9a-f]{4,32}", digits):
        return _NO_ID
    first, last = (UUID(hex=digits.ljust(32, fill)) for fill in "0f")
    # Dashes, if any, stand where an id has them.
    whole = q.lower() == digits or str(first).startswith(q.lower().rstrip("-"))
    return (first, last) if whole else _NO_ID
