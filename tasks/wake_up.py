"""The wake-up of a job, both of its ends: what the scheduler sends and what a worker lets in.

A message carries a job id and nothing else; losing, repeating or forging one changes latency only.
Importing this opens no connection, sets nothing and loads nothing of ours.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import DecodeError
from redis.backoff import NoBackoff
from redis.retry import Retry

QUEUE = "backtest"
ACTOR_NAME = "backtest"

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


def enqueue(broker: RedisBroker, job_id: UUID) -> None:
    """Send the wake-up of one job. Raises QueueUnavailable; it may have arrived nevertheless."""
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=QUEUE, actor_name=ACTOR_NAME, args=(str(job_id),), kwargs={}, options={}
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


def read(payload: bytes | None) -> dramatiq.Message[Any]:
    """Decode a payload that asks the actor to run one job; raises Garbage for everything else."""
    if payload is None:
        raise Garbage(GarbageKind.EMPTY)
    try:
        message: dramatiq.Message[Any] = dramatiq.Message.decode(payload)
    except DecodeError:
        raise Garbage(GarbageKind.UNDECODABLE) from None
    if not isinstance(message.message_id, str) or not isinstance(message.options, dict):
        raise Garbage(GarbageKind.MALFORMED)
    if message.queue_name != QUEUE:
        raise Garbage(GarbageKind.OTHER_QUEUE)
    if message.actor_name != ACTOR_NAME:
        raise Garbage(GarbageKind.OTHER_ACTOR)
    if "eta" in message.options:
        raise Garbage(GarbageKind.DELAYED)
    if message.kwargs != {} or len(message.args) != 1 or not _is_uuid(message.args[0]):
        raise Garbage(GarbageKind.NOT_A_JOB_ID)
    return message


def job_id(message: dramatiq.Message[Any]) -> UUID:
    """Return which job a message that was `read` is about."""
    return UUID(message.args[0])


def _is_uuid(text: object) -> bool:
    try:
        return isinstance(text, str) and str(UUID(text)) == text.lower()
    except ValueError:
        return False
