"""Which schema the database has, and which database it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from storage import statements

_SQL = statements.load("schema")

REVISION = "0008"
"""The newest schema revision that this program was written for."""

FIRST_REVISION = "0001"
"""That of the first release, which kept it in alembic's ordinary table."""

CHANNEL = "backtest_jobs"
"""Notified by whoever submits or releases a job."""

EVENTS_CHANNEL = "backtest_job_events"
"""Notified by the database with the job's id for every event that is appended."""


class DatabaseReplaced(Exception):
    """The database is not the one any more that this program began with."""


class SchemaUnusable(Exception):
    """The database is reachable, but its schema is not one that this program can work with."""


def check(conn: psycopg.Connection[Any]) -> str:
    """Return the schema's revision; raises SchemaUnusable unless this program can work with it.

    It can with its own revision, and with newer ones as long as they say so: the programs of
    the last release go on while the schema is already that of the next.
    """
    with _advice_on_grants(conn):
        revision = _revision(conn)
        oldest = revision if revision < REVISION else _one(conn, "oldest_program_revision")
    if revision < REVISION:
        raise SchemaUnusable(
            f"the database is at revision {revision}, this program needs revision {REVISION}:"
            " run `backtest migrate` with POSTGRES_DSN set"
        )
    if oldest > REVISION:
        raise SchemaUnusable(
            f"the database is at revision {revision} and works with programs from revision"
            f" {oldest} on, this program is of revision {REVISION}: install the newer release"
        )
    return revision


def namespace(conn: psycopg.Connection[Any]) -> str:
    """Return 12 hex digits that differ between databases, also between a database and its copy.

    Both ends of the broker use them, so that deployments which share a Redis do not meet.
    """
    with _advice_on_grants(conn):
        return _one(conn, "namespace")


def check_unchanged(conn: psycopg.Connection[Any], began_with: str) -> None:
    """Raise DatabaseReplaced unless the database has the namespace `began_with`.

    For every new connection: after a restore, both ends of the broker have to begin anew.
    """
    found = namespace(conn)
    if found != began_with:
        raise DatabaseReplaced(
            f"the database was replaced: this program began with {began_with}, now it is {found};"
            " start it again"
        )


def _revision(conn: psycopg.Connection[Any]) -> str:
    row = conn.execute(_SQL["tables"]).fetchone()
    assert row is not None
    versioned, first_release, search_path = row
    if first_release and not versioned:
        return FIRST_REVISION
    found = conn.execute(_SQL["revision"]).fetchone() if versioned else None
    if found is None:
        raise SchemaUnusable(
            f"the database {conn.info.dbname} has no schema yet in its search_path {search_path}:"
            " run `backtest migrate` with POSTGRES_DSN set, or correct the search_path of the role"
            f" {conn.info.user}"
        )
    return str(found[0])


def _one(conn: psycopg.Connection[Any], statement: str) -> str:
    row = conn.execute(_SQL[statement]).fetchone()
    assert row is not None
    return str(row[0])


@contextmanager
def _advice_on_grants(conn: psycopg.Connection[Any]) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaUnusable(
            f"{error.diag.message_primary}: grant the role {conn.info.user} what docs/runbook.md"
            " lists under grants"
        ) from error
