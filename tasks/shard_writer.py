"""Writes down what a helper does with shards of somebody else's job."""

import time
from collections.abc import Callable
from typing import TypeVar

import psycopg
from structlog.stdlib import BoundLogger

from configs.one_line import one_line
from storage import faults, shards
from storage.connection import Connection
from storage.plan_records import SHARD_LEASE_SECONDS, ClaimedShard, Helper, Plan, ShardLease
from storage.records import Failure
from storage.retry import backoff
from storage.session import Session
from tasks.stop_reasons import ShardLost, WorkerStopping

LONGEST_PAUSE_SECONDS = 1.0
GIVE_BACK_SECONDS = 3.0

Result = TypeVar("Result")


class ShardWriter:
    """One helper's hold on the shards of a plan, one after the other.

    The lease of a shard is counted by the monotonic clock from before its last renewal was sent: so
    it ends here before it ends in the database, and whoever cannot renew it raises ShardLost.
    Raises WorkerStopping where a call has to wait, and the worker is to stop.
    """

    def __init__(
        self,
        session: Session,
        plan: Plan,
        helper: Helper,
        stopping: Callable[[], bool],
        log: BoundLogger,
    ) -> None:
        self.held: ShardLease | None = None
        self._session = session
        self._plan = plan
        self._helper = helper
        self._stopping = stopping
        self._log = log
        self._renewed_at = time.monotonic()

    def claim(self) -> ClaimedShard | None:
        """Take the next shard that is to be had."""
        self._renewed_at = sent_at = time.monotonic()
        taken = self._until_it_succeeds(
            lambda: self._session.run_one(
                lambda conn: shards.claim(conn, self._plan, self._helper), abandon=self._over
            )
        )
        if taken is not None:
            self._renewed_at = sent_at
            self.held = taken.lease
            self._log.debug("shard_claimed", shard=taken.lease.shard, units=taken.total_units)
        return taken

    def beat(self, processed: int) -> None:
        """Renew the lease and write how far the shard is; skipped while Postgres is away."""
        held = self._own()
        sent_at = time.monotonic()
        try:
            renewed = self._session.run_one(
                lambda conn: shards.beat(conn, held, processed), abandon=self._over
            )
        except psycopg.Error as error:
            self._raise_if_broken(error)
            self._say("beat_not_written", error)
        else:
            if not renewed:
                raise ShardLost
            self._renewed_at = sent_at
        if self._expired():
            raise ShardLost

    def finish(self, result: bytes) -> None:
        """Store what the shard has found."""
        held = self._own()
        self._end(lambda conn: shards.finish(conn, held, result))
        self._log.debug("shard_finished", shard=held.shard, bytes=len(result))

    def fail(self, failure: Failure) -> None:
        """Leave a shard, whose computation failed, to the coordinator."""
        held = self._own()
        self._end(lambda conn: shards.fail(conn, held, failure))

    def give_back(self) -> None:
        """Leave the shard, if there is one, to whoever asks next; best effort."""
        held, self.held = self.held, None
        if held is None:
            return
        give_up_at = time.monotonic() + GIVE_BACK_SECONDS
        try:
            self._session.run_one(
                lambda conn: shards.give_back(conn, held),
                abandon=lambda: time.monotonic() >= give_up_at,
            )
        except psycopg.Error as error:
            self._say("shard_left_to_run_out", error)
        else:
            self._log.info("shard_given_back", shard=held.shard)

    def _own(self) -> ShardLease:
        assert self.held is not None
        return self.held

    def _end(self, statement: Callable[[Connection], bool]) -> None:
        if not self._until_it_succeeds(lambda: self._session.run(statement, abandon=self._over)):
            raise ShardLost
        self.held = None

    def _until_it_succeeds(self, run: Callable[[], Result]) -> Result:
        for pause in backoff(longest=LONGEST_PAUSE_SECONDS):
            try:
                return run()
            except psycopg.Error as error:
                self._raise_if_broken(error)
                if self._stopping():
                    raise WorkerStopping from None
                if self._expired():
                    raise ShardLost from None
                self._say("write_delayed", error)
            time.sleep(pause)
        raise AssertionError("there is always another pause")

    def _over(self) -> bool:
        return self._stopping() or self._expired()

    def _expired(self) -> bool:
        return time.monotonic() - self._renewed_at >= SHARD_LEASE_SECONDS

    def _raise_if_broken(self, error: psycopg.Error) -> None:
        if not faults.passing(error):
            raise error

    def _say(self, event: str, error: psycopg.Error) -> None:
        self._log.warning(event, error=one_line(error), sqlstate=error.sqlstate)
