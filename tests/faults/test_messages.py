"""Redis carries wake-ups only: whatever happens to them changes latency, never a result."""

import json
from uuid import uuid4

import dramatiq
import redis

from storage.records import EventName, State
from tasks.broker import ACTOR_NAME, QUEUE, enqueue, make_broker
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import Stack, wait_for

STALE = "backtest_job_runner_stale_message_total"


def test_an_emptied_redis_delays_jobs_and_loses_none(
    stack: Stack, undisturbed: list[tuple[str, ...]]
) -> None:
    stack.workers(2)
    long = stack.submit(sweep())
    waiting = [stack.submit(small_sweep()) for _ in range(4)]
    for _ in range(3):
        stack.flush_redis()
        waiting.append(stack.submit(small_sweep()))

    assert {stack.ends(job_id).state for job_id in waiting} == {State.SUCCEEDED}
    assert stack.ends(long).state is State.SUCCEEDED
    assert stack.job(long).attempt == 1
    assert stack.stored_bytes(long) == undisturbed


def test_repeated_and_forged_messages_are_dropped_and_counted(stack: Stack) -> None:
    masters = stack.workers(2)
    before = sum(master.metric(STALE) for master in masters)
    job_id = stack.submit(small_sweep())
    broker = make_broker(stack.redis_url)
    for _ in range(100):
        enqueue(broker, job_id)
    for _ in range(10):
        enqueue(broker, uuid4())
    garbage = [
        b"\xff no json",
        b"[]",
        b"{}",
        _payload(queue_name="other"),
        _payload(actor_name="other"),
        _payload(args=["no uuid"]),
        _payload(args=[]),
        _payload(kwargs={"job_id": str(job_id)}),
        _payload(options={"eta": 4_102_444_800_000}),
        _payload(message_id=["unhashable"]),
    ]
    with redis.Redis.from_url(stack.redis_url) as client:
        for payload in garbage:
            name = uuid4().hex
            client.hset(f"dramatiq:{QUEUE}.msgs", name, payload)
            client.rpush(f"dramatiq:{QUEUE}", name)
        delayed = broker.enqueue(_message(job_id), delay=3_600_000)
        assert delayed.queue_name.endswith(".DQ")

        ended = stack.ends(job_id)
        dropped = 100 + 10 + len(garbage) + 1 + 1 - 1  # one of 101 wake-ups was the real one
        wait_for(
            lambda: sum(master.metric(STALE) for master in masters) >= before + dropped - 1,
            "every other message to be counted",
        )
        assert client.llen(f"dramatiq:{QUEUE}") == 0
        wait_for(lambda: client.hlen(f"dramatiq:{QUEUE}.msgs") == 0, "nothing kept in Redis")

    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 1)
    assert stack.events(job_id).count(EventName.CLAIMED) == 1
    assert stack.ends(stack.submit(small_sweep())).state is State.SUCCEEDED


def _message(job_id: object) -> dramatiq.Message[None]:
    return dramatiq.Message(
        queue_name=QUEUE, actor_name=ACTOR_NAME, args=(str(job_id),), kwargs={}, options={}
    )


def _payload(**changes: object) -> bytes:
    fields = _message(uuid4()).asdict() | {"args": [str(uuid4())]}
    return json.dumps(fields | changes).encode()
