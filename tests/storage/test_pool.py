"""Sessions that threads share: how many, how long one waits, and what an outage costs."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from storage import faults
from storage.connection import Connection
from storage.pool import PoolBusy, SessionPool
from tests.faults.harness import wait_for

LIMITS: dict[str, Any] = {
    "application_name": "pool-test",
    "lock_seconds": 20,
    "statement_seconds": 20,
}


@contextmanager
def pool(dsn: str, size: int, **changes: Any) -> Iterator[SessionPool]:
    made = SessionPool(dsn, size=size, **(LIMITS | changes))
    try:
        yield made
    finally:
        made.close()


def pid(conn: Connection) -> int:
    row = conn.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def connections(conn: psycopg.Connection) -> int:
    row = conn.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pool-test'"
        " AND datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])


def end_connections(conn: psycopg.Connection) -> None:
    """As a restart of Postgres does; returns when they are gone."""
    conn.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE application_name = 'pool-test' AND datname = current_database()"
    )


def insert(conn: Connection) -> None:
    conn.execute("INSERT INTO pool_test VALUES (1)")


@pytest.fixture
def table(connection: psycopg.Connection) -> Iterator[psycopg.Connection]:
    connection.execute("CREATE TABLE pool_test (n int)")
    yield connection
    connection.execute("DROP TABLE pool_test")


def rows(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT count(*) FROM pool_test").fetchone()
    assert row is not None
    return int(row[0])


def test_a_pool_opens_nothing_until_it_is_used(
    database: str, connection: psycopg.Connection
) -> None:
    with pool(database, 3) as mine:
        assert connections(connection) == 0
        mine.run(pid)
        assert connections(connection) == 1


def test_a_connection_is_used_again_and_the_last_one_first(
    database: str, connection: psycopg.Connection
) -> None:
    with pool(database, 3) as mine:
        assert len({mine.run(pid) for _ in range(5)}) == 1
        assert connections(connection) == 1


def test_many_threads_share_few_connections(database: str) -> None:
    meeting = threading.Barrier(4)

    def work(conn: Connection) -> int:
        meeting.wait(timeout=20)  # four are in use at the same moment
        return pid(conn)

    with pool(database, 4, wait_seconds=20) as mine, ThreadPoolExecutor(12) as threads:
        pids = list(threads.map(lambda _: mine.run(work), range(12)))
    assert len(set(pids)) == 4


def test_who_waits_too_long_is_told_that_all_are_busy(database: str) -> None:
    held, leave = threading.Event(), threading.Event()

    def hold(_conn: Connection) -> None:
        held.set()
        assert leave.wait(20)

    with pool(database, 1, wait_seconds=0.05) as mine, ThreadPoolExecutor(1) as threads:
        holding = threads.submit(mine.run, hold)
        assert held.wait(20)
        with pytest.raises(PoolBusy, match=r"all 1 connections .* busy for 0\.05 s") as caught:
            mine.run(pid)
        assert faults.passing(caught.value)
        leave.set()
        holding.result(timeout=20)
        assert mine.run(pid)


def test_a_failed_piece_of_work_gives_its_session_back(database: str, table: Any) -> None:
    def spoiled(conn: Connection) -> None:
        insert(conn)
        raise ValueError("no")

    with pool(database, 1, wait_seconds=0.05) as mine:
        for _ in range(3):
            with pytest.raises(ValueError, match="no"):
                mine.run(spoiled)
        assert mine.run(pid)
    assert rows(table) == 0


def test_every_idle_connection_may_be_gone_and_no_work_notices(
    database: str, table: psycopg.Connection
) -> None:
    meeting = threading.Barrier(3)

    def together(conn: Connection) -> None:
        meeting.wait(timeout=20)
        insert(conn)

    with pool(database, 3) as mine, ThreadPoolExecutor(3) as threads:
        for _ in range(2):
            list(threads.map(lambda _: mine.run(together), range(3)))
            end_connections(table)
        list(threads.map(lambda _: mine.run(together), range(3)))
    assert rows(table) == 9


@pytest.mark.parametrize(("again", "times"), [(False, 1), (True, 2)])
def test_work_that_had_begun_is_repeated_only_where_that_is_allowed(
    database: str, table: psycopg.Connection, again: bool, times: int
) -> None:
    tried = []

    def lose_the_first_connection(conn: Connection) -> int:
        tried.append(pid(conn))
        if len(tried) == 1:
            end_connections(table)
        return pid(conn)

    with pool(database, 1) as mine:
        mine.run(pid)
        if again:
            assert mine.run(lose_the_first_connection, again=True) == tried[1]
        else:
            with pytest.raises(psycopg.OperationalError):
                mine.run(lose_the_first_connection)
    assert len(tried) == times


def test_work_on_a_new_connection_is_never_repeated(
    database: str, table: psycopg.Connection
) -> None:
    tried = []

    def always_lose(conn: Connection) -> None:
        tried.append(pid(conn))
        end_connections(table)
        pid(conn)

    with pool(database, 1) as mine:
        with pytest.raises(psycopg.OperationalError):
            mine.run(always_lose, again=True)
        assert mine.run(pid)
    assert len(tried) == 1


def test_a_refusal_is_not_taken_for_a_lost_connection(database: str) -> None:
    tried = []

    def refused(conn: Connection) -> None:
        tried.append(pid(conn))
        conn.execute("SELECT 1 / 0")

    with pool(database, 1) as mine:
        mine.run(pid)
        with pytest.raises(psycopg.errors.DivisionByZero):
            mine.run(refused, again=True)
    assert len(tried) == 1


def test_each_connection_is_looked_at_once(database: str) -> None:
    seen = []
    with pool(database, 2, on_connect=lambda conn: seen.append(pid(conn))) as mine:
        for _ in range(3):
            mine.run(pid)
    assert len(seen) == 1


def test_a_closed_pool_keeps_no_connection_and_lends_none(
    database: str, connection: psycopg.Connection
) -> None:
    held, leave = threading.Event(), threading.Event()

    def hold(_conn: Connection) -> None:
        held.set()
        assert leave.wait(20)

    with pool(database, 2) as mine, ThreadPoolExecutor(1) as threads:
        holding = threads.submit(mine.run, hold)
        assert held.wait(20)
        mine.run(pid)
        mine.close()
        leave.set()
        holding.result(timeout=20)
        with pytest.raises(RuntimeError, match="closed"):
            mine.run(pid)
    wait_for(lambda: connections(connection) == 0, "the end of the connections")
