"""Questions, asked one by one in a thread, or in a loop as one message with their transaction."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import uvloop
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from storage.asking import Ask
from storage.pool import SessionPool
from tests.loops import in_a_loop, running_loop
from tests.own_postgres import own_postgres
from tests.pooler import pooler

LIMITS: dict[str, Any] = {"application_name": "asking", "lock_seconds": 1.5, "statement_seconds": 7}

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

SETTING = "SELECT name, setting, unit FROM pg_settings WHERE name = ANY(%(names)s) ORDER BY name"
PID = "SELECT pg_backend_pid()"
TEXT = "Müller's ₿ 😀 \\ \N{CJK UNIFIED IDEOGRAPH-4E2D} 50 %"

AskAll = Callable[..., tuple[Any, ...]]


def rows(statement: str, **values: object) -> Ask[list[Any]]:
    return Ask(statement, values, lambda found: found)


def one(statement: str, **values: object) -> Ask[Any]:
    return Ask(statement, values, lambda found: found[0][0])


@contextmanager
def asker(dsn: str, way: str, **changes: Any) -> Iterator[AskAll]:
    """How a program asks that has one connection, which is made already."""
    pool = SessionPool(dsn, size=1, **(LIMITS | changes))

    def in_a_thread(*asks: Ask[Any]) -> tuple[Any, ...]:
        return pool.run(lambda conn: tuple(ask.of(conn) for ask in asks), again=True)

    try:
        in_a_thread(one("SELECT 1"))
        if way == "thread":
            yield in_a_thread
        else:
            with running_loop(LOOPS[way]) as run:
                yield lambda *asks: run(pool.ask(*asks))
    finally:
        pool.close()


@pytest.fixture(params=["thread", *LOOPS])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ask(database: str, way: str) -> Iterator[AskAll]:
    with asker(database, way) as made:
        yield made


def test_every_question_gets_its_answer(ask: AskAll) -> None:
    found = ask(
        one("SELECT %(a)s + 1", a=1),
        rows("SELECT n FROM generate_series(1, %(a)s) AS n", a=3),
        Ask("SELECT %(a)s AS name", {"a": TEXT}, lambda found: found, rows=dict_row),
    )
    assert found == (2, [(1,), (2,), (3,)], [{"name": TEXT}])


def test_no_rows_are_an_answer_too(ask: AskAll) -> None:
    none = rows("SELECT n FROM generate_series(1, 0) AS n")
    assert ask(none, one("SELECT 5"), none) == ([], 5, [])


def test_the_first_question_of_a_connection_gets_the_same_answer(database: str) -> None:
    made = SessionPool(database, size=1, **LIMITS)
    try:
        asked = (one("SELECT %(a)s + 1", a=1), rows("SELECT 7"))
        assert in_a_loop(made.ask(*asked)) == (2, [(7,)])
    finally:
        made.close()


def test_all_questions_are_asked_in_one_transaction_that_sets_its_own_limits(ask: AskAll) -> None:
    names = ["lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout"]
    first, settings, second = ask(
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
    assert ask(one("SELECT pg_current_xact_id()::text"))[0] != first


def test_in_a_loop_a_transaction_is_one_message(
    database: str, connection: psycopg.Connection
) -> None:
    with asker(database, "uvloop") as ask:
        pid, _ = ask(one(PID), one("SELECT 1"))
        (last,) = connection.execute(
            "SELECT query FROM pg_stat_activity WHERE pid = %s", [pid]
        ).fetchall()
    assert last[0].startswith("BEGIN ")
    assert last[0].endswith(f"{PID}; SELECT 1; COMMIT")


def test_a_question_that_takes_too_long_is_ended_by_the_server(database: str, way: str) -> None:
    with asker(database, way, statement_seconds=0.2) as ask:
        (pid,) = ask(one(PID))
        with pytest.raises(psycopg.errors.QueryCanceled):
            ask(one("SELECT 1"), rows("SELECT pg_sleep(60)"))
        assert ask(one(PID)) == (pid,)


def test_a_question_that_fails_leaves_a_sound_connection(ask: AskAll) -> None:
    (pid,) = ask(one(PID))
    with pytest.raises(psycopg.errors.DivisionByZero):
        ask(one("SELECT 1"), one("SELECT 1 / 0"), one("SELECT 2"))
    assert ask(one(PID)) == (pid,)


def test_an_answer_that_nobody_can_read_leaves_a_sound_connection(ask: AskAll) -> None:
    (pid,) = ask(one(PID))
    with pytest.raises(IndexError):
        ask(one("SELECT 1 WHERE false"), one("SELECT 2"))
    assert ask(one(PID)) == (pid,)


def test_values_are_never_read_as_statements(ask: AskAll) -> None:
    text = "'; DROP TABLE backtest_jobs; SELECT '"
    assert ask(one("SELECT %(text)s", text=text)) == (text,)
    assert ask(one("SELECT count(*) FROM backtest_jobs")) == (0,)


def test_what_a_connection_reads_json_with_is_used_for_questions(database: str, way: str) -> None:
    def greet(conn: psycopg.Connection) -> None:
        set_json_loads(lambda text: f"read: {bytes(text).decode()}", conn)

    with asker(database, way, on_connect=greet) as ask:
        assert ask(one("""SELECT '{"a":1}'::json""")) == ('read: {"a":1}',)


def test_questions_survive_the_end_of_every_idle_connection(
    ask: AskAll, connection: psycopg.Connection
) -> None:
    (first,) = ask(one(PID))
    connection.execute("SELECT pg_terminate_backend(%s, 10000)", [first])
    (second,) = ask(one(PID))
    assert second != first
    with pytest.raises(psycopg.errors.DivisionByZero):
        ask(one("SELECT 1 / 0"))
    assert ask(one(PID)) == (second,)


def test_a_standby_says_that_it_cannot_write(way: str) -> None:
    with own_postgres() as server, asker(server.dsn, way) as ask:
        server.become_standby()
        for _ in range(2):  # on a new connection, and on one that there is
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                ask(one("SELECT 1"))
        server.promote()
        assert ask(one("SELECT 1")) == (1,)


def test_behind_a_pooler_questions_leave_nothing_on_a_strangers_session(
    database: str, way: str
) -> None:
    strange = "SET search_path = pg_catalog; SET statement_timeout = '900ms'; SET DateStyle = 'SQL'"
    limit = "SELECT setting FROM pg_settings WHERE name = 'statement_timeout'"
    left = "SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY name"
    with (
        pooler(database) as pool,
        psycopg.connect(pool.dsn, autocommit=True, prepare_threshold=None) as stranger,
        asker(pool.dsn, way) as ask,
    ):
        stranger.execute(strange)
        before = stranger.execute(left).fetchall()
        for _ in range(3):
            assert ask(one("SELECT count(*) FROM backtest_jobs"), one(limit)) == (0, "7000")
        assert stranger.execute(left).fetchall() == before
        assert len(pool.server_pids()) == 1


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "UTF8"])
def test_text_of_every_language_is_kept_in_any_encoding(
    postgres_server: str, encoding: str, way: str
) -> None:
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(
            f"CREATE DATABASE asked TEMPLATE template0 ENCODING '{encoding}'"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    try:
        with asker(make_conninfo(postgres_server, dbname="asked"), way) as ask:
            assert ask(one("SELECT %(text)s", text=TEXT)) == (TEXT,)
    finally:
        with psycopg.connect(postgres_server, autocommit=True) as admin:
            admin.execute("DROP DATABASE asked WITH (FORCE)")
