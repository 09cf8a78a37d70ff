"""The consumer: takes one message at a time out of Redis and lets only wake-ups through.

Dramatiq stumbles over foreign payloads: an undecodable one costs it three seconds, one that names
another queue ends its worker thread for good. So every payload is checked here, before dramatiq
sees it; what is not exactly a wake-up is removed from Redis and reported.
"""

import logging
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import redis
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.common import compute_backoff
from dramatiq.errors import ConnectionClosed, DecodeError
from dramatiq.message import Message

if TYPE_CHECKING:
    from tasks.broker import JobBroker

log = logging.getLogger(__name__)


class Garbage(Exception):
    """A payload that is no wake-up of a job; the text says why."""


def read_wake_up(payload: bytes | None, *, queue: str, actors: Iterable[str]) -> Message[Any]:
    """Decode a payload that asks one of `actors` of `queue` to run one job; raises Garbage."""
    if payload is None:
        raise Garbage("empty")  # delivered more than once, or its content was deleted
    try:
        message: Message[Any] = Message.decode(payload)
    except DecodeError:
        raise Garbage("undecodable") from None
    if not isinstance(message.message_id, str) or not isinstance(message.options, dict):
        raise Garbage("malformed")
    if message.queue_name != queue:
        raise Garbage("other_queue")
    if message.actor_name not in set(actors):
        raise Garbage("other_actor")
    if "eta" in message.options:
        raise Garbage("delayed")
    if message.kwargs != {} or len(message.args) != 1 or not _is_uuid(message.args[0]):
        raise Garbage("not_a_job_id")
    return message


class JobConsumer(Consumer):
    """Iterates over the wake-ups of one queue; None when there is none at the moment.

    At most one message is out of Redis and unacknowledged at any time. So what this consumer has
    not acknowledged in Redis is that one, plus leftovers that could not be acknowledged before.
    """

    def __init__(self, broker: "JobBroker", queue_name: str, poll_ms: int) -> None:
        self._broker = broker
        self._queue_name = queue_name
        self._poll_ms = poll_ms
        self._misses = 0
        # Set by the consumer thread, cleared by the worker thread that acknowledges.
        self._busy = threading.Event()

    def __next__(self) -> MessageProxy | None:
        """Next wake-up, or None after a short sleep. Raises ConnectionClosed."""
        try:
            message = self._take()
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        if message is not None:
            self._misses = 0
            self._busy.set()
            return MessageProxy(message)
        self._misses, backoff_ms = compute_backoff(self._misses, max_backoff=self._poll_ms)
        time.sleep(backoff_ms / 1000)
        return None

    def ack(self, message: MessageProxy) -> None:
        """Remove a message for good.

        When Redis is away it stays until the next one is removed: a worker that is being stopped
        must not wait for that.
        """
        try:
            self._forget_unacknowledged()
        except redis.RedisError as error:
            log.warning("message %s could not be acknowledged: %s", message.message_id, error)
        self._busy.clear()

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
        while not self._busy.is_set() and self._broker.accepting():
            payloads = self._broker.do_fetch(self._queue_name, 1)
            if not payloads:
                break
            try:
                return self._check(payloads[0])
            except Garbage as garbage:
                self._forget_unacknowledged()
                log.debug("dropped a message of queue %r: %s", self._queue_name, garbage)
                self._broker.on_garbage(str(garbage))
        return None

    def _check(self, payload: bytes | None) -> Message[Any]:
        if self._queue_name not in self._broker.get_declared_queues():
            raise Garbage("delayed")
        actors = self._broker.get_declared_actors()
        return read_wake_up(payload, queue=self._queue_name, actors=actors)

    def _forget_unacknowledged(self) -> None:
        # Not by the id that a message claims to have: a forged one may claim any.
        for redis_id in self._unacknowledged():
            self._broker.do_ack(self._queue_name, redis_id)

    def _unacknowledged(self) -> list[bytes]:
        broker = self._broker
        key = f"{broker.namespace}:__acks__.{broker.broker_id}.{self._queue_name}"
        return list(broker.client.smembers(key))


def _is_uuid(text: object) -> bool:
    try:
        return isinstance(text, str) and str(UUID(text)) == text.lower()
    except ValueError:
        return False
