"""Questions that travel as one message with their transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from storage.asking import Ask
from storage.pool import SessionPool
from storage.session import Session

LIMITS: dict[str, Any] = {"application_name": "asking", "lock_seconds": 1.5, "statement_seconds": 7}

SETTING = "SELECT name, setting, unit FROM pg_settings WHERE name = ANY(%(names)s) ORDER BY name"


def rows(statement: str, **values: object) -> Ask[list[Any]]:
    return Ask(statement, values, lambda found: found)


def one(statement: str, **values: object) -> Ask[Any]:
    return Ask(statement, values, lambda found: found[0][0])


@contextmanager
def session(dsn: str, **changes: Any) -> Iterator[Session]:
    made = Session(dsn, **(LIMITS | changes))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def asking(database: str) -> Iterator[Session]:
    """A session that is connected: the first question of all travels in several messages."""
    with session(database) as made:
        made.ask(one("SELECT 1"))
        yield made


def test_every_question_gets_its_answer(asking: Session) -> None:
    found = asking.ask(
        one("SELECT %(a)s + 1", a=1),
        rows("SELECT n FROM generate_series(1, %(a)s) AS n", a=3),
        Ask("SELECT %(a)s AS name", {"a": "it's 50 %; \\ ₿"}, lambda found: found, rows=dict_row),
    )
    assert found == (2, [(1,), (2,), (3,)], [{"name": "it's 50 %; \\ ₿"}])


def test_no_rows_are_an_answer_too(asking: Session) -> None:
    none = rows("SELECT n FROM generate_series(1, 0) AS n")
    assert asking.ask(none, one("SELECT 5"), none) == ([], 5, [])


def test_the_first_question_of_a_connection_gets_the_same_answer(database: str) -> None:
    with session(database) as made:
        assert made.ask(one("SELECT %(a)s + 1", a=1), rows("SELECT 7")) == (2, [(7,)])


def test_all_questions_are_asked_in_one_transaction_that_sets_its_own_limits(
    asking: Session,
) -> None:
    names = ["lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout"]
    first, settings, second = asking.ask(
        one("SELECT pg_current_xact_id()::text"),
        rows(SETTING, names=names),
        one("SELECT pg_current_xact_id()::text"),
    )
    assert first == second
    assert settings == [
        ("idle_in_transaction_session_timeout", "1500", "ms"),
        ("lock_timeout", "1500", "ms"),
        ("statement_timeout", "7000", "ms"),
    ]
    assert asking.ask(one("SELECT pg_current_xact_id()::text"))[0] != first


def test_a_question_that_takes_too_long_is_ended_by_the_server(database: str) -> None:
    with session(database, statement_seconds=0.2) as made:
        (pid,) = made.ask(one("SELECT pg_backend_pid()"))
        with pytest.raises(psycopg.errors.QueryCanceled):
            made.ask(one("SELECT 1"), rows("SELECT pg_sleep(60)"))
        assert made.ask(one("SELECT pg_backend_pid()")) == (pid,)


def test_a_question_that_fails_leaves_a_sound_connection(asking: Session) -> None:
    (pid,) = asking.ask(one("SELECT pg_backend_pid()"))
    with pytest.raises(psycopg.errors.DivisionByZero):
        asking.ask(one("SELECT 1"), one("SELECT 1 / 0"), one("SELECT 2"))
    assert asking.ask(one("SELECT pg_backend_pid()")) == (pid,)


def test_values_are_never_read_as_statements(asking: Session) -> None:
    text = "'; DROP TABLE backtest_jobs; SELECT '"
    assert asking.ask(one("SELECT %(text)s", text=text)) == (text,)
    assert asking.ask(one("SELECT count(*) FROM backtest_jobs")) == (0,)


def test_questions_survive_the_end_of_every_idle_connection(
    database: str, connection: psycopg.Connection
) -> None:
    made = SessionPool(database, size=2, **LIMITS)
    try:
        (first,) = made.ask(one("SELECT pg_backend_pid()"))
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", [first])
        (second,) = made.ask(one("SELECT pg_backend_pid()"))
        assert second != first
        with pytest.raises(psycopg.errors.DivisionByZero):
            made.ask(one("SELECT 1 / 0"))
        assert made.ask(one("SELECT pg_backend_pid()")) == (second,)
    finally:
        made.close()
