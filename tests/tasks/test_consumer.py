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
from tasks.wake_up import ACTOR_NAME, HELP_ACTOR_NAME, HELP_QUEUE, QUEUE, Garbage, enqueue

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
    dramatiq.actor(
        lambda _job_id: None, broker=broker, actor_name=HELP_ACTOR_NAME, queue_name=HELP_QUEUE
    )
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


def waiting(broker: JobBroker, queue: str = QUEUE) -> int:
    """How many messages no worker has taken."""
    return int(broker.client.llen(f"{broker.namespace}:{queue}"))


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
        mine = make_broker(redis_url)  # of a process of its own
        mine.namespace = broker.namespace
        mine.declare_queue(QUEUE)
        consumer = mine.consume(QUEUE)
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


# ------------------------------------------------------------------------- calls for help


def test_a_call_for_help_is_taken_by_who_has_nothing_else_to_do(broker: JobBroker) -> None:
    enqueue(broker, job_id := uuid4(), HELP_QUEUE)
    consumer = broker.consume(HELP_QUEUE)

    message = next(consumer)

    assert message is not None
    assert (message.actor_name, message.args) == (HELP_ACTOR_NAME, (str(job_id),))
    consumer.ack(message)
    assert kept(broker) == 0


def test_a_job_that_waits_comes_first(broker: JobBroker) -> None:
    enqueue(broker, uuid4(), HELP_QUEUE)
    enqueue(broker, uuid4())
    job, call = broker.consume(QUEUE), broker.consume(HELP_QUEUE)

    assert next(call) is None
    message = next(job)
    assert message is not None
    assert (next(call), waiting(broker, HELP_QUEUE)) == (None, 1)
    job.ack(message)
    assert next(call) is not None


def test_a_worker_that_helps_takes_no_job(broker: JobBroker) -> None:
    enqueue(broker, uuid4(), HELP_QUEUE)
    job, call = broker.consume(QUEUE), broker.consume(HELP_QUEUE)
    message = next(call)
    assert message is not None
    enqueue(broker, uuid4())

    assert next(job) is None
    assert waiting(broker) == 1
    call.ack(message)
    assert next(job) is not None


def test_of_a_job_and_a_call_at_the_same_moment_one_is_out_of_redis(broker: JobBroker) -> None:
    """Whichever consumer comes first; neither message gets lost."""
    consumers = {queue: broker.consume(queue) for queue in (QUEUE, HELP_QUEUE)}
    sent = 40
    taken: list[str] = []
    out = threading.Semaphore(1)
    stopped = threading.Event()

    def look(queue: str) -> None:
        while not stopped.is_set():
            message = next(consumers[queue])
            if message is not None:
                assert out.acquire(blocking=False), "two messages are out"
                taken.append(message.args[0])
                out.release()
                consumers[queue].ack(message)

    threads = [threading.Thread(target=look, args=(queue,), daemon=True) for queue in consumers]
    for thread in threads:
        thread.start()
    wanted = [uuid4() for _ in range(sent)]
    for number, job_id in enumerate(wanted):
        enqueue(broker, job_id, (QUEUE, HELP_QUEUE)[number % 2])
    deadline = time.monotonic() + 20
    while len(taken) < sent:
        assert time.monotonic() < deadline, f"{len(taken)} of {sent} were taken"
        assert all(thread.is_alive() for thread in threads)
        time.sleep(0.01)
    stopped.set()
    for thread in threads:
        thread.join(30)
    assert sorted(taken) == sorted(map(str, wanted))


def test_who_waits_for_calls_counts_as_idle_for_a_while(broker: JobBroker, redis_url: str) -> None:
    others = [make_broker(redis_url) for _ in range(2)]
    for other in others:
        other.namespace = broker.namespace
        other.declare_queue(HELP_QUEUE)
    for each in (broker, *others):
        assert next(each.consume(HELP_QUEUE)) is None
    assert wake_up.idleness(broker) == (3, 0, 0)
    assert [each.idle_workers for each in (broker, *others)] == [1, 2, 3]
    deadline = time.monotonic() + 10
    while kept(broker):
        assert time.monotonic() < deadline, "they are idle for ever"
        time.sleep(0.05)
    assert wake_up.idleness(broker) == (0, 0, 0)


def test_a_worker_that_has_something_to_do_is_not_idle(broker: JobBroker) -> None:
    job, call = broker.consume(QUEUE), broker.consume(HELP_QUEUE)
    for consumer, queue in ((job, QUEUE), (call, HELP_QUEUE)):
        assert next(call) is None
        assert wake_up.idleness(broker).workers == 1
        enqueue(broker, uuid4(), queue)
        message = next(consumer)
        assert message is not None
        next(call)
        assert wake_up.idleness(broker).workers == 0
        consumer.ack(message)


def test_a_worker_that_accepts_nothing_is_not_idle(broker: JobBroker) -> None:
    call = broker.consume(HELP_QUEUE)
    assert next(call) is None
    broker.accepting = lambda: False
    enqueue(broker, uuid4(), HELP_QUEUE)
    assert next(call) is None
    assert wake_up.idleness(broker) == (0, 0, 1)


def test_garbage_among_calls_is_removed(broker: JobBroker) -> None:
    enqueue(broker, uuid4(), HELP_QUEUE)
    for content in (payload(), payload(queue_name=HELP_QUEUE), b"no json"):
        name = uuid4().hex
        broker.client.hset(f"{broker.namespace}:{HELP_QUEUE}.msgs", name, content)
        broker.client.lpush(f"{broker.namespace}:{HELP_QUEUE}", name)
    message = next(broker.consume(HELP_QUEUE))
    assert message is not None
    assert broker.reasons == ["undecodable", "other_actor", "other_queue"]  # type: ignore[attr-defined]


def test_a_broker_tells_whether_a_job_waits(broker: JobBroker) -> None:
    assert not broker.job_waits()
    enqueue(broker, uuid4(), HELP_QUEUE)
    assert not broker.job_waits()
    enqueue(broker, uuid4())
    assert broker.job_waits()
    assert not make_broker("redis://127.0.0.1:1/0").job_waits()
