"""Behind a pooler in transaction mode: a session belongs to everybody, and nobody notices us."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from storage import faults, readiness
from storage.listener import Listener
from tests.pooler import Pooler, pooler
from tests.storage.making import (
    current,
    event_names,
    session,
    submitted,
)
from tests.storage.test_listener import Said
from tests.storage.whole_life import whole_life

# What a session carries besides its settings.
LEFTOVERS = """
SELECT (SELECT count(*) FROM pg_listening_channels()),
       (SELECT count(*) FROM pg_prepared_statements),
       (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
       (SELECT count(*) FROM pg_cursors)
"""

STRANGE = """
SET search_path = pg_catalog;
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'Asia/Kolkata';
SET statement_timeout = '900ms';
SET lock_timeout = '1ms';
SET idle_in_transaction_session_timeout = '1ms';
SET default_transaction_read_only = on;
SET default_transaction_isolation = serializable;
SET extra_float_digits = 0;
SET application_name = 'stranger';
"""


@pytest.fixture
def pool(database: str) -> Iterator[Pooler]:
    """One session for everybody."""
    with pooler(database) as made:
        yield made


def stranger(pool: Pooler) -> psycopg.Connection:
    return psycopg.connect(
        pool.dsn, autocommit=True, prepare_threshold=None, application_name="stranger"
    )


def everything_set(conn: psycopg.Connection) -> dict[str, str]:
    return dict(conn.execute("SELECT name, setting FROM pg_settings").fetchall())


@pytest.mark.parametrize("settings", ["SET work_mem = '5MB'", STRANGE], ids=["plain", "strange"])
def test_a_strangers_session_is_left_as_it_was(pool: Pooler, settings: str) -> None:
    with stranger(pool) as other, session(pool.dsn) as mine:
        (pid,) = pool.server_pids()
        other.execute(settings)
        before = everything_set(other)
        whole_life(mine)
        readiness.look(pool.dsn, abandon=lambda: False)
        after = everything_set(other)
        assert pool.server_pids() == [pid]  # the same session served both
        # A language's own settings are there from its first use on.
        assert {name: after[name] for name in before} == before
        assert other.execute(LEFTOVERS).fetchone() == (0, 0, 0, 0)


def test_what_a_stranger_left_on_the_session_does_not_reach_us(
    pool: Pooler, connection: psycopg.Connection
) -> None:
    with stranger(pool) as other, session(pool.dsn) as mine:
        other.execute(STRANGE)
        taken = whole_life(mine)
        found = mine.run(everything_set)
    assert found["DateStyle"].startswith("ISO, ")
    assert found["TimeZone"] == "UTC"
    assert found["search_path"] == '"$user", public'
    assert found["extra_float_digits"] == "1"
    assert found["transaction_isolation"] == "read committed"
    assert found["transaction_read_only"] == "off"
    assert found["lock_timeout"] == found["statement_timeout"] == "20000"
    assert found["idle_in_transaction_session_timeout"] == "20000"
    assert event_names(connection, taken.lease.job_id)[-1] == "succeeded"
    job = current(connection, taken.lease.job_id)
    assert job.created_at == taken.job.created_at


def test_many_programs_share_few_sessions(database: str, connection: psycopg.Connection) -> None:
    def program(number: int) -> None:
        with session(pool.dsn, application_name=f"program-{number}") as mine:
            for _ in range(5):
                whole_life(mine)

    with pooler(database, size=2) as pool, stranger(pool) as other:
        other.execute(STRANGE)
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(program, range(6)))
        assert len(pool.server_pids()) <= 2
    row = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE state = 'succeeded') FROM backtest_jobs"
    ).fetchone()
    assert row == (30, 30)


def test_a_listener_says_that_it_polls_and_leaves_nothing_on_the_session(pool: Pooler) -> None:
    said = Said()
    with Listener(pool.dsn, lambda: None, said):
        said.reach("is behind a pooler: no notifications, what happens to jobs is found by polling")
    with stranger(pool) as other:
        assert other.execute(LEFTOVERS).fetchone() == (0, 0, 0, 0)
    assert len(said.lines) == 1


def test_a_pooler_whose_server_went_away_is_tried_again(
    pool: Pooler, connection: psycopg.Connection
) -> None:
    with session(pool.dsn) as mine:
        mine.run(submitted)
        for pid in pool.server_pids():
            connection.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])

        errors = []
        for _ in range(20):
            try:
                mine.run(submitted)
                break
            except psycopg.Error as error:
                errors.append(error)
        else:
            pytest.fail(f"it never came back: {errors}")
    assert all(map(faults.passing, errors)), errors
