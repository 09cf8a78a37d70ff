"""Taking a lease through a network that loses answers, and while the worker is told to stop."""

import threading
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from storage.records import EventName, State
from storage.session import Session
from tasks import claim, runner
from tasks.worker import Worker
from tests.faults.conftest import small_sweep
from tests.faults.harness import Stack, wait_for
from tests.network import PostgresProxy
from tests.tasks.answering import answering, counted, session_to


def through(network: PostgresProxy, worker: Worker, **changes: Any) -> Worker:
    return replace(worker, session=session_to(network.dsn), **changes)


def test_a_claim_whose_answer_is_lost_recognises_itself(
    stack: Stack, worker: Worker, network: PostgresProxy
) -> None:
    job_id = stack.submit(small_sweep())
    network.drop_answer_of(b"COMMIT", after=b"claimed AS")

    runner.run(job_id, through(network, worker))

    assert network.dropped.is_set()
    job = stack.job(job_id)
    assert (job.state, job.attempt, job.crash_count) == (State.SUCCEEDED, 1, 0)
    assert stack.events(job_id) == [
        EventName.QUEUED,
        EventName.CLAIMED,
        *[EventName.STAGE_STARTED] * 3,
        EventName.SUCCEEDED,
    ]
    assert counted(worker) == {"claimed": 1, "succeeded": 1}


def test_a_worker_that_stops_while_unsure_releases_and_then_puts_the_message_back(
    stack: Stack, worker: Worker, network: PostgresProxy
) -> None:
    job_id = stack.submit(small_sweep())
    events_when_put_back: list[list[EventName]] = []
    connections = iter(range(1, 10))

    def stop_at_the_second(_conn: object) -> None:
        if next(connections) == 2:
            worker.stopping.set()
            raise psycopg.OperationalError("so the retry does not know either")

    session = Session(
        network.dsn,
        application_name="test",
        lock_seconds=1,
        statement_seconds=1,
        on_connect=stop_at_the_second,
    )
    network.drop_answer_of(b"COMMIT", after=b"claimed AS")
    stopped = replace(
        worker,
        session=session,
        put_back=lambda job_id: events_when_put_back.append(stack.events(job_id)),
    )

    assert claim.take(job_id, stopped) is None

    assert events_when_put_back == [[EventName.QUEUED, EventName.CLAIMED, EventName.LEASE_RELEASED]]
    job = stack.job(job_id)
    assert (job.locked_by, job.crash_count) == (None, 0)


def test_a_worker_that_stops_without_having_reached_postgres_releases_nothing(
    stack: Stack, worker: Worker, network: PostgresProxy
) -> None:
    job_id = stack.submit(small_sweep())
    put_back = threading.Event()
    network.refuse()
    away = through(network, worker, put_back=lambda _job_id: put_back.set())
    with capture_logs() as lines, answering(away, claim.take, job_id) as taken:
        pass
    assert taken.result() is None
    assert put_back.is_set()
    assert {line["event"] for line in lines} <= {"claim_delayed"}
    assert stack.events(job_id) == [EventName.QUEUED]


@pytest.mark.parametrize("hurt", [PostgresProxy.refuse, PostgresProxy.swallow_first])
def test_a_claim_is_tried_again_until_postgres_answers(
    stack: Stack, worker: Worker, network: PostgresProxy, hurt: Callable[[PostgresProxy], None]
) -> None:
    job_id = stack.submit(small_sweep())
    hurt(network)
    with capture_logs() as lines, answering(through(network, worker), claim.take, job_id) as taken:
        wait_for(lambda: [line for line in lines if line["event"] == "claim_delayed"], "a delay")
        network.heal()
        result = taken.result(timeout=30)
    assert result is not None
    assert stack.events(job_id) == [EventName.QUEUED, EventName.CLAIMED]


@pytest.mark.parametrize("hurt", [PostgresProxy.blackhole, PostgresProxy.swallow_first])
def test_a_claim_that_gets_no_answer_ends_when_the_worker_stops(
    stack: Stack, worker: Worker, network: PostgresProxy, hurt: Callable[[PostgresProxy], None]
) -> None:
    hurt(network)
    patient = Session(network.dsn, application_name="test", lock_seconds=600, statement_seconds=600)
    with answering(
        replace(worker, session=patient), claim.take, stack.submit(small_sweep())
    ) as taken:
        wait_for(network.links, "the claim to be sent")
    assert taken.result(timeout=30) is None


def test_the_lease_is_counted_from_before_the_claim_was_sent(
    stack: Stack, worker: Worker, network: PostgresProxy
) -> None:
    network.blackhole()
    with answering(through(network, worker), claim.take, stack.submit(small_sweep())) as taken:
        wait_for(network.links, "the claim to be under way")
        later = monotonic()
        network.heal()
        result = taken.result(timeout=30)
    assert result is not None
    claimed, sent_at = result
    assert claimed.job.state is State.RUNNING
    assert sent_at < later
