import math
import threading
import time
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest

from scheduler import upkeep
from scheduler.metrics import Metrics
from storage import jobs, switches
from storage.records import State
from storage.session import Session
from tests.scheduler.conftest import Submit, ended, new_session, owned
from tests.storage.making import claimed, expire, fail, set_crashes
from tests.storage.sharing import planned


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"backtest_scheduler_{name}", labels)


def state(connection: psycopg.Connection[Any], job_id: UUID) -> State:
    job = jobs.get(connection, job_id)
    assert job is not None
    return job.state


def test_the_sweep_fails_a_job_whose_owners_vanish_too_often(
    connection: psycopg.Connection[Any], session: Session, metrics: Metrics, submit: Submit
) -> None:
    job_id = submit(**owned(lease="-1 s", crash_count=3))
    upkeep.sweep(session.run, metrics, max_crashes=3)
    assert state(connection, job_id) is State.FAILED
    assert sample(metrics, "swept_total", state="failed") == 1


def test_the_sweep_cancels_an_ownerless_job_that_was_asked_to_stop(
    connection: psycopg.Connection[Any], session: Session, metrics: Metrics, submit: Submit
) -> None:
    job_id = submit(**owned(lease="-1 s", cancel_requested_at="now()"))
    upkeep.sweep(session.run, metrics, max_crashes=3)
    assert state(connection, job_id) is State.CANCELLED
    assert sample(metrics, "swept_total", state="cancelled") == 1


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(owned(lease="60 s", crash_count=3), id="owner alive"),
        pytest.param(owned(lease="-1 s", crash_count=2), id="crashes left"),
        pytest.param(owned(lease="0 s", crash_count=3, locked_by="NULL"), id="released"),
    ],
)
def test_the_sweep_leaves_jobs_that_will_go_on(
    connection: psycopg.Connection[Any],
    session: Session,
    metrics: Metrics,
    submit: Submit,
    columns: dict[str, str],
) -> None:
    job_id = submit(**columns)
    upkeep.sweep(session.run, metrics, max_crashes=3)
    assert state(connection, job_id) is State.RUNNING


def test_the_sweep_deletes_the_plans_of_jobs_that_have_ended(
    connection: psycopg.Connection[Any], session: Session, metrics: Metrics
) -> None:
    goes_on, ended_before, given_up = (claimed(connection) for _ in range(3))
    for lease in (goes_on, ended_before, given_up):
        planned(connection, lease)
    fail(connection, ended_before)
    expire(connection, given_up.job_id)
    set_crashes(connection, given_up.job_id, 3)
    upkeep.sweep(session.run, metrics, max_crashes=3)
    left = connection.execute("SELECT DISTINCT job_id FROM backtest_job_shards").fetchall()
    assert left == [(goes_on.job_id,)]


def test_gauges_are_unknown_before_the_first_reading(metrics: Metrics) -> None:
    queued = sample(metrics, "jobs", state="queued")
    assert queued is not None
    assert math.isnan(queued)


def test_gauges_count_active_jobs(
    connection: psycopg.Connection[Any], session: Session, metrics: Metrics, submit: Submit
) -> None:
    submit(created_at="now() - interval '90 s'")
    submit()
    submit(**owned(lease="-1 s"))
    submit(**ended(days_ago=0))
    upkeep.measure(session.run, metrics)
    assert sample(metrics, "jobs", state="queued") == 2
    assert sample(metrics, "jobs", state="running") == 1
    assert sample(metrics, "expired_leases") == 1
    assert 90 <= (sample(metrics, "oldest_queued_age_seconds") or 0) < 150


def test_gauges_count_jobs_that_do_not_come_to_an_end(
    connection: psycopg.Connection[Any], session: Session, metrics: Metrics, submit: Submit
) -> None:
    for minutes in (0, 2, 3):
        job_id = submit(**owned(lease="60 s", stage="'finalizing'"))
        connection.execute(
            "INSERT INTO backtest_job_events (job_id, event, attempt, actor, details, at)"
            " VALUES (%s, 'stage_started', 1, 'w', '{\"stage\": \"finalizing\"}',"
            " now() - make_interval(mins => %s))",
            (job_id, minutes),
        )
    upkeep.measure(session.run, metrics)
    assert sample(metrics, "finalizing_overdue") == 2
    assert sample(metrics, "waiting_sessions") == 0


def test_a_gauge_tells_of_a_pause(
    connection: psycopg.Connection[Any], session: Session, metrics: Metrics
) -> None:
    for paused, change in ((1, partial(switches.pause, reason="why")), (0, switches.resume)):
        change(connection, by="root@host")
        upkeep.measure(session.run, metrics)
        assert sample(metrics, "paused") == paused


def test_gauges_count_sessions_that_wait_for_a_lock(
    connection: psycopg.Connection[Any], database: str, session: Session, metrics: Metrics
) -> None:
    lock = "LOCK TABLE backtest_jobs IN EXCLUSIVE MODE"
    waiter = new_session(database)
    thread = threading.Thread(target=lambda: waiter.run(lambda conn: conn.execute(lock)))
    with connection.transaction():
        connection.execute(lock)
        thread.start()
        waiting = 0.0
        deadline = time.monotonic() + 4
        while not waiting and time.monotonic() < deadline:
            upkeep.measure(session.run, metrics)
            waiting = sample(metrics, "waiting_sessions") or 0.0
    thread.join()
    waiter.close()
    assert waiting == 1


def test_retention_deletes_old_terminal_jobs_in_batches(
    connection: psycopg.Connection[Any],
    session: Session,
    submit: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upkeep, "RETENTION_BATCH", 2)
    for _ in range(5):
        submit(**ended(days_ago=31))
    kept = [submit(**ended(days_ago=29)), submit()]
    assert upkeep.retain(session.run, retention_days=30) == 5
    rows = connection.execute("SELECT job_id FROM backtest_jobs").fetchall()
    assert sorted(job_id for (job_id,) in rows) == sorted(kept)


def test_without_retention_everything_is_kept(
    connection: psycopg.Connection[Any], session: Session, submit: Submit
) -> None:
    submit(**ended(days_ago=3650))
    assert upkeep.retain(session.run, retention_days=None) == 0
