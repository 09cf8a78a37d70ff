"""The worker's broker: how dramatiq is made to consume wake-ups."""

from collections.abc import Callable, Sequence

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tasks import wake_up
from tasks.consumer import JobConsumer

WAIT_SECONDS = 0.5
"""For a message, in Redis. A worker that is told to stop ends its wait first."""


class JobBroker(RedisBroker):
    """Hands out one job at a time, as soon as Redis has it, and drops what is no job.

    A worker that has booted sets the attributes: `namespace`, which it learns from the database;
    `accepting`, asked before a message is taken out of Redis; `on_garbage`, called with a reason
    for every message that was dropped.
    """

    accepting: Callable[[], bool] = staticmethod(lambda: True)
    on_garbage: Callable[[str], None] = staticmethod(lambda _reason: None)

    def consume(
        self,
        queue_name: str,
        prefetch: int = 1,  # noqa: ARG002 – dramatiq passes both by name
        timeout: int = 0,  # noqa: ARG002
    ) -> JobConsumer:
        """Consume with prefetch 1 and waits of our own, whatever the command line says.

        Nobody sends delayed messages; their queue is only looked into to clear it, and because
        every look tells Redis that this process is alive while it computes.
        """
        return JobConsumer(
            self,
            queue_name,
            wait_seconds=WAIT_SECONDS,
            accepting=lambda: self.accepting(),
            on_garbage=lambda reason: self.on_garbage(reason),
        )


def make_broker(redis_url: str, middleware: Sequence[dramatiq.Middleware] = ()) -> JobBroker:
    """Broker without retries, time limits or any middleware but the given; connects on first use.

    Raises ValueError when the URL is none.
    """
    client = wake_up.connect(redis_url)
    return JobBroker(client=client, middleware=list(middleware))  # type: ignore[no-untyped-call]
