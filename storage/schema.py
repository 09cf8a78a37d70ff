"""Which schema the database has, and which database it is."""

from typing import Any

import psycopg

from storage import statements

_SQL = statements.load("schema")

REVISION = "0002"
"""The newest schema revision that this program was written for."""

CHANNEL = "backtest_jobs"
"""Notified by whoever submits or releases a job."""


class DatabaseReplaced(Exception):
    """The database is not the one any more that this program began with."""


class SchemaUnusable(Exception):
    """The database is reachable, but its schema is not one that this program can work with."""


def check(conn: psycopg.Connection[Any]) -> None:
    """Raise SchemaUnusable unless this program can work with the database's schema.

    It can with its own revision, and with newer ones as long as they say so: the programs of
    the last release go on while the schema is already that of the next.
    """
    try:
        found = _installed(conn)
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaUnusable(
            f"{error.diag.message_primary}: grant the role of STRATEGY_PG_DSN what"
            " docs/runbook.md lists under grants"
        ) from error
    if found is None or found["revision"] < REVISION:
        state = "has no schema yet" if found is None else f"is at revision {found['revision']}"
        raise SchemaUnusable(
            f"the database {state}, this program needs revision {REVISION}:"
            " run `backtest migrate` with POSTGRES_DSN set"
        )
    if found["oldest_program_revision"] > REVISION:
        raise SchemaUnusable(
            f"the database is at revision {found['revision']} and works with programs from revision"
            f" {found['oldest_program_revision']} on, this program is of revision {REVISION}:"
            " install the newer release"
        )


def namespace(conn: psycopg.Connection[Any]) -> str:
    """Return 12 hex digits that differ between databases, also between a database and its copy.

    Both ends of the broker use them, so that deployments which share a Redis do not meet.
    """
    row = conn.execute(_SQL["namespace"]).fetchone()
    assert row is not None
    return str(row[0])


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


def _installed(conn: psycopg.Connection[Any]) -> dict[str, str] | None:
    tables = conn.execute(_SQL["tables"]).fetchone()
    assert tables is not None
    versioned, first_release = tables
    if versioned:
        row = conn.execute(_SQL["installed"]).fetchone()
    elif first_release:
        row = conn.execute(_SQL["installed_by_first_release"]).fetchone()
    else:
        row = None
    return None if row is None else {"revision": row[0], "oldest_program_revision": row[1]}
