"""Calls for help: to whom they go, and that nobody is called who has something else to do."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from dramatiq.brokers.redis import RedisBroker
from hypothesis import given
from hypothesis import strategies as st

from scheduler.help import CallsForHelp, shared_out
from storage.plan_records import HelpWanted
from storage.session import Session
from tasks import wake_up
from tasks.wake_up import HELP_QUEUE
from tests.scheduler.messages import waiting_jobs
from tests.storage.making import claimed
from tests.storage.sharing import helped, helper, planned

MAX_CRASHES = 3


@pytest.fixture
def calls(queue: RedisBroker) -> CallsForHelp:
    return CallsForHelp(queue, max_crashes=MAX_CRASHES)


def idle(queue: RedisBroker, number: int) -> None:
    """Have so many more workers be idle."""
    for _ in range(number):
        queue.broker_id = str(uuid4())
        wake_up.say_idle(queue)


def test_idle_workers_are_called_where_the_fewest_work(
    connection: psycopg.Connection[Any], session: Session, queue: RedisBroker, calls: CallsForHelp
) -> None:
    crowded, alone = (planned(connection, claimed(connection), 5) for _ in range(2))
    helped(connection, crowded, helper())
    assert calls.run(session.run) == 0
    idle(queue, 3)
    assert calls.run(session.run) == 3
    assert waiting_jobs(queue, HELP_QUEUE) == [alone.job_id, alone.job_id, crowded.job_id]
    assert calls.run(session.run) == 0  # as many calls wait as there are idle workers


def test_nobody_is_called_while_a_job_waits(
    connection: psycopg.Connection[Any], session: Session, queue: RedisBroker, calls: CallsForHelp
) -> None:
    planned(connection, claimed(connection), 5)
    idle(queue, 3)
    wake_up.enqueue(queue, uuid4())
    assert calls.run(session.run) == 0
    assert waiting_jobs(queue, HELP_QUEUE) == []


def test_no_more_are_called_than_there_are_shards(
    connection: psycopg.Connection[Any], session: Session, queue: RedisBroker, calls: CallsForHelp
) -> None:
    plan = planned(connection, claimed(connection), 2)
    idle(queue, 5)
    assert calls.run(session.run) == 2
    assert waiting_jobs(queue, HELP_QUEUE) == [plan.job_id] * 2


def test_without_an_idle_worker_postgres_is_not_asked(calls: CallsForHelp) -> None:
    def transact(_work: Any) -> Any:
        raise AssertionError("asked")

    assert calls.run(transact) == 0


JOBS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), max_size=5)


@given(jobs=JOBS, workers=st.integers(0, 12))
def test_each_worker_goes_where_the_fewest_are(jobs: list[tuple[int, int]], workers: int) -> None:
    wanted = [
        HelpWanted(UUID(int=number), UUID(int=0), at_work, free)
        for number, (at_work, free) in enumerate(sorted(jobs, key=lambda job: job[0]))
    ]
    calls = list(shared_out(wanted, workers))
    assert len(calls) == min(workers, sum(job.free_shards for job in wanted))
    at_work = {job.job_id: job.workers for job in wanted}
    free = {job.job_id: job.free_shards for job in wanted}
    for called in calls:
        assert at_work[called] == min(at_work[one] for one in free if free[one] > 0)
        at_work[called] += 1
        free[called] -= 1
        assert free[called] >= 0
