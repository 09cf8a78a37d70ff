import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from psycopg.conninfo import make_conninfo

from scheduler import stopping
from scheduler.duty import Duty, Transact
from scheduler.metrics import Metrics
from scheduler.outages import Outages
from scheduler.stopping import Stop
from storage import schema
from storage.schema import DatabaseReplaced
from storage.session import Session
from tests.network import postgres_proxy
from tests.scheduler.conftest import new_session

NewDuty = Callable[..., Duty]


def ask(transact: Transact) -> None:
    transact(lambda conn: conn.execute("SELECT 1"))


@pytest.fixture
def new_duty(metrics: Metrics, outages: Outages, stop: Stop) -> NewDuty:
    """Make a duty of the program that the other fixtures belong to."""

    def new_duty(work: Callable[[Transact], object], session: Session, **rest: Any) -> Duty:
        return Duty("d", work, session, metrics, outages, stop, **rest)

    return new_duty


def until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def last_success(metrics: Metrics) -> float | None:
    name = "backtest_scheduler_duty_last_success_timestamp_seconds"
    return metrics.registry.get_sample_value(name, {"duty": "d"})


def test_a_duty_comes_back_after_its_connection_was_ended(
    new_duty: NewDuty, session: Session, connection: psycopg.Connection[Any]
) -> None:
    duty = new_duty(ask, session)
    assert duty()
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'duty'"
    )
    assert not duty()
    until(duty)


def test_a_failed_duty_pauses_before_it_tries_again(new_duty: NewDuty, tmp_path: Path) -> None:
    attempts = []

    def attempt(transact: Transact) -> None:
        attempts.append(1)
        ask(transact)

    duty = new_duty(attempt, new_session(make_conninfo(host=str(tmp_path), dbname="d", user="u")))
    assert not duty()
    assert not duty()
    assert len(attempts) == 1


def test_a_failure_is_reported_by_kind(new_duty: NewDuty, session: Session) -> None:
    kinds: list[str] = []

    def broken(_transact: Transact) -> None:
        raise ZeroDivisionError

    assert not new_duty(broken, session, on_failure=kinds.append)()
    assert kinds == ["unexpected"]


def test_an_hourly_duty_runs_at_once_and_then_not_for_an_hour(
    new_duty: NewDuty, session: Session
) -> None:
    duty = new_duty(ask, session, every_seconds=3600)
    assert [duty(), duty()] == [True, False]


def test_an_hourly_duty_that_failed_is_tried_again_soon(
    new_duty: NewDuty, session: Session
) -> None:
    errors: list[Exception] = [psycopg.OperationalError("away")]

    def work(_transact: Transact) -> None:
        if errors:
            raise errors.pop()

    duty = new_duty(work, session, every_seconds=3600)
    assert not duty()
    until(duty)


def test_a_metric_says_when_a_duty_was_last_done(
    new_duty: NewDuty, session: Session, metrics: Metrics
) -> None:
    errors: list[Exception] = [psycopg.OperationalError("away")]

    def work(_transact: Transact) -> None:
        if errors:
            raise errors.pop()

    duty = new_duty(work, session)
    assert last_success(metrics) == 0
    assert not duty()
    assert last_success(metrics) == 0
    before = time.time()
    until(duty)
    assert before <= (last_success(metrics) or 0) <= time.time()


def test_nothing_begins_once_the_program_stops(
    new_duty: NewDuty, session: Session, stop: Stop
) -> None:
    duty = new_duty(ask, session)
    stop.set()
    assert not duty()


def test_a_run_under_way_is_abandoned_when_patience_ends(
    new_duty: NewDuty,
    database: str,
    stop: Stop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 0.2)
    with postgres_proxy(database) as network:
        session = Session(
            network.dsn, application_name="duty", lock_seconds=600, statement_seconds=600
        )

        def hang(transact: Transact) -> None:
            ask(transact)
            network.blackhole()
            stop.set()
            ask(transact)

        with structlog.testing.capture_logs() as lines:
            assert not new_duty(hang, session)()
    assert lines == [], "what ends because it was told to is no outage"


def test_a_replaced_database_is_noticed_by_the_next_connection(
    new_duty: NewDuty, database: str, connection: psycopg.Connection[Any]
) -> None:
    began_with = schema.namespace(connection)
    session = Session(
        database,
        application_name="duty",
        lock_seconds=5,
        statement_seconds=20,
        on_connect=lambda conn: schema.check_unchanged(conn, began_with),
    )
    duty = new_duty(ask, session)
    assert duty()
    connection.execute(
        "CREATE TABLE restored (LIKE backtest_jobs); DROP TABLE backtest_jobs CASCADE"
    )
    connection.execute("ALTER TABLE restored RENAME TO backtest_jobs")
    session.close()
    with pytest.raises(DatabaseReplaced, match=began_with):
        duty()


def test_forgotten_gauges_are_no_number(metrics: Metrics) -> None:
    metrics.expired_leases.set(0)
    metrics.forget_gauges()
    value = metrics.registry.get_sample_value("backtest_scheduler_expired_leases")
    assert value is not None
    assert math.isnan(value)
