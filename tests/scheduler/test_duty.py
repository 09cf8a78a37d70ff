import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from scheduler.duty import Duty
from scheduler.metrics import Metrics
from storage.session import Session
from tests.scheduler.conftest import new_session


def ask(session: Session) -> None:
    session.run(lambda conn: conn.execute("SELECT 1"))


def until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def test_a_duty_comes_back_after_its_connection_was_ended(
    session: Session, connection: psycopg.Connection[Any], metrics: Metrics
) -> None:
    duty = Duty("d", ask, session, metrics)
    assert duty()
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'duty'"
    )
    assert not duty()
    until(duty)


def test_a_failed_duty_pauses_before_it_tries_again(metrics: Metrics, tmp_path: Path) -> None:
    attempts = []

    def attempt(session: Session) -> None:
        attempts.append(1)
        ask(session)

    nobody = new_session(make_conninfo(host=str(tmp_path), dbname="d", user="u"))
    duty = Duty("d", attempt, nobody, metrics)
    assert not duty()
    assert not duty()
    assert len(attempts) == 1


def test_a_failure_is_reported_by_kind(metrics: Metrics, session: Session) -> None:
    kinds: list[str] = []

    def broken(_session: Session) -> None:
        raise ZeroDivisionError

    Duty("d", broken, session, metrics, on_failure=kinds.append)()
    assert kinds == ["unexpected"]


def test_a_closed_duty_does_nothing(session: Session, metrics: Metrics) -> None:
    duty = Duty("d", ask, session, metrics)
    duty.close(1)
    assert not duty()


def test_forgotten_gauges_are_no_number(metrics: Metrics) -> None:
    metrics.expired_leases.set(0)
    metrics.forget_gauges()
    value = metrics.registry.get_sample_value("backtest_scheduler_expired_leases")
    assert value is not None
    assert math.isnan(value)
