"""The whole Redis goes away under a stack, and comes back empty or late."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import embedded
from storage.records import Stage, State
from tests.faults.conftest import small_sweep, sweep, sweep_through
from tests.faults.harness import Stack, running, wait_for
from tests.network import RedisProxy, redis_proxy
from tests.own_postgres import OwnPostgres

Rows = list[tuple[str, ...]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[embedded.Redis]:
    server = embedded.Redis(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_stack(
    own_server: OwnPostgres, server: embedded.Redis, stack: Stack, tmp_path: Path
) -> Iterator[Stack]:
    """A stack on that Redis, with a database and a scheduler of its own."""
    with running(Stack(own_server.dsn, server.url, stack.candles, tmp_path)) as own:
        own.scheduler()
        yield own


def test_jobs_survive_a_restart_of_the_whole_server_and_what_it_forgot(
    own_stack: Stack, server: embedded.Redis, undisturbed_through: dict[Stage, Rows]
) -> None:
    own_stack.workers(1)
    long = own_stack.submit(sweep_through(Stage.STAGE_A))
    own_stack.reaches(long, Stage.STAGE_A)
    waiting = [own_stack.submit(small_sweep()) for _ in range(3)]

    server.stop()
    meanwhile = own_stack.submit(small_sweep())
    ended = own_stack.ends(long)  # who has a job needs no Redis
    server.start()

    assert (ended.state, ended.attempt, ended.crash_count) == (State.SUCCEEDED, 1, 0)
    assert own_stack.stored_bytes(long) == undisturbed_through[Stage.STAGE_A]
    for job_id in (*waiting, meanwhile):
        job = own_stack.ends(job_id)
        assert (job.state, job.attempt) == (State.SUCCEEDED, 1)


@pytest.fixture
def network(stack: Stack) -> Iterator[RedisProxy]:
    """A breakable way to the stack's Redis, for programs that are started with its `url`."""
    with redis_proxy(stack.redis_url) as network:
        yield network


def test_a_worker_whose_redis_says_nothing_ends_its_job_and_takes_others_later(
    stack: Stack, network: RedisProxy, undisturbed: Rows
) -> None:
    with stack.only({"REDIS_URL": network.url}) as worker:
        long = stack.submit(sweep())
        stack.reaches(long, Stage.STAGE_B)

        network.blackhole()
        ended = stack.ends(long)
        waiting = stack.submit(small_sweep())
        wait_for(lambda: "rror" in worker.text(), "the worker to say that Redis is away", 60)
        network.heal()

        assert (ended.state, ended.attempt) == (State.SUCCEEDED, 1)
        assert stack.stored_bytes(long) == undisturbed
        job = stack.ends(waiting)
        assert (job.state, job.attempt) == (State.SUCCEEDED, 1)
        assert worker.alive()
