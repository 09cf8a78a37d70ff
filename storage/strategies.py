"""Saved strategies: templates that a user keeps under a name.

Every function takes the user whose strategy it is, and sees those of nobody else. A job that was
made from a strategy keeps its own copy of the template, so nothing here changes a job. Each
function belongs into one transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from storage import statements
from storage.paging import Page, Position, page_of, position

_SQL = statements.load("strategies")

_ONE_OF_A_NAME = "backtest_strategies_one_of_a_name"


class NameTaken(Exception):
    """The user has another strategy of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"you have a strategy named {name!r} already: choose another name")
        self.name = name


@dataclass(frozen=True, slots=True)
class NewStrategy:
    """A strategy to save.

    `name` has 1 to 120 characters and is compared as it is given, case included; `note` has up to
    4000. The source is the variant of a job that the template was taken from; both or none.
    """

    name: str
    template_json: Mapping[str, Any]
    note: str | None = None
    source_job_id: UUID | None = None
    source_variant_key: str | None = None


@dataclass(frozen=True, slots=True)
class Strategy:
    """One row of `backtest_strategies`; the job it came from may not exist any more."""

    strategy_id: UUID
    user_id: UUID
    name: str
    note: str | None
    template_json: dict[str, Any]
    source_job_id: UUID | None
    source_variant_key: str | None
    created_at: datetime
    updated_at: datetime


def create(conn: psycopg.Connection[Any], user_id: UUID, new: NewStrategy) -> Strategy:
    """Save a strategy. Raises NameTaken."""
    made = _changed(conn, "create", {"user_id": user_id}, new)
    assert made is not None
    return made


def page(
    conn: psycopg.Connection[Any],
    user_id: UUID,
    *,
    limit: int = 50,
    before: Position | None = None,
) -> Page[Strategy]:
    """List a user's strategies by `created_at DESC, strategy_id DESC`.

    `before` is the `next` of the page before.
    """
    values = {"user_id": user_id, "limit": limit + 1} | position(before)
    with conn.cursor(row_factory=class_row(Strategy)) as cursor:
        found = cursor.execute(_SQL["page"], values).fetchall()
    return page_of(found, limit, lambda row: (row.created_at, row.strategy_id))


def get(conn: psycopg.Connection[Any], user_id: UUID, strategy_id: UUID) -> Strategy | None:
    """Read one strategy."""
    values = {"user_id": user_id, "strategy_id": strategy_id}
    with conn.cursor(row_factory=class_row(Strategy)) as cursor:
        return cursor.execute(_SQL["get"], values).fetchone()


def update(
    conn: psycopg.Connection[Any], user_id: UUID, strategy_id: UUID, new: NewStrategy
) -> Strategy | None:
    """Replace all that a user may say of a strategy; None when there is none. Raises NameTaken."""
    return _changed(conn, "update", {"user_id": user_id, "strategy_id": strategy_id}, new)


def delete(conn: psycopg.Connection[Any], user_id: UUID, strategy_id: UUID) -> bool:
    """Delete a strategy; False when there is none."""
    values = {"user_id": user_id, "strategy_id": strategy_id}
    return conn.execute(_SQL["delete"], values).rowcount == 1


def _changed(
    conn: psycopg.Connection[Any], statement: str, which: Mapping[str, UUID], new: NewStrategy
) -> Strategy | None:
    values = {
        **which,
        "name": new.name,
        "note": new.note,
        "template_json": Jsonb(new.template_json),
        "source_job_id": new.source_job_id,
        "source_variant_key": new.source_variant_key,
    }
    try:
        with conn.cursor(row_factory=class_row(Strategy)) as cursor:
            return cursor.execute(_SQL[statement], values).fetchone()
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name != _ONE_OF_A_NAME:
            raise
        raise NameTaken(new.name) from None
