"""The Redis broker: how a job's wake-up is sent, and how dramatiq is made to consume it.

A message carries a job id and nothing else; losing, repeating or forging one changes latency only.
The scheduler imports this module to send: it opens no connection and sets nothing at import.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks.consumer import JobConsumer

QUEUE = "backtest"
ACTOR_NAME = "backtest"

POLL_MS = 50
DELAYED_POLL_MS = 1000

SOCKET_SECONDS = 5.0
CONNECT_SECONDS = 3.0


class QueueUnavailable(Exception):
    """Redis cannot be used now; trying again later may succeed."""


class JobBroker(RedisBroker):
    """Hands out one job at a time, polls often enough, and drops what is no job.

    A worker sets both attributes: `accepting` is asked before a message is taken out of Redis,
    `on_garbage` is called with a reason for every message that was dropped.
    """

    accepting: Callable[[], bool] = staticmethod(lambda: True)
    on_garbage: Callable[[str], None] = staticmethod(lambda _reason: None)

    def consume(
        self,
        queue_name: str,
        prefetch: int = 1,  # noqa: ARG002 – dramatiq passes both by name
        timeout: int = POLL_MS,  # noqa: ARG002
    ) -> JobConsumer:
        """Consume with prefetch 1 and short polls, whatever the command line says.

        Nobody sends delayed messages; their queue is only looked into to clear it, and because
        every look tells Redis that this process is alive while it computes.
        """
        poll_ms = POLL_MS if queue_name == QUEUE else DELAYED_POLL_MS
        return JobConsumer(self, queue_name, poll_ms)


def make_broker(redis_url: str, middleware: Sequence[dramatiq.Middleware] = ()) -> JobBroker:
    """Broker without retries, time limits or any middleware but the given; connects on first use.

    Raises ValueError when the URL is none.
    """
    # Without limits of our own, a blackholed Redis would block a command for ever. One immediate
    # retry covers a pooled connection that a restarted server has closed.
    options = {"socket_timeout": SOCKET_SECONDS, "retry": Retry(NoBackoff(), retries=1)}
    if not redis_url.startswith("unix:"):
        options |= {"socket_connect_timeout": CONNECT_SECONDS, "socket_keepalive": True}
    client = redis.Redis.from_url(redis_url, **options)
    return JobBroker(client=client, middleware=list(middleware))  # type: ignore[no-untyped-call]


def enqueue(broker: dramatiq.Broker, job_id: UUID) -> None:
    """Send the wake-up of one job. Raises QueueUnavailable."""
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=QUEUE, actor_name=ACTOR_NAME, args=(str(job_id),), kwargs={}, options={}
    )
    try:
        broker.enqueue(message)
    except redis.RedisError as error:
        raise QueueUnavailable(f"Redis: {error}") from error


def waiting(broker: dramatiq.Broker) -> int:
    """Count the messages that wait in Redis and no worker has taken. Raises QueueUnavailable."""
    assert isinstance(broker, JobBroker)
    try:
        return int(broker.client.llen(f"{broker.namespace}:{QUEUE}"))
    except redis.RedisError as error:
        raise QueueUnavailable(f"Redis: {error}") from error
