"""How an owner writes: guarded by its lease, tried again, and given up when that is right."""

import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import NoReturn, TypeVar

import psycopg
from structlog.stdlib import BoundLogger

from configs.one_line import one_line
from storage import faults, leases
from storage.connection import Connection
from storage.faults import Fault
from storage.records import Lease, State
from storage.retry import backoff
from storage.session import Session
from tasks import failures
from tasks.lease import Ownership
from tasks.refusals import Refusals
from tasks.stop_reasons import JobFailed, LeaseLost, WorkerStopping
from tasks.stopping import set_for

LONGEST_PAUSE_SECONDS = 1.0
STOP_GRACE_SECONDS = 1.0
"""How long a worker that is to stop waits for the answer to a write."""
END_GRACE_SECONDS = 5.0
"""How long it waits for the write that ends the job."""
RELEASE_SECONDS = 10.0
RELEASE_TRY_SECONDS = 3.0
LAST_LOOK_SECONDS = 5.0

Result = TypeVar("Result")


class GuardedWrites:
    """The connection on which an owner writes, and what it does about errors.

    A statement answers None or False where the lease is lost; LeaseLost is raised then. What
    Postgres refuses for good raises JobFailed, and so does what it refuses again and again while
    other writes of the job succeed.
    """

    def __init__(
        self,
        session: Session,
        lease: Lease,
        ownership: Ownership,
        stopping: threading.Event,
        log: Callable[[], BoundLogger],
    ) -> None:
        self._session = session
        self._lease = lease
        self._ownership = ownership
        self._stopping = stopping
        self._log = log
        self._refusals = Refusals()
        self._not_wanted = self._lost_or(set_for(stopping, STOP_GRACE_SECONDS))
        self._end_sent = False

    def write(
        self,
        name: str,
        statement: Callable[[Connection], Result | None],
        *,
        several: bool = False,
    ) -> Result:
        """Write and renew the lease; tried again until the lease is lost or the worker stops.

        With `several`, `statement` executes more than one, or values that are large.
        """
        stopping = set_for(self._stopping, 0)
        return self._until_it_succeeds(name, lambda: self._renew_by(statement, several), stopping)

    def write_or_skip(
        self,
        name: str,
        statement: Callable[[Connection], Result | None],
        *,
        several: bool = False,
    ) -> Result | None:
        """Write and renew the lease; None when Postgres is away or refuses for now."""
        try:
            result = self._renew_by(statement, several)
        except psycopg.Error as error:
            self._raise_if_broken(name, error)
            self._log().warning(
                f"{name}_not_written", error=one_line(error), sqlstate=error.sqlstate
            )
            return None
        self._refusals.succeeded(name)
        return result

    def read(self, name: str, statement: Callable[[Connection], Result]) -> Result:
        """Run a statement that changes nothing; tried again like `write`."""

        def run() -> Result:
            return self._session.run(statement, abandon=self._not_wanted)

        return self._until_it_succeeds(name, run, set_for(self._stopping, 0))

    def end(self, statement: Callable[[Connection], State | None]) -> State:
        """Run the last write, which may be large; returns the state in which the job ended."""
        self._ownership.close()
        too_late = set_for(self._stopping, END_GRACE_SECONDS)

        def end_once(conn: Connection) -> State:
            # After an error at COMMIT nobody can know whether it took place: look first.
            ended = leases.own_end(conn, self._lease) if self._end_sent else None
            self._end_sent = True
            return ended or statement(conn) or _lost()

        def run() -> State:
            return self._session.run(
                end_once,
                joined=True,
                statement_seconds=self._lease.seconds,
                abandon=self._lost_or(too_late),
            )

        try:
            return self._until_it_succeeds("end", run, too_late)
        except LeaseLost:
            ended = self._last_look()
            if ended is None:
                raise
            return ended

    def release(self, also: Callable[[Connection], object]) -> State | None:
        """Give the job back, to be picked up by somebody else at once; best effort.

        In the same transaction `also` gives back what else is held. Returns the state of a job that
        had ended by our last write already.
        """
        self._ownership.close()
        give_up_at = time.monotonic() + RELEASE_SECONDS
        too_late = self._lost_or(lambda: time.monotonic() >= give_up_at)
        sent = False

        def release_once(conn: Connection) -> State | None:
            nonlocal sent
            ended = leases.own_end(conn, self._lease) if self._end_sent else None
            if ended is None and not leases.release(conn, self._lease) and not sent:
                _lost()
            sent = True  # where its answer gets lost, the job is ours no more
            also(conn)
            return ended

        for pause in backoff(longest=LONGEST_PAUSE_SECONDS):
            try:
                ended = self._session.run(
                    release_once,
                    statement_seconds=min(RELEASE_TRY_SECONDS, self._lease.seconds),
                    abandon=too_late,
                )
                break
            except psycopg.Error as error:
                self._log().warning(
                    "release_failed", error=one_line(error), sqlstate=error.sqlstate
                )
                if too_late() or not faults.passing(error):
                    self._log().error("lease_left_to_run_out")
                    return None
            self._ownership.lost.wait(pause)
        if ended is None:
            self._log().info("lease_released")
        return ended

    def _until_it_succeeds(
        self, name: str, run: Callable[[], Result], stop: Callable[[], bool]
    ) -> Result:
        for pause in backoff(longest=LONGEST_PAUSE_SECONDS):
            try:
                result = run()
                break
            except psycopg.Error as error:
                if self._ownership.lost.is_set():
                    raise LeaseLost from None
                self._raise_if_broken(name, error)
                if stop():
                    raise WorkerStopping from None
                self._log().warning(
                    "write_delayed",
                    statement=name,
                    error=one_line(error),
                    sqlstate=error.sqlstate,
                    retry_seconds=pause,
                )
            if self._ownership.lost.wait(pause):
                raise LeaseLost
        self._refusals.succeeded(name)
        return result

    def _renew_by(self, statement: Callable[[Connection], Result | None], several: bool) -> Result:
        session = self._session
        run = partial(session.run, joined=True) if several else session.run_one
        sent_at = time.monotonic()
        result = run(lambda conn: statement(conn) or _lost(), abandon=self._not_wanted)
        self._ownership.renewed(sent_at)
        return result

    def _lost_or(self, other: Callable[[], bool]) -> Callable[[], bool]:
        return lambda: self._ownership.lost.is_set() or other()

    def _raise_if_broken(self, name: str, error: psycopg.Error) -> None:
        fault = faults.of(error)
        if fault is Fault.GONE:
            return
        others_succeeded_at = self._ownership.renewed_at
        if fault is Fault.REFUSED and not self._refusals.too_many(name, others_succeeded_at):
            return
        details: dict[str, object] = {
            "statement": name,
            "exception": type(error).__name__,
            "sqlstate": error.sqlstate,
        }
        trace = "".join(traceback.format_exception(error))
        raise JobFailed(failures.unexpected(details, trace)) from None

    def _last_look(self) -> State | None:
        if not self._end_sent:
            return None
        give_up_at = time.monotonic() + LAST_LOOK_SECONDS
        try:
            return self._session.run(
                lambda conn: leases.own_end(conn, self._lease),
                abandon=lambda: time.monotonic() >= give_up_at,
            )
        except psycopg.Error as error:
            self._log().warning("end_unknown", error=one_line(error), sqlstate=error.sqlstate)
            return None


def _lost() -> NoReturn:
    raise LeaseLost
