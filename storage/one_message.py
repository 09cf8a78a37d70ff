"""Statements that travel together with what begins and ends their transaction.

Each message is a journey to the server and back, which takes longer than most statements. Here
values travel as text in the statement, so they should be small: a server writes statements to its
log. The server reads all of a message before it locks anything.
"""

from collections.abc import Mapping
from typing import Any, Self

import psycopg
from psycopg.abc import Params, Query

from storage.connection import Connection


def begin_with_next(conn: Connection, begin: str, *, whole: bool) -> None:
    """Send `begin` with the next statement; with `whole` COMMIT too, and there is no other."""
    conn.before = begin
    conn.cursor_factory = _Whole if whole else _Joined


def commit_with_next(conn: psycopg.Connection[Any]) -> None:
    """Send COMMIT with the next statement, the last one of the transaction.

    Only where the transaction is a session's; one that somebody else has begun, they commit.
    """
    if isinstance(conn, Connection) and conn.ours:
        conn.after = "COMMIT"
        conn.cursor_factory = _Joined


def apart(conn: Connection) -> None:
    """Send each statement by itself, as usual."""
    conn.before = conn.after = None
    conn.cursor_factory = psycopg.Cursor


def together(
    conn: psycopg.Connection[Any], values: Mapping[str, Any], *statements: str
) -> list[int]:
    """Execute statements that need nothing of each other's answers; returns their row counts."""
    cursor = _Joined(conn)
    cursor.execute("; ".join(statements), values)
    counts = [cursor.rowcount]
    while cursor.nextset():
        counts.append(cursor.rowcount)
    return counts


class _Joined(psycopg.ClientCursor[Any]):
    """Sends a statement with what the connection has to send; stands on its rows afterwards."""

    def execute(
        self,
        query: Query,
        params: Params | None = None,
        *,
        prepare: bool | None = None,  # noqa: ARG002 – psycopg's signature
        binary: bool | None = None,  # noqa: ARG002
    ) -> Self:
        """Execute it, and whatever comes before and after it."""
        conn, before, after = self.connection, None, None
        if isinstance(conn, Connection):
            before, after = conn.before, conn.after
            apart(conn)
        parts = (before, self.mogrify(query, params), after)
        super().execute("; ".join(part for part in parts if part))
        if before is not None:
            self.set_result(before.count(";") + 1)
        return self


class _Whole(_Joined):
    """The cursor of a transaction that is one statement."""

    def execute(self, query: Query, params: Params | None = None, **options: Any) -> Self:
        """Execute it as a whole transaction. Raises ProgrammingError for a second one."""
        conn = self.connection
        assert isinstance(conn, Connection)
        if conn.before is None:
            raise psycopg.ProgrammingError("a transaction of one message has one statement")
        conn.after = "COMMIT"
        super().execute(query, params, **options)
        conn.cursor_factory = _Whole
        return self
