"""The wake-up of a job, both of its ends: what the scheduler sends and what a worker lets in.

There are two: one for a job to be claimed, and one for a job of somebody else that wants help. A
message carries a job id and nothing else; losing, repeating or forging one changes latency only.
Importing this opens no connection, sets nothing and loads nothing of ours.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import DecodeError
from redis.backoff import NoBackoff
from redis.retry import Retry

QUEUE = "backtest"
ACTOR_NAME = "backtest"
HELP_QUEUE = "backtest.help"
HELP_ACTOR_NAME = "help"

_ACTORS = {QUEUE: ACTOR_NAME, HELP_QUEUE: HELP_ACTOR_NAME}

IDLE_SECONDS = 2
"""For so long after it said so a worker counts as idle; it says so twice a second."""

SOCKET_SECONDS = 5.0
CONNECT_SECONDS = 3.0


class QueueUnavailable(Exception):
    """Redis cannot be used now; trying again later may succeed."""


class GarbageKind(StrEnum):
    """Why a payload is no wake-up."""

    EMPTY = "empty"
    """Delivered more than once, or its content was deleted."""

    UNDECODABLE = "undecodable"
    MALFORMED = "malformed"
    OTHER_QUEUE = "other_queue"
    OTHER_ACTOR = "other_actor"
    DELAYED = "delayed"
    NOT_A_JOB_ID = "not_a_job_id"


class Garbage(Exception):
    """A payload that is no wake-up of a job."""

    def __init__(self, kind: GarbageKind) -> None:
        super().__init__(str(kind))
        self.kind = kind


@dataclass(frozen=True)
class Waiting:
    """What lies in Redis and no worker has taken: the jobs, and how much else by its kind."""

    job_ids: frozenset[UUID]
    garbage: Counter[GarbageKind] = field(default_factory=Counter)


class Idleness(NamedTuple):
    """How many workers are idle, and how many messages of either kind wait."""

    workers: int
    jobs: int
    calls_for_help: int


def connect(redis_url: str) -> redis.Redis:
    """Client that connects on first use. Raises ValueError when the URL is none.

    Every call ends in time, also on a network that answers nothing. None is repeated: a message
    whose answer was lost may have arrived, and would be there twice.
    """
    options = {"socket_timeout": SOCKET_SECONDS, "retry": Retry(NoBackoff(), retries=0)}
    if not redis_url.startswith("unix:"):
        options |= {"socket_connect_timeout": CONNECT_SECONDS, "socket_keepalive": True}
    return redis.Redis.from_url(redis_url, **options)


def make_broker(
    redis_url: str, namespace: str, middleware: Sequence[dramatiq.Middleware] = ()
) -> RedisBroker:
    """Make the broker of somebody who only sends and counts. Raises ValueError for a bad URL.

    All keys begin with `namespace`: deployments that share a Redis do not see each other's.
    """
    return RedisBroker(  # type: ignore[no-untyped-call]
        client=connect(redis_url), namespace=namespace, middleware=list(middleware)
    )


def enqueue(broker: RedisBroker, job_id: UUID, queue: str = QUEUE) -> None:
    """Send the wake-up of one job. Raises QueueUnavailable; it may have arrived nevertheless."""
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=queue, actor_name=_ACTORS[queue], args=(str(job_id),), kwargs={}, options={}
    )
    try:
        broker.enqueue(message)
    except redis.RedisError as error:
        raise QueueUnavailable(f"Redis: {error}") from error


def waiting(broker: RedisBroker) -> Waiting:
    """Read what waits in Redis. Raises QueueUnavailable."""
    key = f"{broker.namespace}:{QUEUE}"
    try:
        ids: list[Any] = broker.client.lrange(key, 0, -1)
        payloads: list[Any] = broker.client.hmget(f"{key}.msgs", ids) if ids else []
    except redis.RedisError as error:
        raise QueueUnavailable(f"Redis: {error}") from error
    job_ids: set[UUID] = set()
    garbage: Counter[GarbageKind] = Counter()
    for payload in payloads:
        if payload is None:  # taken between the two commands
            continue
        try:
            job_ids.add(job_id(read(payload)))
        except Garbage as error:
            garbage[error.kind] += 1
    return Waiting(frozenset(job_ids), garbage)


def idleness(broker: RedisBroker) -> Idleness:
    """Read who is idle and what waits. Raises QueueUnavailable."""
    try:
        return _idleness(broker, "")
    except redis.RedisError as error:
        raise QueueUnavailable(f"Redis: {error}") from error


def say_idle(broker: RedisBroker) -> Idleness:
    """Say that this process has nothing to do; returns what `idleness` does. Raises RedisError."""
    return _idleness(broker, broker.broker_id)


def say_busy(broker: RedisBroker) -> None:
    """Take back that this process has nothing to do. Raises RedisError."""
    broker.client.zrem(f"{broker.namespace}:idle", broker.broker_id)


def read(payload: bytes | None, queue: str = QUEUE) -> dramatiq.Message[Any]:
    """Decode a payload that asks an actor to work on one job; raises Garbage for all else."""
    if payload is None:
        raise Garbage(GarbageKind.EMPTY)
    try:
        message: dramatiq.Message[Any] = dramatiq.Message.decode(payload)
    except DecodeError:
        raise Garbage(GarbageKind.UNDECODABLE) from None
    if not isinstance(message.message_id, str) or not isinstance(message.options, dict):
        raise Garbage(GarbageKind.MALFORMED)
    if message.queue_name != queue:
        raise Garbage(GarbageKind.OTHER_QUEUE)
    if message.actor_name != _ACTORS[queue]:
        raise Garbage(GarbageKind.OTHER_ACTOR)
    if "eta" in message.options:
        raise Garbage(GarbageKind.DELAYED)
    if message.kwargs != {} or len(message.args) != 1 or not _is_uuid(message.args[0]):
        raise Garbage(GarbageKind.NOT_A_JOB_ID)
    return message


def job_id(message: dramatiq.Message[Any]) -> UUID:
    """Return which job a message that was `read` is about."""
    return UUID(message.args[0])


# One key for all of them, for those of one worker each could only be counted by a walk through all
# that Redis holds. Times are those of Redis.
_IDLENESS = """
local time = redis.call('time')
local now = time[1] + time[2] / 1000000
redis.call('zremrangebyscore', KEYS[1], '-inf', now)
if ARGV[1] ~= '' then
    redis.call('zadd', KEYS[1], now + ARGV[2], ARGV[1])
    redis.call('expire', KEYS[1], ARGV[2])
end
return {redis.call('zcard', KEYS[1]), redis.call('llen', KEYS[2]), redis.call('llen', KEYS[3])}
"""


def _idleness(broker: RedisBroker, name: str) -> Idleness:
    keys = [f"{broker.namespace}:{key}" for key in ("idle", QUEUE, HELP_QUEUE)]
    found: Any = broker.client.eval(_IDLENESS, len(keys), *keys, name, IDLE_SECONDS)
    return Idleness(*found)


def _is_uuid(text: object) -> bool:
    try:
        return isinstance(text, str) and str(UUID(text)) == text.lower()
    except ValueError:
        return False
