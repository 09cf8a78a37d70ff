"""Looking into the queue without taking anything out, and taking things out as a worker does."""

from uuid import UUID, uuid4

from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from tasks.wake_up import QUEUE


def waiting_jobs(broker: RedisBroker, queue: str = QUEUE) -> list[UUID]:
    """Job ids of the waiting messages, in the order workers will take them."""
    key = f"{broker.namespace}:{queue}"
    ids = broker.client.lrange(key, 0, -1)
    payloads = broker.client.hmget(f"{key}.msgs", ids) if ids else []
    return [UUID(Message.decode(payload).args[0]) for payload in payloads]


def push(broker: RedisBroker, content: bytes) -> None:
    """Put a payload into the queue as anybody could who can reach Redis."""
    name = uuid4().hex
    broker.client.hset(f"{broker.namespace}:{QUEUE}.msgs", name, content)
    broker.client.rpush(f"{broker.namespace}:{QUEUE}", name)
