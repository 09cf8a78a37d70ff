"""Calls idle workers to the help of jobs that are shared: those come first that have the fewest."""

import heapq
from collections.abc import Iterator, Sequence
from uuid import UUID

import structlog
from dramatiq.brokers.redis import RedisBroker

from scheduler.duty import Transact
from storage import dispatch
from storage.plan_records import HelpWanted
from tasks import wake_up

log = structlog.get_logger()


class CallsForHelp:
    """One round: so many calls wait in Redis as there are idle workers, and none beside jobs.

    Jobs come first: where one waits in Redis, nobody is called. Losing or repeating a call does no
    harm, for whoever answers it asks Postgres what is to be had.
    """

    def __init__(self, broker: RedisBroker, *, max_crashes: int) -> None:
        self._broker = broker
        self._max_crashes = max_crashes

    def run(self, transact: Transact) -> int:
        """Run one round; returns the number of calls sent. Raises what Postgres or Redis raise."""
        now = wake_up.idleness(self._broker)
        idle = now.workers - now.calls_for_help
        if now.jobs or idle <= 0:
            return 0
        wanted = transact(
            lambda conn: dispatch.help_wanted(conn, max_crashes=self._max_crashes, limit=idle)
        )
        calls = list(shared_out(wanted, idle))
        for job_id in calls:
            wake_up.enqueue(self._broker, job_id, wake_up.HELP_QUEUE)
            log.debug("called_for_help", job_id=str(job_id))
        return len(calls)


def shared_out(wanted: Sequence[HelpWanted], idle: int) -> Iterator[UUID]:
    """Yield which job each idle worker is to help: the one with the fewest workers by then.

    No job gets more than it has shards to be had; among equals the first in `wanted` comes first.
    """
    jobs = [(job.workers, place, job.free_shards) for place, job in enumerate(wanted)]
    heapq.heapify(jobs)
    while jobs and idle > 0:
        workers, place, free = heapq.heappop(jobs)
        yield wanted[place].job_id
        idle -= 1
        if free > 1:
            heapq.heappush(jobs, (workers + 1, place, free - 1))
