"""Whatever happens in whatever order, no job waits twice and the window holds."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from dramatiq.brokers.redis import RedisBroker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler import dispatcher as module
from scheduler.dispatcher import Dispatcher
from scheduler.metrics import Metrics
from storage.session import Session
from tasks.wake_up import QUEUE
from tests.scheduler.conftest import Submit, new_session
from tests.scheduler.messages import push

WINDOW = 3
GARBAGE = b"garbage"
REDISPATCH_SECONDS = 30.0


class World:
    """Two schedulers, one worker, and everything that may happen to the queue."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        sessions: tuple[Session, Session],
        queue: RedisBroker,
        submit: Submit,
    ) -> None:
        self.connection = connection
        self.queue = queue
        self.now = 0.0
        self._sessions = sessions
        self._submit = submit
        metrics = Metrics()
        self._schedulers = [
            Dispatcher(
                queue, metrics, batch=2, window=WINDOW, redispatch_seconds=REDISPATCH_SECONDS
            )
            for _ in sessions
        ]
        connection.execute("TRUNCATE backtest_jobs CASCADE")
        queue.client.flushall()

    def submit(self) -> None:
        self._submit()

    def submit_urgent(self) -> None:
        self._submit(priority=100)

    def round(self) -> None:
        self._schedulers[0].run(self._sessions[0].run)

    def round_of_the_other(self) -> None:
        self._schedulers[1].run(self._sessions[1].run)

    def rounds_at_once(self) -> None:
        self._interleaved(lambda: None)

    def rounds_at_once_with_a_long_pause(self) -> None:
        self._interleaved(self.time_passes)

    def flush(self) -> None:
        self.queue.client.flushall()

    def garbage(self) -> None:
        push(self.queue, GARBAGE)

    def take(self) -> None:
        """A worker takes the first message, and is lost with it."""
        name = self.queue.client.lpop(f"{self.queue.namespace}:{QUEUE}")
        if name is not None:
            self.queue.client.hdel(f"{self.queue.namespace}:{QUEUE}.msgs", name)

    def time_passes(self) -> None:
        self.now += REDISPATCH_SECONDS
        self.connection.execute(
            "UPDATE backtest_jobs"
            " SET next_dispatch_at = next_dispatch_at - make_interval(secs => %s)",
            (REDISPATCH_SECONDS,),
        )

    def _interleaved(self, meanwhile: Callable[[], None]) -> None:
        """The other scheduler's round falls between two steps of this one's."""
        steps = iter([self.round_of_the_other, meanwhile])

        def transact(work: Any) -> Any:
            next(steps, lambda: None)()
            next(steps, lambda: None)()
            return self._sessions[0].run(work)

        self._schedulers[0].run(transact)

    def wake_ups(self) -> list[UUID]:
        """The jobs that wait, garbage left out."""
        key = f"{self.queue.namespace}:{QUEUE}"
        contents = [
            self.queue.client.hget(f"{key}.msgs", name)
            for name in self.queue.client.lrange(key, 0, -1)
        ]
        return [UUID(json.loads(text)["args"][0]) for text in contents if text != GARBAGE]


EVENTS = st.sampled_from(
    [
        World.submit,
        World.submit,
        World.submit_urgent,
        World.round,
        World.round_of_the_other,
        World.rounds_at_once,
        World.rounds_at_once_with_a_long_pause,
        World.flush,
        World.garbage,
        World.take,
        World.time_passes,
    ]
)


@pytest.fixture
def new_world(
    connection: psycopg.Connection[Any],
    database: str,
    queue: RedisBroker,
    submit: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[], World]]:
    sessions = new_session(database), new_session(database)
    worlds: list[World] = []
    monkeypatch.setattr(module, "monotonic", lambda: worlds[-1].now)

    def new_world() -> World:
        worlds.append(World(connection, sessions, queue, submit))
        return worlds[-1]

    yield new_world
    for session in sessions:
        session.close()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(events=st.lists(EVENTS, min_size=5, max_size=40))
def test_no_job_waits_twice_and_every_job_is_sent_in_the_end(
    new_world: Callable[[], World], events: list[Callable[[World], None]]
) -> None:
    world = new_world()
    overlapping = False
    for event in events:
        event(world)
        overlapping |= event.__name__.startswith("rounds_at_once")
        waiting = world.wake_ups()
        assert len(waiting) == len(set(waiting)), "a job waits twice"
        # Each of two rounds at the same moment sees the same room.
        assert len(waiting) <= (2 * WINDOW if overlapping else WINDOW)

    sent: set[UUID] = set()
    jobs = {job for (job,) in world.connection.execute("SELECT job_id FROM backtest_jobs")}
    for _ in range(2 * len(jobs) + 2):
        world.time_passes()
        world.round()
        sent.update(world.wake_ups())
        for _ in range(WINDOW):
            if world.wake_ups():
                job_id = world.wake_ups()[0]
                world.connection.execute(
                    "UPDATE backtest_jobs SET state = 'cancelled', finished_at = now(),"
                    " next_dispatch_at = NULL WHERE job_id = %s",
                    (job_id,),
                )
            world.take()
    assert sent == jobs
