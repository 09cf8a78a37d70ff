"""Both ends of the message agree, and deployments on one Redis do not meet."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from tasks import wake_up
from tasks.wake_up import Garbage, GarbageKind, QueueUnavailable
from tests.network import Link, RedisProxy, redis_proxy
from tests.scheduler.messages import push

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def broker(redis_url: str) -> Iterator[RedisBroker]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    broker = wake_up.make_broker(redis_url, "ours")
    yield broker
    broker.close()


def payload(**changes: Any) -> bytes:
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=wake_up.QUEUE,
        actor_name=wake_up.ACTOR_NAME,
        args=(str(uuid4()),),
        kwargs={},
        options={},
    )
    return json.dumps(message.asdict() | changes).encode()


def test_what_is_sent_is_read(broker: RedisBroker) -> None:
    job_id = uuid4()
    wake_up.enqueue(broker, job_id)
    (content,) = broker.client.hvals(f"ours:{wake_up.QUEUE}.msgs")
    assert wake_up.job_id(wake_up.read(content)) == job_id


def test_waiting_names_each_job_once(broker: RedisBroker) -> None:
    first, second = uuid4(), uuid4()
    for job_id in (first, second, first):
        wake_up.enqueue(broker, job_id)
    assert wake_up.waiting(broker) == wake_up.Waiting(frozenset({first, second}))


def test_garbage_is_counted_by_kind_and_no_job(broker: RedisBroker) -> None:
    for content in (b"\xff", b"[]", payload(args=[7]), payload(queue_name="other")):
        push(broker, content)
    broker.client.rpush(f"ours:{wake_up.QUEUE}", "an id without content")
    waiting = wake_up.waiting(broker)
    assert waiting.job_ids == frozenset()
    assert waiting.garbage == Counter(
        {GarbageKind.UNDECODABLE: 2, GarbageKind.NOT_A_JOB_ID: 1, GarbageKind.OTHER_QUEUE: 1}
    )


def test_an_upper_case_id_is_the_same_job(broker: RedisBroker) -> None:
    job_id = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
    push(broker, payload(args=[str(job_id).upper()]))
    assert wake_up.waiting(broker).job_ids == {job_id}


def test_a_payload_that_is_gone_is_garbage_to_a_worker() -> None:
    with pytest.raises(Garbage, match="empty"):
        wake_up.read(None)


def test_namespaces_do_not_meet(broker: RedisBroker, redis_url: str) -> None:
    theirs = wake_up.make_broker(redis_url, "theirs")
    wake_up.enqueue(theirs, uuid4())
    assert wake_up.waiting(broker).job_ids == frozenset()
    assert len(wake_up.waiting(theirs).job_ids) == 1


@pytest.mark.parametrize(
    "use",
    [wake_up.waiting, lambda broker: wake_up.enqueue(broker, uuid4())],
)
def test_an_unreachable_redis_is_told_as_one_error(use: Any) -> None:
    with pytest.raises(QueueUnavailable, match="Redis: "):
        use(wake_up.make_broker(NOWHERE, "n"))


def test_a_silent_redis_is_told_in_time(
    broker: RedisBroker, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_up, "SOCKET_SECONDS", 0.2)
    with redis_proxy(redis_url) as network:
        through = wake_up.make_broker(network.url, "ours")
        assert wake_up.waiting(through).job_ids == frozenset()
        network.blackhole()
        with pytest.raises(QueueUnavailable):
            wake_up.waiting(through)


def test_a_message_whose_answer_was_lost_is_not_sent_again(
    broker: RedisBroker, redis_url: str
) -> None:
    class LosesAnAnswer(RedisProxy):
        armed = False

        def _pass_on(self, link: Link, source: object) -> bool:
            if self.armed and source is link.server:
                self.armed = False
                return False
            return super()._pass_on(link, source)

    network = LosesAnAnswer(redis_url)
    through = wake_up.make_broker(network.url, "ours")
    wake_up.enqueue(through, uuid4())  # connected, and Redis knows the script
    network.armed = True
    with pytest.raises(QueueUnavailable):
        wake_up.enqueue(through, uuid4())
    assert broker.client.llen(f"ours:{wake_up.QUEUE}") == 2
    network.stop()


def test_sockets_have_time_limits(redis_url: str) -> None:
    for url in (NOWHERE, redis_url):
        options = wake_up.connect(url).connection_pool.connection_kwargs
        assert options["socket_timeout"] == 5
