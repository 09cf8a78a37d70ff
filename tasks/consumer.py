"""The consumers: they take one message at a time out of Redis and let only wake-ups through.

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


class Gate:
    """Lets one message of a process out of Redis at a time, whichever queue it comes from."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = False

    def wait(self, seconds: float) -> bool:
        """Wait until it is open; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._closed, seconds)

    def close(self, seconds: float = 0.0) -> bool:
        """Close it, once it is open, to take a message; False when that takes longer."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._closed, seconds):
                return False
            self._closed = True
            return True

    def open(self) -> None:
        """Open it: there is no message, or it is done with."""
        with self._changed:
            self._closed = False
            self._changed.notify_all()


class JobConsumer(Consumer):
    """Iterates over the wake-ups of one queue; None when none came for `wait_seconds`.

    It waits in Redis, so a worker without work costs next to nothing and hears of a message at
    once. Every look also tells Redis that this process is alive.

    `accepting` is asked before a message is taken out of Redis; `on_garbage` is called with a
    reason for every message that was dropped. At most one message is out of Redis and
    unacknowledged at any time, of all consumers that share a `gate`. So what this consumer has not
    acknowledged in Redis is that one, plus leftovers that could not be acknowledged before.
    """

    def __init__(
        self,
        broker: RedisBroker,
        queue_name: str,
        *,
        gate: Gate,
        wait_seconds: float,
        accepting: Callable[[], bool],
        on_garbage: Callable[[str], object],
    ) -> None:
        self._broker = broker
        self._queue_name = queue_name
        self._gate = gate
        self._wait_seconds = wait_seconds
        self._accepting = accepting
        self._on_garbage = on_garbage

    def __next__(self) -> MessageProxy | None:
        """Next wake-up, or None after a wait. Raises ConnectionClosed.

        The wait for the message that is being worked on ends when it is acknowledged.
        """
        if not self._gate.wait(self._wait_seconds):
            return None
        try:
            message = self._take(self._wait_seconds)
            if message is None:
                self._wait_for_another()
                return None
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
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
        self._gate.open()

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

    def _take(self, seconds: float = 0.0) -> Message[Any] | None:
        """Take a message out of Redis; then the gate stays closed until it is acknowledged."""
        if not self._gate.close(seconds):
            return None
        message = None
        try:
            message = self._first_wake_up()
        finally:
            if message is None:
                self._gate.open()
        return message

    def _first_wake_up(self) -> Message[Any] | None:
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
        if self._queue_name not in (wake_up.QUEUE, wake_up.HELP_QUEUE):
            raise Garbage(GarbageKind.DELAYED)
        return wake_up.read(payload, self._queue_name)

    def _forget_unacknowledged(self) -> None:
        # Not by the id that a message claims to have: a forged one may claim any.
        for redis_id in self._unacknowledged():
            self._broker.do_ack(self._queue_name, redis_id)

    def _unacknowledged(self) -> list[bytes]:
        broker = self._broker
        key = f"{broker.namespace}:__acks__.{broker.broker_id}.{self._queue_name}"
        return list(broker.client.smembers(key))


class HelpConsumer(JobConsumer):
    """Iterates over calls for help: a process takes one when it has nothing else to do.

    While that is so it says so in Redis, and `on_idle` is told how many workers do.
    """

    def __init__(self, *args: Any, on_idle: Callable[[int], object], **options: Any) -> None:
        super().__init__(*args, **options)
        self._on_idle = on_idle
        self._said_idle = False

    def __next__(self) -> MessageProxy | None:
        """Next call for help while no job waits, or None after a wait. Raises ConnectionClosed."""
        try:
            if not self._gate.wait(REFUSING_SECONDS):  # a mere look for a job takes less
                self._say_busy()
                self._gate.wait(self._wait_seconds)
                return None
            message = self._take_if_idle()
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        return None if message is None else MessageProxy(message)

    def _take_if_idle(self) -> Message[Any] | None:
        if not self._accepting():
            self._say_busy()
            time.sleep(REFUSING_SECONDS)
            return None
        now = wake_up.say_idle(self._broker)
        self._said_idle = True
        self._on_idle(now.workers)
        if now.jobs:  # they come first; somebody is about to take them
            time.sleep(REFUSING_SECONDS)
            return None
        message = self._take() if now.calls_for_help else None
        if message is None:
            self._wait_for_another()
        else:
            self._say_busy()
        return message

    def _say_busy(self) -> None:
        if self._said_idle:
            wake_up.say_busy(self._broker)
            self._said_idle = False
