"""Wakes workers up: marks due jobs in Postgres, commits, then sends one message for each."""

from collections.abc import Sequence
from time import monotonic

import psycopg
import structlog
from dramatiq.brokers.redis import RedisBroker

from scheduler.duty import Transact
from scheduler.metrics import Metrics
from storage import dispatch, faults
from storage.records import Due
from tasks import wake_up

log = structlog.get_logger()


class Dispatcher:
    """One round: what waits in Redis is put off, and what is due besides is sent while it fits.

    The wake-ups of at most `window` different jobs wait in Redis. It is first-in-first-out, so
    priority and rescue only overtake what is not in it yet. One statement marks at most `batch`.
    No transaction is open while Redis is spoken to.

    What was read from Redis is good for `redispatch_seconds`: no other scheduler can have marked a
    job since and find it due again. So no job waits there twice, however long this one was paused.
    """

    def __init__(
        self,
        broker: RedisBroker,
        metrics: Metrics,
        *,
        batch: int,
        window: int,
        redispatch_seconds: float,
    ) -> None:
        self._broker = broker
        self._metrics = metrics
        self._batch = batch
        self._window = window
        self._redispatch_seconds = redispatch_seconds

    def run(self, transact: Transact) -> int:
        """Run one round; returns the number of messages sent.

        Redis is asked first, so while it is away no row is marked. Raises what Postgres or Redis
        raise; rows marked but not sent are due again before that.
        """
        good_until = monotonic() + self._redispatch_seconds
        waiting = wake_up.waiting(self._broker)
        self._metrics.count_messages(waiting.garbage)
        if waiting.job_ids:
            transact(
                lambda conn: dispatch.postpone_waiting(
                    conn, waiting.job_ids, redispatch_seconds=self._redispatch_seconds
                )
            )
        room = self._window - len(waiting.job_ids)
        sent = 0
        while sent < room:
            limit = min(self._batch, room - sent)
            due = transact(
                lambda conn, limit=limit: dispatch.mark_due(  # type: ignore[misc]
                    conn,
                    limit=limit,
                    waiting=waiting.job_ids,
                    redispatch_seconds=self._redispatch_seconds,
                )
            )
            arrived = self._send(transact, due, good_until)
            sent += arrived
            if arrived < limit:
                break
        return sent

    def _send(self, transact: Transact, due: Sequence[Due], good_until: float) -> int:
        unsent = list(due)
        try:
            while unsent and monotonic() < good_until:
                wake_up.enqueue(self._broker, unsent[0].job_id)
                job = unsent.pop(0)
                self._metrics.dispatched.inc()
                log.debug("dispatched", job_id=str(job.job_id), dispatch_count=job.dispatch_count)
        finally:
            if unsent:
                _give_back(transact, unsent)
        return len(due) - len(unsent)


def _give_back(transact: Transact, unsent: Sequence[Due]) -> None:
    """Make marked jobs due again at once; where Postgres is gone too, they are so in time."""
    try:
        transact(lambda conn: dispatch.unmark(conn, unsent))
    except psycopg.Error as error:
        if not faults.passing(error):
            raise
