"""Being told at once when something happened to jobs."""

import random
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import closing
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from configs.one_line import one_line
from storage import faults
from storage.connection import Connection, address, conninfo
from storage.retry import backoff
from storage.schema import CHANNEL

ANSWER_SECONDS = 5.0
ECHO_SECONDS = 2.0
POLL_AGAIN_SECONDS = 60.0
STOP_SECONDS = 2.0


class Deaf(Exception):
    """The connection works and brings no notifications."""


class Listener:
    """A thread that calls `wake` when its channel is notified.

    The default channel says that jobs were submitted or released. The thread listens on a
    connection of its own and reconnects with backoff. A burst of notifications is one call, and so
    is every (re)connection, for something may have been missed before it. `log` gets one line when
    the connection is lost, when it is back, and when nothing will ever come: behind a pooler in
    transaction mode notifications reach whoever has the session at the time. Whoever uses this
    polls as well, so that costs latency and nothing else.
    """

    def __init__(
        self,
        dsn: str,
        wake: Callable[[], object],
        log: Callable[[str], object],
        *,
        channel: str = CHANNEL,
        application_name: str = "backtest-listener",
    ) -> None:
        self._conninfo = conninfo(dsn, application_name=application_name)
        self._address = address(dsn)
        self._wake = wake
        self._log = log
        self._channel = channel
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Start listening; returns at once, connected or not."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the thread; harmless when it was never started.

        A thread that is just connecting to a silent server is left behind after `STOP_SECONDS`:
        it ends by itself, and does not keep the process.
        """
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        pauses = backoff()
        complaint: str | None = None
        while not self._stopping.is_set():
            try:
                with closing(self._open()) as conn:
                    self._subscribe(conn)
                    if complaint is not None:
                        self._log(f"listening to Postgres at {self._address} again")
                    complaint, pauses = None, backoff()
                    self._wake()
                    self._listen(conn)
                return
            except Deaf as error:
                text, pause = str(error), POLL_AGAIN_SECONDS
            except psycopg.Error as error:
                text = f"lost the notifications of Postgres: {one_line(error)}"
                # Spread out, so that many listeners do not come back in the same instant.
                pause = next(pauses) * random.uniform(0.5, 1.0)  # noqa: S311
                if not faults.passing(error):
                    pause = POLL_AGAIN_SECONDS
            if complaint is None and not self._stopping.is_set():
                self._log(text)
            complaint = text
            self._stopping.wait(pause)

    def _open(self) -> Connection:
        conn = Connection.open(self._conninfo)
        conn.answer_seconds = ANSWER_SECONDS
        conn.abandon = self._stopping.is_set
        return conn

    def _subscribe(self, conn: Connection) -> None:
        """Listen, and see that notifications of others arrive. Raises Deaf."""
        if conn.pooled():
            # A LISTEN would stay on a session that is a stranger's next.
            raise Deaf(
                f"Postgres at {self._address} is behind a pooler: no notifications, what happens to"
                " jobs is found by polling; connect this program to Postgres itself to hear of it"
                " at once"
            )
        conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        echo = f"echo {secrets.token_hex(8)}"
        with closing(self._open()) as other:
            other.execute("SELECT pg_notify(%s, %s)", (self._channel, echo))
        deadline = time.monotonic() + ECHO_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            if any(notice.payload == echo for notice in conn.notifies(timeout=left, stop_after=1)):
                return
        raise Deaf(
            f"Postgres at {self._address} delivers no notifications: what happens to jobs is found"
            " by polling"
        )

    def _listen(self, conn: psycopg.Connection[Any]) -> None:
        while not self._stopping.is_set():
            if list(conn.notifies(timeout=1.0, stop_after=1)):
                self._wake()
