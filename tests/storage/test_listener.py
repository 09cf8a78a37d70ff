"""Being told of submissions and releases; and what is said when nothing will ever be told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from storage import leases, listener, schema
from storage.listener import Listener
from storage.records import State
from tests.faults.harness import wait_for
from tests.network import postgres_proxy
from tests.storage.making import FAILURE, SUCCESSOR, claim, claimed, claimer, submitted

PASSWORD = "s3cr3t-pa55"


class Wakes:
    """Counts wake-ups, and waits for more of them."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def reach(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, timeout=20), self.count


class Said:
    """What was logged, and waiting for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def reach(self, text: str, timeout: float = 20) -> None:
        with self._changed:
            assert self._changed.wait_for(
                lambda: any(text in line for line in self.lines), timeout=timeout
            ), (text, self.lines)


@contextmanager
def listening(dsn: str, said: Said | None = None) -> Iterator[Wakes]:
    wakes = Wakes()
    with Listener(dsn, wakes, said or Said(), application_name="listener-test"):
        wakes.reach(1)  # connected
        yield wakes


def test_a_submission_wakes_the_listener(database: str, connection: psycopg.Connection) -> None:
    with listening(database) as wakes:
        submitted(connection)
        wakes.reach(2)


def test_a_release_wakes_the_listener(database: str, connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    with listening(database) as wakes:
        assert leases.release(connection, lease)
        wakes.reach(2)


def test_the_end_of_a_job_wakes_the_listener(database: str, connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    with listening(database) as wakes:
        assert leases.end(connection, lease, State.FAILED, FAILURE)
        wakes.reach(2)


def test_a_job_that_a_claim_ends_wakes_the_listener(
    database: str, connection: psycopg.Connection
) -> None:
    lease = claimed(connection)
    connection.execute(
        "UPDATE backtest_jobs SET lease_expires_at = now(), cancel_requested_at = now()"
    )
    with listening(database) as wakes:
        assert claim(connection, lease.job_id, locked_by=SUCCESSOR) is State.CANCELLED
        wakes.reach(2)


def test_a_job_that_is_not_to_be_had_wakes_the_listener(
    database: str, connection: psycopg.Connection
) -> None:
    lease = claimed(connection)
    with listening(database) as wakes:
        assert not leases.claimable(connection, lease.job_id, claimer(SUCCESSOR))
        wakes.reach(2)


def test_a_burst_is_fewer_wake_ups_than_notifications(
    database: str, connection: psycopg.Connection
) -> None:
    with listening(database) as wakes:
        with connection.transaction():
            for number in range(500):
                connection.execute("SELECT pg_notify('backtest_jobs', %s)", [str(number)])
        wakes.reach(2)
        submitted(connection)
        wakes.reach(3)
        assert wakes.count < 100


def test_a_listener_reconnects_says_so_and_wakes(
    database: str, connection: psycopg.Connection
) -> None:
    said = Said()
    with listening(database, said) as wakes:
        ended = connection.execute(  # also the session of its echo, where that is still there
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE application_name = 'listener-test' AND datname = current_database()"
        )
        assert ended.rowcount >= 1
        wakes.reach(2)
        before = wakes.count
        submitted(connection)
        wakes.reach(before + 1)
    assert said.lines[0].startswith("lost the notifications of Postgres")
    assert said.lines[-1].endswith("again")


def test_a_listener_starts_before_its_server(tmp_path: Path) -> None:
    said = Said()
    with Listener(f"host={tmp_path} password={PASSWORD}", lambda: None, said):
        said.reach("lost the notifications")
    assert len(said.lines) == 1
    assert PASSWORD not in said.lines[0]


def test_a_listener_whose_notifications_are_swallowed_says_so_and_comes_back(
    database: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "ANSWER_SECONDS", 0.3)
    said = Said()
    with postgres_proxy(database) as network, listening(network.dsn, said) as wakes:
        network.swallow_first()
        said.reach("lost the notifications")
        wait_for(lambda: len(network.stuck()) >= 2, "two tries that were swallowed")
        network.heal()
        said.reach("again")
        assert len(said.lines) == 2
        before = wakes.count
        submitted(connection)
        wakes.reach(before + 1)


@pytest.mark.parametrize("fault", ["blackhole", "swallow_first"])
def test_a_listener_stops_though_its_server_answers_nothing(database: str, fault: str) -> None:
    with postgres_proxy(database) as network:
        network.swallow_first()
        made = Listener(network.dsn, lambda: None, Said())
        made.start()
        if fault == "blackhole":
            network.blackhole()
        made.stop()
        network.heal()


def test_a_waiting_listener_stops_by_its_own_thread(database: str) -> None:
    with postgres_proxy(database) as network:
        wakes = Wakes()
        made = Listener(network.dsn, wakes, Said())
        made.start()
        wakes.reach(1)
        network.blackhole()
        made.stop()
        assert not made._thread.is_alive()


def test_a_server_without_notifications_is_said_once(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "ECHO_SECONDS", 0.2)
    monkeypatch.setattr(listener, "POLL_AGAIN_SECONDS", 0.01)
    # It listens to another channel than the one it notifies, as if the server delivered nothing.
    said = Said()
    real = listener.sql.Identifier
    monkeypatch.setattr(listener.sql, "Identifier", lambda _: real("other"))
    with Listener(database, lambda: None, said):
        said.reach("delivers no notifications: what happens to jobs is found by polling")
    assert len(said.lines) == 1


def test_stopping_a_listener_that_was_never_started_is_harmless(database: str) -> None:
    Listener(database, lambda: None, Said()).stop()


def test_a_listener_of_events_hears_of_every_event_and_of_no_submission(
    database: str, connection: psycopg.Connection
) -> None:
    wakes = Wakes()
    with Listener(database, wakes, Said(), channel=schema.EVENTS_CHANNEL):
        wakes.reach(1)  # connected
        connection.execute("NOTIFY backtest_jobs")
        submitted(connection)
        wakes.reach(2)
        claimed(connection)
        wakes.reach(3)
