import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dramatiq
import psycopg
import pytest
from dramatiq.brokers.redis import RedisBroker

from cli import embedded
from scheduler import dispatcher as module
from scheduler.dispatcher import Dispatcher
from scheduler.metrics import Metrics
from storage import switches
from storage.session import Session
from tasks import wake_up
from tasks.wake_up import QueueUnavailable, make_broker
from tests.scheduler.conftest import Submit, ended, new_session, owned
from tests.scheduler.messages import push, waiting_jobs

REDISPATCH_SECONDS = 30.0


def dispatcher(
    broker: RedisBroker, metrics: Metrics, *, batch: int = 100, window: int = 1000
) -> Dispatcher:
    return Dispatcher(
        broker, metrics, batch=batch, window=window, redispatch_seconds=REDISPATCH_SECONDS
    )


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"backtest_scheduler_{name}", labels)


def due_now(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM backtest_jobs WHERE next_dispatch_at <= now()"
    ).fetchone()
    assert row is not None
    return int(row[0])


def time_passes(connection: psycopg.Connection[Any]) -> None:
    """Let `REDISPATCH_SECONDS` pass for every job."""
    connection.execute(
        "UPDATE backtest_jobs SET next_dispatch_at = next_dispatch_at - make_interval(secs => %s)",
        (REDISPATCH_SECONDS,),
    )


