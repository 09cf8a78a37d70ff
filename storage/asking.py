"""A question to the database: a statement that reads, and what is made of its rows.

Asked one by one inside a transaction, or several at once in an event loop by
`storage.session.Session.ask`, which sends them and the transaction around them as one message.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import psycopg
from psycopg.rows import RowMaker, tuple_row

from storage.connection import LoopConnection

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Ask(Generic[Answer]):
    """`made` turns the rows, of the form `rows`, into the answer; the statement changes nothing."""

    statement: str
    values: Mapping[str, Any]
    made: Callable[[list[Any]], Answer]
    rows: Callable[[Any], RowMaker[Any]] = tuple_row

    def of(self, conn: psycopg.Connection[Any]) -> Answer:
        """Ask inside a transaction."""
        with conn.cursor(row_factory=self.rows) as cursor:
            return self.made(cursor.execute(self.statement, self.values).fetchall())


async def asked(conn: LoopConnection, begin: str, asks: tuple[Ask[Any], ...]) -> tuple[Any, ...]:
    """Send `begin`, all questions and COMMIT as one message, and return the answers in order."""
    cursor = psycopg.AsyncClientCursor(conn)
    texts = [cursor.mogrify(ask.statement, ask.values) for ask in asks]
    await cursor.execute("; ".join((begin, *texts, "COMMIT")))
    answers = []
    for ask in asks:
        while not _has_rows(cursor):
            cursor.nextset()
        cursor.row_factory = ask.rows
        answers.append(ask.made(await cursor.fetchall()))
        cursor.nextset()
    return tuple(answers)


def _has_rows(cursor: psycopg.AsyncCursor[Any]) -> bool:
    # Not by its description, which is made anew each time it is looked at.
    result = cursor.pgresult
    return result is not None and result.nfields > 0
