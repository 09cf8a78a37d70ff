"""Only wake-ups get through; whatever else lies in the queue is removed and reported."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis

from tasks import wake_up
from tasks.broker import JobBroker, make_broker
from tasks.wake_up import ACTOR_NAME, QUEUE, Garbage, enqueue

JOB_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def broker(redis_url: str) -> Iterator[JobBroker]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    broker = make_broker(redis_url)
    broker.namespace = "tests"
    broker.reasons = []  # type: ignore[attr-defined]
    broker.on_garbage = broker.reasons.append  # type: ignore[attr-defined]
    dramatiq.actor(lambda _job_id: None, broker=broker, actor_name=ACTOR_NAME, queue_name=QUEUE)
    yield broker
    broker.close()


def payload(**changes: Any) -> bytes:
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=QUEUE, actor_name=ACTOR_NAME, args=(JOB_ID,), kwargs={}, options={}
    )
    return json.dumps(message.asdict() | changes).encode()


def push(broker: JobBroker, content: bytes) -> None:
    """Put a payload into the queue as anybody could who can reach Redis."""
    name = uuid4().hex
    broker.client.hset(f"{broker.namespace}:{QUEUE}.msgs", name, content)
    broker.client.rpush(f"{broker.namespace}:{QUEUE}", name)


def waiting(broker: JobBroker) -> int:
    """How many messages no worker has taken."""
    return int(broker.client.llen(f"{broker.namespace}:{QUEUE}"))


def until_waiting_in_redis(redis_url: str, count: int) -> None:
    """Return as soon as so many clients wait for something to come."""
    deadline = time.monotonic() + 10
    with redis.Redis.from_url(redis_url) as client:
        while client.info("clients")["blocked_clients"] < count:
            assert time.monotonic() < deadline, f"{count} clients never waited in Redis"


def kept(broker: JobBroker) -> int:
    """Everything about messages that is left in Redis."""
    keys = [key for key in broker.client.keys("*") if b"heartbeats" not in key]
    return len(keys)


GARBAGE = {
    b"\xff\xfe": "undecodable",
    b"": "undecodable",
    b"null": "undecodable",
    b"[" * 100_000: "undecodable",
    b'{"queue_name": "backtest"}': "undecodable",
    payload(surprise=1): "undecodable",
    payload(message_id=["unhashable"]): "malformed",
    payload(options=[]): "malformed",
    payload(queue_name="other"): "other_queue",
    payload(queue_name=["backtest"]): "other_queue",
    payload(actor_name="other"): "other_actor",
    payload(options={"eta": 1}): "delayed",
    payload(options={"eta": None}): "delayed",
    payload(args=[]): "not_a_job_id",
    payload(args=[JOB_ID, JOB_ID]): "not_a_job_id",
    payload(args=["{" + JOB_ID + "}"]): "not_a_job_id",
    payload(args=[7]): "not_a_job_id",
    payload(kwargs={"job_id": JOB_ID}): "not_a_job_id",
}


@pytest.mark.parametrize(("content", "reason"), GARBAGE.items(), ids=range(len(GARBAGE)))
def test_what_is_no_wake_up_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(Garbage, match=reason):
        wake_up.read(content)


def test_a_wake_up_names_its_job() -> None:
    message = wake_up.read(payload())
    assert message.args == (JOB_ID,)


def test_an_enqueued_job_is_delivered_and_leaves_nothing_behind(broker: JobBroker) -> None:
    job_id = uuid4()
    enqueue(broker, job_id)
    assert waiting(broker) == 1
    consumer = broker.consume(QUEUE)

    message = next(consumer)

    assert message is not None
    assert message.args == (str(job_id),)
    consumer.ack(message)
    assert kept(broker) == 0


def test_garbage_is_removed_and_the_wake_up_behind_it_delivered(broker: JobBroker) -> None:
    for content in GARBAGE:
        push(broker, content)
    broker.client.rpush(f"{broker.namespace}:{QUEUE}", "an id without content")
    enqueue(broker, uuid4())
    consumer = broker.consume(QUEUE)

    message = next(consumer)

    assert message is not None
    assert broker.reasons == [*GARBAGE.values(), "empty"]  # type: ignore[attr-defined]
    consumer.ack(message)
    assert kept(broker) == 0


def test_a_forged_redis_id_cannot_keep_a_message_alive(broker: JobBroker) -> None:
    push(broker, payload(options={"redis_message_id": "somebody else's"}))
    consumer = broker.consume(QUEUE)

    message = next(consumer)

    assert message is not None
    consumer.ack(message)
    assert kept(broker) == 0


def test_delayed_messages_are_cleared_away(broker: JobBroker) -> None:
    broker.enqueue(wake_up.read(payload()), delay=3_600_000)

    assert next(broker.consume(f"{QUEUE}.DQ")) is None

    assert broker.reasons == ["delayed"]  # type: ignore[attr-defined]
    assert kept(broker) == 0


def test_one_job_at_a_time_whatever_the_command_line_says(broker: JobBroker) -> None:
    enqueue(broker, uuid4())
    enqueue(broker, uuid4())
    consumer = broker.consume(queue_name=QUEUE, prefetch=16, timeout=1000)

    first = next(consumer)

    assert first is not None
    assert next(consumer) is None
    consumer.ack(first)
    assert next(consumer) is not None


def test_the_next_message_is_taken_as_soon_as_the_one_before_is_acknowledged(
    broker: JobBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.broker.WAIT_SECONDS", 60)
    first, second = uuid4(), uuid4()
    enqueue(broker, first)
    enqueue(broker, second)
    consumer = broker.consume(QUEUE)
    message = next(consumer)
    assert message is not None
    taken: list[Any] = []
    waiter = threading.Thread(target=lambda: taken.append(next(consumer)), daemon=True)
    waiter.start()
    waiter.join(0.2)
    assert waiter.is_alive(), "it does not wait for the acknowledgement"

    consumer.ack(message)

    waiter.join(30)
    assert [list(found.args) for found in taken] == [[str(second)]]


def test_a_message_that_comes_is_taken_at_once_and_costs_no_polls(
    broker: JobBroker, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.broker.WAIT_SECONDS", 4)  # less than a socket's patience
    consumer = broker.consume(QUEUE)
    looks: list[Any] = []

    def look() -> None:
        while not looks or looks[-1] is None:
            looks.append(next(consumer))

    waiter = threading.Thread(target=look, daemon=True)
    waiter.start()
    until_waiting_in_redis(redis_url, 1)

    enqueue(broker, job_id := uuid4())

    waiter.join(30)
    message = looks.pop()
    assert (message.args, looks) == ((str(job_id),), [None])


def test_of_all_that_wait_one_gets_the_message(broker: JobBroker, redis_url: str) -> None:
    taken: list[Any] = []
    stopped = threading.Event()

    def look() -> None:
        consumer = broker.consume(QUEUE)
        while not stopped.is_set():
            taken.extend(filter(None, [next(consumer)]))

    waiters = [threading.Thread(target=look, daemon=True) for _ in range(4)]
    for waiter in waiters:
        waiter.start()
    until_waiting_in_redis(redis_url, len(waiters))
    sent = [uuid4() for _ in range(3)]
    for job_id in sent:
        enqueue(broker, job_id)
    while len(taken) < len(sent):
        assert all(waiter.is_alive() for waiter in waiters)
    stopped.set()
    for waiter in waiters:
        waiter.join(30)
    assert sorted(message.args[0] for message in taken) == sorted(map(str, sent))


def test_waiting_changes_nothing_about_the_order_of_what_came_meanwhile(broker: JobBroker) -> None:
    consumer = broker.consume(QUEUE)
    sent = [uuid4() for _ in range(3)]
    for job_id in sent:
        enqueue(broker, job_id)

    consumer._wait_for_another()

    for job_id in sent:
        message = next(consumer)
        assert message is not None
        assert message.args == (str(job_id),)
        consumer.ack(message)


def test_nothing_is_taken_while_the_worker_does_not_accept(broker: JobBroker) -> None:
    enqueue(broker, uuid4())
    broker.accepting = lambda: False

    assert next(broker.consume(QUEUE)) is None
    assert waiting(broker) == 1


def test_a_message_that_was_not_worked_on_goes_back(broker: JobBroker) -> None:
    enqueue(broker, uuid4())
    consumer = broker.consume(QUEUE)
    message = next(consumer)
    assert message is not None

    consumer.requeue([message])

    assert waiting(broker) == 1
