"""Redis carries wake-ups only: whatever happens to them changes latency, never a result."""

import json
import signal
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from storage import schema
from storage.records import EventName, State
from tasks import wake_up
from tasks.wake_up import ACTOR_NAME, QUEUE, enqueue
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import JOB_SETTINGS, Stack, wait_for

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


@pytest.fixture
def queue(stack: Stack) -> RedisBroker:
    """Both programs find their namespace themselves; it is that of their database."""
    return wake_up.make_broker(stack.redis_url, schema.namespace(stack.connection))


def test_a_wake_up_that_was_lost_while_a_worker_idles_is_sent_again(
    stack: Stack, queue: RedisBroker
) -> None:
    (master,) = stack.workers(1)
    master.signal_group(signal.SIGSTOP)
    try:
        job_id = stack.submit(small_sweep())
        wait_for(lambda: job_id in wake_up.waiting(queue).job_ids, "the wake-up")

        def waited_for_long() -> bool:
            row = stack.connection.execute(
                "SELECT extract(epoch FROM next_dispatch_at - created_at) > %s FROM backtest_jobs"
                " WHERE job_id = %s",
                (5 * JOB_SETTINGS["redispatch_seconds"], job_id),
            ).fetchone()
            return row == (True,)

        wait_for(waited_for_long, "several turns of the redispatch time", every=0.05)
        stack.flush_redis()
    finally:
        master.signal_group(signal.SIGCONT)
    assert stack.ends(job_id).state is State.SUCCEEDED


def test_repeated_and_forged_messages_are_dropped_and_counted(
    stack: Stack, queue: RedisBroker
) -> None:
    masters = stack.workers(2)
    before = sum(master.metric(STALE) for master in masters)
    job_id = stack.submit(small_sweep())
    for _ in range(100):
        enqueue(queue, job_id)
    for _ in range(10):
        enqueue(queue, uuid4())
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
            client.hset(f"{queue.namespace}:{QUEUE}.msgs", name, payload)
            client.rpush(f"{queue.namespace}:{QUEUE}", name)
        delayed = queue.enqueue(_message(job_id), delay=3_600_000)
        assert delayed.queue_name.endswith(".DQ")

        ended = stack.ends(job_id)
        dropped = 100 + 10 + len(garbage) + 1 + 1 - 1  # one of 101 wake-ups was the real one
        wait_for(
            lambda: sum(master.metric(STALE) for master in masters) >= before + dropped - 1,
            "every other message to be counted",
            every=0.05,
        )
        assert client.llen(f"{queue.namespace}:{QUEUE}") == 0
        wait_for(
            lambda: client.hlen(f"{queue.namespace}:{QUEUE}.msgs") == 0, "nothing kept in Redis"
        )

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
