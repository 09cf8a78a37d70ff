"""A connection that is opened when it is needed and again after it broke."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg

from storage.postgres import UNAVAILABLE, shut_down

Connect = Callable[[], psycopg.Connection[Any]]
Result = TypeVar("Result")


class Session:
    """The one connection of one thread; only `shut_down` may be called from another."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._conn: psycopg.Connection[Any] | None = None
        # A descriptor that is closed while it is being shut down might be someone else's by then.
        self._closing = threading.Lock()

    def run(self, statement: Callable[[psycopg.Connection[Any]], Result]) -> Result:
        """Run `statement` on the connection.

        Raises one of `storage.postgres.UNAVAILABLE` when that cannot be done now; the next call
        then starts with a new connection.
        """
        try:
            if self._conn is None or self._conn.closed:
                self._conn = self._connect()
            return statement(self._conn)
        except UNAVAILABLE:
            self.close()
            raise

    def shut_down(self) -> None:
        """End the connection from any thread, whatever its own thread is waiting for."""
        with self._closing:
            if self._conn is not None:
                shut_down(self._conn)

    def close(self) -> None:
        """Close the connection; the next `run` opens another."""
        with self._closing:
            conn, self._conn = self._conn, None
            if conn is not None:
                with suppress(psycopg.Error):
                    conn.close()
