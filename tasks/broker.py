"""The worker's broker: how dramatiq is made to consume wake-ups."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tasks import wake_up
from tasks.consumer import Gate, HelpConsumer, JobConsumer

WAIT_SECONDS = 0.5
"""For a message, in Redis. A worker that is told to stop ends its wait first."""


class JobBroker(RedisBroker):
    """Hands out one job at a time, as soon as Redis has it, and drops what is no job.

    A worker that has booted sets the attributes: `namespace`, which it learns from the database;
    `accepting`, asked before a message is taken out of Redis; `on_garbage`, called with a reason
    for every message that was dropped. `idle_workers` is how many there were when this process was
    idle last, itself included.
    """

    accepting: Callable[[], bool] = staticmethod(lambda: True)
    on_garbage: Callable[[str], None] = staticmethod(lambda _reason: None)
    idle_workers: int = 1

    @cached_property
    def _gate(self) -> Gate:
        return Gate()

    def consume(
        self,
        queue_name: str,
        prefetch: int = 1,  # noqa: ARG002 – dramatiq passes both by name
        timeout: int = 0,  # noqa: ARG002
    ) -> JobConsumer:
        """Consume with prefetch 1 and waits of our own, whatever the command line says.

        Nobody sends delayed messages; their queues are only looked into to clear them, and because
        every look tells Redis that this process is alive while it computes.
        """
        options: dict[str, Any] = {
            "wait_seconds": WAIT_SECONDS,
            "accepting": lambda: self.accepting(),
            "on_garbage": lambda reason: self.on_garbage(reason),
        }
        match queue_name:
            case wake_up.QUEUE:
                return JobConsumer(self, queue_name, gate=self._gate, **options)
            case wake_up.HELP_QUEUE:
                return HelpConsumer(
                    self, queue_name, gate=self._gate, on_idle=self._note_idle, **options
                )
            case _:
                return JobConsumer(self, queue_name, gate=Gate(), **options)

    def job_waits(self) -> bool:
        """Whether there is a job that no worker has taken; False where Redis cannot be asked."""
        try:
            return wake_up.idleness(self).jobs > 0
        except wake_up.QueueUnavailable:
            return False

    def _note_idle(self, workers: int) -> None:
        self.idle_workers = workers


def make_broker(redis_url: str, middleware: Sequence[dramatiq.Middleware] = ()) -> JobBroker:
    """Broker without retries, time limits or any middleware but the given; connects on first use.

    Raises ValueError when the URL is none.
    """
    client = wake_up.connect(redis_url)
    return JobBroker(client=client, middleware=list(middleware))  # type: ignore[no-untyped-call]
