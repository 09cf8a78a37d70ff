"""The consumer: takes one message at a time out of Redis and lets only wake-ups through.

Dramatiq stumbles over foreign payloads: an undecodable one costs it three seconds, one that names
another queue ends its worker thread for good. So every payload is checked here, before dramatiq
sees it; what is not exactly a wake-up is removed from Redis and reported.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import redis
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import ConnectionClosed
from dramatiq.message import Message

from tasks import wake_up
from tasks.wake_up import Garbage, GarbageKind

REFUSING_SECONDS = 0.02
"""How long a worker that takes nothing now waits before it asks itself again."""

log = logging.getLogger(__name__)


class JobConsumer(Consumer):
    """Iterates over the wake-ups of one queue; None when none came for `wait_seconds`.

    It waits in Redis, so a worker without work costs next to nothing and hears of a message at
    once. Every look also tells Redis that this process is alive.

    `accepting` is asked before a message is taken out of Redis; `on_garbage` is called with a
    reason for every message that was dropped. At most one message is out of Redis and
    unacknowledged at any time. So what this consumer has not acknowledged in Redis is that one,
    plus leftovers that could not be acknowledged before.
    """

    def __init__(
        self,
        broker: RedisBroker,
        queue_name: str,
        *,
        wait_seconds: float,
        accepting: Callable[[], bool],
        on_garbage: Callable[[str], object],
    ) -> None:
        self._broker = broker
        self._queue_name = queue_name
        self._wait_seconds = wait_seconds
        self._accepting = accepting
        self._on_garbage = on_garbage
        # Cleared by the consumer thread, set by the worker thread that acknowledges.
        self._free = threading.Event()
        self._free.set()

    def __next__(self) -> MessageProxy | None:
        """Next wake-up, or None after a wait. Raises ConnectionClosed.

        The wait for the message that is being worked on ends when it is acknowledged.
        """
        if not self._free.wait(self._wait_seconds):
            return None
        try:
            message = self._take()
            if message is None:
                self._wait_for_another()
                return None
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        self._free.clear()
        return MessageProxy(message)

    def ack(self, message: MessageProxy) -> None:
        """Remove a message for good.

        When Redis is away it stays until the next one is removed: a worker that is being stopped
        must not wait for that.
        """
        try:
            self._forget_unacknowledged()
        except redis.RedisError as error:
            log.warning("message %s could not be acknowledged: %s", message.message_id, error)
        self._free.set()

    def nack(self, message: MessageProxy) -> None:
        """Remove a message for good: a dead letter would be one more copy of a job id."""
        self.ack(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Put a message that was taken but not worked on back into the queue."""
        if not list(messages):
            return
        try:
            self._broker.do_requeue(self._queue_name, *self._unacknowledged())
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]

    def _take(self) -> Message[Any] | None:
        while self._accepting():
            payloads = self._broker.do_fetch(self._queue_name, 1)
            if not payloads:
                break
            try:
                return self._check(payloads[0])
            except Garbage as garbage:
                self._forget_unacknowledged()
                log.debug("dropped a message of queue %r: %s", self._queue_name, garbage)
                self._on_garbage(str(garbage))
        return None

    def _wait_for_another(self) -> None:
        if not self._accepting():
            time.sleep(REFUSING_SECONDS)
            return
        # Moves the first id of the list to where it is: Redis answers as soon as there is one, and
        # nothing is taken. Whoever looks first gets it.
        key = f"{self._broker.namespace}:{self._queue_name}"
        self._broker.client.blmove(key, key, self._wait_seconds, "LEFT", "LEFT")  # type: ignore[arg-type]

    def _check(self, payload: bytes | None) -> Message[Any]:
        if self._queue_name != wake_up.QUEUE:
            raise Garbage(GarbageKind.DELAYED)
        return wake_up.read(payload)

    def _forget_unacknowledged(self) -> None:
        # Not by the id that a message claims to have: a forged one may claim any.
        for redis_id in self._unacknowledged():
            self._broker.do_ack(self._queue_name, redis_id)

    def _unacknowledged(self) -> list[bytes]:
        broker = self._broker
        key = f"{broker.namespace}:__acks__.{broker.broker_id}.{self._queue_name}"
        return list(broker.client.smembers(key))
