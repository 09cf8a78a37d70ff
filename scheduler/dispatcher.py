"""Wakes workers up: marks due jobs in Postgres, commits, then sends one message for each."""

from collections.abc import Sequence

import structlog
from dramatiq import Broker

from scheduler.metrics import Metrics
from storage import dispatch
from storage.records import Due
from storage.session import Session
from tasks.broker import enqueue, waiting

log = structlog.get_logger()


class Dispatcher:
    """One dispatch run: rounds of mark, commit, send, until nothing more is due or fits.

    At most `window` messages wait in Redis. It is first-in-first-out, so priority and rescue only
    overtake what is not in it yet.
    """

    def __init__(
        self,
        broker: Broker,
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

    def run(self, session: Session) -> int:
        """Send what is due and fits; returns the number of messages sent.

        Redis is asked first, so while it is away no row is marked. Raises what Postgres or Redis
        raise; rows marked but not sent are unmarked before.
        """
        sent = 0
        while True:
            room = min(self._batch, self._window - waiting(self._broker))
            if room <= 0:
                return sent
            due = self._mark(session, room)
            self._send(session, due)
            sent += len(due)
            if len(due) < room:
                return sent

    def _mark(self, session: Session, room: int) -> list[Due]:
        return session.run(
            lambda conn: dispatch.mark_due(
                conn, limit=room, redispatch_seconds=self._redispatch_seconds
            )
        )

    def _send(self, session: Session, due: Sequence[Due]) -> None:
        unsent = list(due)
        try:
            while unsent:
                enqueue(self._broker, unsent[0].job_id)
                job = unsent.pop(0)
                self._metrics.dispatched.inc()
                log.debug("dispatched", job_id=str(job.job_id), dispatch_count=job.dispatch_count)
        finally:
            # Also when the process is being stopped: the next scheduler need not wait for the
            # redispatch time. If Postgres is gone as well, it does.
            if unsent:
                session.run(lambda conn: dispatch.unmark(conn, unsent))
