import math
import threading
import time
from typing import Any

import psycopg
import pytest

from scheduler.duty import Duty
from scheduler.metrics import Metrics
from storage import postgres


@pytest.fixture
def open_connection(database: str) -> Any:
    return lambda: postgres.connect(database, application_name="duty", heartbeat_seconds=5)


def until(condition: Any, *, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def test_a_duty_comes_back_after_its_connection_was_ended(
    open_connection: Any, connection: psycopg.Connection[Any], metrics: Metrics
) -> None:
    duty = Duty(
        "d", lambda conn: conn.execute("SELECT 1"), open_connection, metrics, deadline_seconds=60
    )
    assert duty()
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'duty'"
    )
    assert not duty()
    until(duty)
    duty.close(1)


def test_a_failed_duty_pauses_before_it_tries_again(metrics: Metrics) -> None:
    attempts = []

    def away() -> psycopg.Connection[Any]:
        attempts.append(1)
        raise postgres.StorageUnavailable("nobody listens")

    duty = Duty("d", lambda _conn: None, away, metrics, deadline_seconds=60)
    assert not duty()
    assert not duty()
    assert len(attempts) == 1


def test_a_failure_is_reported_by_kind(metrics: Metrics, open_connection: Any) -> None:
    kinds: list[str] = []

    def broken(_conn: psycopg.Connection[Any]) -> None:
        raise ZeroDivisionError

    Duty("d", broken, open_connection, metrics, deadline_seconds=60, on_failure=kinds.append)()
    assert kinds == ["unexpected"]


def test_a_run_that_outlasts_its_deadline_loses_its_connection(
    open_connection: Any, metrics: Metrics
) -> None:
    asleep = threading.Event()

    def hang(conn: psycopg.Connection[Any]) -> None:
        asleep.set()
        conn.execute("SELECT pg_sleep(600)")

    duty = Duty("d", hang, open_connection, metrics, deadline_seconds=0.0)
    thread = threading.Thread(target=duty)
    thread.start()
    asleep.wait()
    until(lambda: (duty.cut_if_overdue(), not thread.is_alive())[1])


def test_a_closed_duty_does_nothing(open_connection: Any, metrics: Metrics) -> None:
    duty = Duty(
        "d", lambda conn: conn.execute("SELECT 1"), open_connection, metrics, deadline_seconds=60
    )
    duty.close(1)
    assert not duty()


def test_forgotten_gauges_are_no_number(metrics: Metrics) -> None:
    metrics.expired_leases.set(0)
    metrics.forget_gauges()
    value = metrics.registry.get_sample_value("backtest_scheduler_expired_leases")
    assert value is not None
    assert math.isnan(value)
