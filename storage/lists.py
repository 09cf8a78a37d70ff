"""A user's jobs as lists show them: lean rows, filters, a search, counts.

Every call costs about the same whatever the number of jobs. A search is no exception: where more
than `EXAMINED` jobs match by name, it walks down the list instead, that far at most, and the page
says where to go on. Each function belongs into one transaction.
"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from storage import statements
from storage.asking import Ask
from storage.names import folded
from storage.paging import Page, Position, page_of, position
from storage.records import Mode, Stage, State

_SQL = statements.load("lists")

EXAMINED = 1000
"""How many jobs a search looks at for one page."""

COUNTED = 1000
"""How far jobs that have ended are counted."""

# Looked up: an enumeration's own way takes longer than the rest of a line.
_MODES = {str(mode): mode for mode in Mode}
_STATES = {str(state): state for state in State}
_STAGES: dict[str | None, Stage | None] = {None: None} | {str(stage): stage for stage in Stage}

_NO_ID = UUID(int=2**128 - 1), UUID(int=0)


class JobLine(NamedTuple):
    """A job in a list; its fields are the columns of the part `line`.

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


class Place(NamedTuple):
    """A job of a page, and the version of its row: whoever changes the row makes another one."""

    created_at: datetime
    job_id: UUID
    version: str


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
    if not q:
        places = page_of_places(user_id, state=state, symbol=symbol, limit=limit, before=before).of(
            conn
        )
        found = lines(user_id, [place.job_id for place in places.items]).of(conn)
        return Page(found, places.next)
    values = _filters(user_id, state, symbol, limit, before)
    first, last = _id_range(q)
    values |= {"pattern": _pattern(q), "first": first, "last": last, "examined": EXAMINED}
    matches = conn.execute(_SQL["matches"], values).fetchone()
    assert matches is not None
    if _too_many(*matches):
        return _walk(conn, user_id, values, limit)
    rows = conn.execute(_SQL["page_of_matches"], values).fetchall()
    return page_of(lines_of(rows), limit, _where)


def page_of_places(
    user_id: UUID,
    *,
    state: State | None = None,
    symbol: str | None = None,
    limit: int = 50,
    before: Position | None = None,
) -> Ask[Page[Place]]:
    """List a user's jobs as `page` does without a search, by their places.

    Whoever has read the lines of some jobs knows by the versions which of them are still true.
    """
    return Ask(
        _SQL["page"],
        _filters(user_id, state, symbol, limit, before),
        lambda rows: page_of([Place._make(row) for row in rows], limit, _where),
    )


def lines(user_id: UUID, job_ids: Collection[UUID]) -> Ask[list[JobLine]]:
    """Read those of these jobs that are the user's, newest first."""
    return Ask(_SQL["lines"], {"user_id": user_id, "job_ids": list(job_ids)}, lines_of)


def counts(user_id: UUID, many: Collection[State] = ()) -> Ask[dict[State, Count]]:
    """Count a user's jobs in every state: active ones exactly, ended ones up to `COUNTED`.

    Of the ended states in `many` the caller knows that there are more: they are not counted again.
    """
    wanted = [state for state in State if state not in many]
    values = {
        "user_id": user_id,
        "states": wanted,
        "most": [COUNTED + 1 if state.terminal else None for state in wanted],
    }

    def made(rows: list[Any]) -> dict[State, Count]:
        counted: dict[str, int] = dict(rows)
        found = {state: counted.get(state, COUNTED + 1) for state in State}
        return {
            state: Count(min(number, COUNTED), more=True)
            if state.terminal and number > COUNTED
            else Count(number, more=False)
            for state, number in found.items()
        }

    return Ask(_SQL["counts"], values, made)


def lines_of(rows: Collection[Any]) -> list[JobLine]:
    """Make lines of rows with the columns of the part `line`."""
    return [_line(*row) for row in rows]


def _line(
    job_id: UUID, user_id: UUID, name: str, mode: str, state: str, stage: str, *rest: Any
) -> JobLine:
    *moving, market_id, symbol, timeframe, start, end, metric, best, infinite, error = rest
    return JobLine._make(
        (
            job_id,
            user_id,
            name,
            _MODES[mode],
            _STATES[state],
            _STAGES[stage],
            *moving,
            None if market_id is None else int(market_id),
            symbol,
            timeframe,
            start,
            end,
            metric,
            None if best is None else float(best),
            infinite,
            error,
        )
    )


def _filters(
    user_id: UUID,
    state: State | None,
    symbol: str | None,
    limit: int,
    before: Position | None,
) -> dict[str, object]:
    return position(before) | {
        "user_id": user_id,
        "state": state,
        "symbol": symbol,
        "limit": limit + 1,
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
    items = lines(user_id, [job_id for _, job_id in shown]).of(conn)
    return Page(items, last[0] if last else None)


def _where(found: JobLine | Place) -> Position:
    return found.created_at, found.job_id


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
