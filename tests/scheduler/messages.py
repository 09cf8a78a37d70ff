"""Looking into the queue without taking anything out."""

from uuid import UUID

from dramatiq import Message

from tasks.broker import QUEUE, JobBroker


def waiting_jobs(broker: JobBroker) -> list[UUID]:
    """Job ids of the waiting messages, in the order workers will take them."""
    key = f"{broker.namespace}:{QUEUE}"
    ids = broker.client.lrange(key, 0, -1)
    payloads = broker.client.hmget(f"{key}.msgs", ids) if ids else []
    return [UUID(Message.decode(payload).args[0]) for payload in payloads]