@pytest.fixture
def fragile_redis(tmp_path: Path) -> Iterator[embedded.Redis]:
    """A Redis server of the test's own, which it may stop."""
    server = embedded.Redis(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


def test_nothing_is_sent_while_the_queue_is_paused(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
) -> None:
    waiting, abandoned = submit(), submit(**owned(lease="-1 s"))
    switches.pause(connection, by="root@host", reason=None)
    run = dispatcher(queue, metrics).run
    assert run(session.run) == 0
    assert waiting_jobs(queue) == []
    switches.resume(connection, by="root@host")
    assert run(session.run) == 2
    assert set(waiting_jobs(queue)) == {waiting, abandoned}


def test_a_submitted_job_is_sent_once(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
) -> None:
    job_id = submit()
    run = dispatcher(queue, metrics).run
    assert [run(session.run), run(session.run)] == [1, 0]
    assert waiting_jobs(queue) == [job_id]
    assert sample(metrics, "dispatched_total") == 1


@pytest.mark.parametrize(
    ("columns", "sent"),
    [
        pytest.param({"next_dispatch_at": "now() + interval '1 s'"}, 0, id="queued, wake-up sent"),
        pytest.param({"next_dispatch_at": "now() - interval '1 s'"}, 1, id="queued, overdue"),
        pytest.param(owned(lease="60 s"), 0, id="running, owner alive"),
        pytest.param(owned(lease="-1 s"), 1, id="running, lease expired"),
        pytest.param(owned(lease="0 s", locked_by="NULL"), 1, id="running, released"),
        pytest.param(
            owned(lease="-1 s", next_dispatch_at="now() + interval '9 s'"),
            0,
            id="running, expired, wake-up sent",
        ),
        pytest.param(
            owned(lease="-1 s", next_dispatch_at="now() - interval '9 s'"),
            1,
            id="running, expired, wake-up lost",
        ),
        pytest.param(ended(days_ago=1), 0, id="terminal"),
    ],
)
def test_only_due_jobs_are_sent(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
    columns: dict[str, str],
    sent: int,
) -> None:
    submit(**columns)
    assert dispatcher(queue, metrics).run(session.run) == sent


def test_jobs_are_sent_by_priority_then_age(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
) -> None:
    old, urgent, young = submit(), submit(priority=5), submit()
    dispatcher(queue, metrics).run(session.run)
    assert waiting_jobs(queue) == [urgent, old, young]


def test_no_more_messages_wait_than_the_window_allows(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
) -> None:
    for _ in range(5):
        submit()
    run = dispatcher(queue, metrics, window=3).run
    assert [run(session.run), run(session.run)] == [3, 0]
    assert due_now(connection) == 2


def test_a_job_that_came_later_overtakes_what_is_not_in_redis_yet(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
) -> None:
    first, _second = submit(), submit()
    dispatcher(queue, metrics, window=1).run(session.run)
    urgent = submit(priority=1)
    dispatcher(queue, metrics, window=2).run(session.run)
    assert waiting_jobs(queue) == [first, urgent]


def test_an_urgent_job_is_sent_in_the_next_round_however_long_others_wait(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
) -> None:
    others = [submit() for _ in range(12)]
    run = dispatcher(queue, metrics, window=13).run
    assert run(session.run) == 12
    for _ in range(5):
        time_passes(connection)
        assert run(session.run) == 0
    urgent = submit(priority=100)
    assert run(session.run) == 1
    assert waiting_jobs(queue) == [*others, urgent]


def test_a_lost_wake_up_is_sent_again_when_it_may_be_lost_for_redispatch_seconds(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
) -> None:
    job_id = submit()
    run = dispatcher(queue, metrics).run
    run(session.run)
    for _ in range(5):  # it waits for long: the next try must not be later for that
        time_passes(connection)
        run(session.run)
    queue.client.flushall()
    assert run(session.run) == 0
    time_passes(connection)
    assert run(session.run) == 1
    assert waiting_jobs(queue) == [job_id]


def test_garbage_takes_no_place_in_the_window_and_is_counted(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
) -> None:
    for _ in range(50):
        push(queue, b"garbage")
    job_id = submit()
    assert dispatcher(queue, metrics, window=1).run(session.run) == 1
    assert wake_up.waiting(queue).job_ids == {job_id}
    assert sample(metrics, "foreign_messages", kind="undecodable") == 50
    assert sample(metrics, "foreign_messages", kind="other_queue") == 0


def test_copies_that_somebody_made_take_one_place(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
) -> None:
    first = submit()
    run = dispatcher(queue, metrics, window=2).run
    run(session.run)
    for _ in range(5):
        wake_up.enqueue(queue, first)
    submit()
    assert run(session.run) == 1


def test_a_job_that_becomes_due_during_the_round_waits_already(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
) -> None:
    submit()
    run = dispatcher(queue, metrics).run
    run(session.run)

    def due_before_the_mark(work: Any) -> Any:
        done = session.run(work)
        connection.execute("UPDATE backtest_jobs SET next_dispatch_at = now()")
        return done

    assert run(due_before_the_mark) == 0


def test_the_last_batch_is_no_larger_than_the_window_leaves(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
) -> None:
    for _ in range(8):
        submit()
    assert dispatcher(queue, metrics, batch=3, window=5).run(session.run) == 5


def test_a_round_that_was_paused_for_long_sends_nothing_twice(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = submit()
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    other = dispatcher(queue, metrics).run

    def paused(work: Any) -> Any:
        """The other scheduler sends, its message waits, and the time for the next is come."""
        if not waiting_jobs(queue):
            other(session.run)
            time_passes(connection)
            now[0] += REDISPATCH_SECONDS
        return session.run(work)

    assert dispatcher(queue, metrics).run(paused) == 0
    assert waiting_jobs(queue) == [job_id]


def test_a_round_sends_all_that_is_due_in_batches(
    connection: psycopg.Connection[Any],
    session: Session,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
) -> None:
    for _ in range(7):
        submit()
    assert dispatcher(queue, metrics, batch=2).run(session.run) == 7


def test_the_mark_is_committed_before_the_message_is_sent(
    database: str,
    connection: psycopg.Connection[Any],
    session: Session,
    redis_url: str,
    queue: RedisBroker,
    metrics: Metrics,
    submit: Submit,
) -> None:
    due_at_send: list[int] = []

    class Observed(RedisBroker):
        def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> Any:
            with psycopg.connect(database) as other:
                due_at_send.append(due_now(other))
            return super().enqueue(message, delay=delay)

    submit()
    observed = Observed(client=queue.client, namespace=queue.namespace, middleware=[])
    dispatcher(observed, metrics).run(session.run)
    assert due_at_send == [0]


def test_without_redis_nothing_is_marked(
    connection: psycopg.Connection[Any],
    session: Session,
    fragile_redis: embedded.Redis,
    metrics: Metrics,
    submit: Submit,
) -> None:
    submit()
    fragile_redis.stop()
    with pytest.raises(QueueUnavailable):
        dispatcher(make_broker(fragile_redis.url, "n"), metrics).run(session.run)
    assert due_now(connection) == 1


def test_what_could_not_be_sent_is_due_again_at_once(
    connection: psycopg.Connection[Any],
    session: Session,
    fragile_redis: embedded.Redis,
    metrics: Metrics,
    submit: Submit,
) -> None:
    for _ in range(3):
        submit()

    class DiesAfterTheFirst(RedisBroker):
        def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> Any:
            sent = super().enqueue(message, delay=delay)
            fragile_redis.stop()
            return sent

    broker = DiesAfterTheFirst(
        client=make_broker(fragile_redis.url, "n").client, namespace="n", middleware=[]
    )
    with pytest.raises(QueueUnavailable):
        dispatcher(broker, metrics).run(session.run)
    assert due_now(connection) == 2
    fragile_redis.start()
    assert dispatcher(make_broker(fragile_redis.url, "n"), metrics).run(session.run) == 2


def test_two_schedulers_never_send_the_same_mark(
    database: str, queue: RedisBroker, metrics: Metrics, submit: Submit
) -> None:
    jobs = {submit() for _ in range(60)}

    def run() -> None:
        session = new_session(database)
        dispatcher(queue, metrics, batch=7).run(session.run)
        session.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run()  # a round of one may have skipped rows that the other held at that moment
    assert sorted(waiting_jobs(queue)) == sorted(jobs)
