"""A transaction of one statement is one message, and in all else like any other."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from storage import faults, leases
from storage.connection import Abandoned, NoAnswer
from storage.records import Stage
from tests.network import postgres_proxy
from tests.storage.making import claimed, current, event_names, session
from tests.storage.test_session import settings


def backend_pid(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


SETTINGS = "SELECT name, setting FROM pg_settings WHERE name LIKE '%%timeout' ORDER BY name"


def test_a_transaction_of_one_statement_is_one_message(
    database: str, connection: psycopg.Connection
) -> None:
    with session(database) as mine:
        pid = mine.run(backend_pid)
        mine.run_one(lambda conn: conn.execute("SELECT %(a)s", {"a": 7}))
        row = connection.execute(
            "SELECT query, state FROM pg_stat_activity WHERE pid = %s", [pid]
        ).fetchone()
    assert row is not None
    assert row[0].startswith("BEGIN ISOLATION LEVEL")
    assert row[0].endswith("; SELECT 7; COMMIT")
    assert row[1] == "idle"


def test_it_has_the_limits_of_any_other(database: str) -> None:
    with session(database, lock_seconds=1.5, statement_seconds=7) as mine:
        mine.run(backend_pid)
        many = mine.run(lambda conn: conn.execute(SETTINGS).fetchall())
        one = mine.run_one(lambda conn: conn.execute(SETTINGS).fetchall())
        assert mine._conn is not None
        outside = mine._conn.execute(SETTINGS).fetchall()
    assert one == many
    assert one != outside


def test_the_first_of_a_connection_is_looked_at_like_any_other(database: str) -> None:
    seen: list[dict[str, str]] = []
    with session(database, on_connect=lambda conn: seen.append(settings(conn))) as mine:
        assert mine.run_one(backend_pid) == mine.run_one(backend_pid)
    assert len(seen) == 1


VALUES = {
    "text": "Müller's \\ ₿ 😀 %s",
    "number": -(2**40),
    "float": 0.1,
    "nothing": None,
    "truth": True,
    "id": UUID(int=7),
    "time": datetime(2022, 1, 1, 12, 30, 1, 7, UTC),
    "stage": Stage.STAGE_B,
    "json": Jsonb({"a": ["\\'", "\u20bf", 1e-7]}),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_arrive_as_they_were(database: str, name: str) -> None:
    kind = {
        "number": "bigint",
        "float": "double precision",
        "truth": "boolean",
        "id": "uuid",
        "time": "timestamptz",
        "json": "jsonb",
    }.get(name, "text")

    def ask(conn: psycopg.Connection) -> Any:
        row = conn.execute(f"SELECT %(value)s::{kind}", {"value": VALUES[name]}).fetchone()
        assert row is not None
        return row[0]

    with session(database) as mine:
        expected = mine.run(ask)
        assert mine.run_one(ask) == expected


def test_rows_and_counts_are_those_of_the_statement(
    database: str, connection: psycopg.Connection
) -> None:
    lease = claimed(connection)
    with session(database) as mine:
        mine.run(backend_pid)
        beat = mine.run_one(lambda conn: leases.start_stage(conn, lease, Stage.STAGE_B, 9))
        assert beat is not None
        assert mine.run_one(lambda conn: leases.release(conn, lease))
        assert not mine.run_one(lambda conn: leases.release(conn, lease))
    assert (
        current(connection, lease.job_id).stage,
        current(connection, lease.job_id).total_units,
    ) == (
        Stage.STAGE_B,
        9,
    )
    assert event_names(connection, lease.job_id)[-2:] == ["stage_started", "lease_released"]


def test_an_error_commits_nothing_and_keeps_a_sound_connection(database: str) -> None:
    with session(database) as mine:
        pid = mine.run(backend_pid)
        with pytest.raises(psycopg.errors.DivisionByZero):
            mine.run_one(lambda conn: conn.execute("SELECT 1 / 0"))
        assert mine.run_one(backend_pid) == pid
        assert mine.run(backend_pid) == pid


def test_a_second_statement_is_refused(database: str, connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE written (number int)")

    def two(conn: psycopg.Connection) -> None:
        conn.execute("INSERT INTO written VALUES (1)")
        conn.execute("INSERT INTO written VALUES (2)")

    with session(database) as mine:
        mine.run(backend_pid)
        with pytest.raises(psycopg.ProgrammingError, match="one statement"):
            mine.run_one(two)
        mine.run(two)
    rows = connection.execute("SELECT number FROM written").fetchall()
    assert rows == [(1,), (1,), (2,)]


def test_a_wait_for_a_lock_ends(database: str, connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    with psycopg.connect(database) as holder, session(database, lock_seconds=0.05) as mine:
        mine.run(backend_pid)
        holder.execute("SELECT FROM backtest_jobs FOR UPDATE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            mine.run_one(lambda conn: leases.renew(conn, lease))
        holder.rollback()
        assert mine.run_one(lambda conn: leases.renew(conn, lease))


def test_every_wait_for_the_answer_ends(database: str) -> None:
    with postgres_proxy(database) as network, session(network.dsn, statement_seconds=0.2) as mine:
        mine.run(backend_pid)
        network.blackhole()
        with pytest.raises(NoAnswer) as caught:
            mine.run_one(backend_pid)
        assert faults.of(caught.value) is faults.Fault.GONE
        network.heal()
        mine.run(backend_pid)
        with pytest.raises(Abandoned):
            mine.run_one(lambda conn: conn.execute("SELECT pg_sleep(600)"), abandon=lambda: True)
        assert mine.run_one(backend_pid)
