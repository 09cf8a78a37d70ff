"""What an error means: the table against the contract, and the real errors of a real server."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import errors

from storage import faults
from storage.faults import Fault
from tests.faults.harness import wait_for
from tests.own_postgres import OwnPostgres, own_postgres
from tests.storage.making import session, submitted, wait_for_a_blocked_session

# The contract, in its own words. Classes have two characters.
GONE = ["08", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "26000", "42P05"]
REFUSED = ["53100", "53200", "53300", "58030", "25006", "40001", "40003", "40P01", "55P03", "57014"]
BROKEN_BY_NAME = ["53400", "57P04", "XX000", "XX001", "XX002", "54000", "54001", "54011", "54023"]


def known() -> Iterator[type[psycopg.Error]]:
    """Every error that psycopg knows by its SQLSTATE."""
    for name in dir(errors):
        made = getattr(errors, name)
        if isinstance(made, type) and issubclass(made, psycopg.Error) and made.sqlstate:
            yield made


def expected(code: str) -> Fault:
    if code in GONE or code[:2] in GONE:
        return Fault.GONE
    return Fault.REFUSED if code in REFUSED else Fault.BROKEN


def test_every_known_error_is_sorted_as_the_contract_says() -> None:
    codes = {made.sqlstate: faults.of(made("said by the server")) for made in known()}
    assert len(codes) > 250
    assert codes == {code: expected(str(code)) for code in codes}
    named = {code for code in GONE + REFUSED + BROKEN_BY_NAME if len(code) == 5}
    assert named <= set(codes)


@pytest.mark.parametrize("code", ["08ZZZ", "57P99", "25P99", "53999", "ZZ999", "40ZZZ", "55ZZZ"])
def test_an_unknown_code_is_broken_unless_its_class_is_gone(code: str) -> None:
    error = psycopg.OperationalError("new")
    error.sqlstate = code
    assert faults.of(error) is expected(code)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (psycopg.OperationalError("the network"), Fault.GONE),
        (psycopg.InterfaceError("the connection is closed"), Fault.GONE),
        (psycopg.DataError("NUL in a text"), Fault.BROKEN),
        (psycopg.ProgrammingError("a parameter is missing"), Fault.BROKEN),
        (psycopg.NotSupportedError("pipeline"), Fault.BROKEN),
        (psycopg.InternalError("?"), Fault.BROKEN),
        (errors.FeatureNotSupported("cached plan, said the user"), Fault.BROKEN),
        (ValueError("no JSON"), Fault.BROKEN),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), Fault.BROKEN),
        (MemoryError(), Fault.BROKEN),
    ],
    ids=repr,
)
def test_what_only_the_client_saw_is_gone_when_the_connection_is(
    error: BaseException, fault: Fault
) -> None:
    assert faults.of(error) is fault
    assert faults.passing(error) is (fault is not Fault.BROKEN)


# --- provoked on a server

Provoke = Callable[[psycopg.Connection], object]


def run(provoke: Provoke, dsn: str, **limits: Any) -> psycopg.Error:
    with session(dsn, **limits) as mine, pytest.raises(psycopg.Error) as caught:
        mine.run(provoke)
    return caught.value


def kill_itself(conn: psycopg.Connection) -> None:
    conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def idle(dsn: str) -> Provoke:
    def provoke(conn: psycopg.Connection) -> None:
        with psycopg.connect(dsn, autocommit=True) as observer:
            while observer.execute(
                "SELECT FROM pg_stat_activity WHERE pid = %s", [conn.info.backend_pid]
            ).rowcount:
                observer.execute("SELECT pg_sleep(0.01)")
        conn.execute("SELECT 1")

    return provoke


def test_an_ended_session_is_gone(database: str) -> None:
    error = run(kill_itself, database)
    assert (error.sqlstate, faults.of(error)) == ("57P01", Fault.GONE)


def test_a_transaction_that_idled_too_long_is_gone(database: str) -> None:
    error = run(idle(database), database, lock_seconds=0.05)
    assert (error.sqlstate, faults.of(error)) == ("25P03", Fault.GONE)


def test_a_transaction_that_took_too_long_is_gone(database: str) -> None:
    def provoke(conn: psycopg.Connection) -> None:
        while True:
            conn.execute("SELECT pg_sleep(0.02)")

    error = run(provoke, database, statement_seconds=0.1)
    # Who sends in the moment in which the server closes may find no reason left to read.
    assert error.sqlstate in ("25P04", None)
    assert faults.of(error) is Fault.GONE


def test_a_statement_that_took_too_long_is_refused(database: str) -> None:
    error = run(lambda conn: conn.execute("SELECT pg_sleep(60)"), database, statement_seconds=0.1)
    assert (error.sqlstate, faults.of(error)) == ("57014", Fault.REFUSED)


def test_a_lock_that_somebody_holds_is_refused(
    database: str, connection: psycopg.Connection
) -> None:
    submitted(connection)
    lock = "SELECT FROM backtest_jobs FOR UPDATE"
    with psycopg.connect(database) as holder:
        holder.execute(lock)
        error = run(lambda conn: conn.execute(lock), database, lock_seconds=0.05)
    assert (error.sqlstate, faults.of(error)) == ("55P03", Fault.REFUSED)


def test_a_deadlock_is_refused(database: str, connection: psycopg.Connection) -> None:
    ids = [submitted(connection).job_id for _ in range(2)]
    lock = "SELECT FROM backtest_jobs WHERE job_id = %s FOR UPDATE"
    held = threading.Barrier(2)

    def both(conn: psycopg.Connection, order: list[Any]) -> None:
        conn.execute(lock, [order[0]])
        held.wait(timeout=20)
        conn.execute(lock, [order[1]])

    def one(order: list[Any]) -> psycopg.Error | None:
        with session(database) as mine:
            try:
                mine.run(lambda conn: both(conn, order))
            except psycopg.Error as error:
                return error
        return None

    with ThreadPoolExecutor(2) as threads:
        (error,) = filter(None, threads.map(one, [ids, ids[::-1]]))
    assert (error.sqlstate, faults.of(error)) == ("40P01", Fault.REFUSED)


def test_two_serializable_writers_are_refused(
    database: str, connection: psycopg.Connection
) -> None:
    submitted(connection)
    change = "UPDATE backtest_jobs SET priority = 1"
    with psycopg.connect(database) as conn, ThreadPoolExecutor(1) as threads:
        conn.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        conn.execute("SELECT 1")
        with psycopg.connect(database) as other:
            other.execute(change)
            waiting = threads.submit(conn.execute, change)
            wait_for_a_blocked_session(connection)
            other.commit()
        error = waiting.exception(timeout=20)
    assert isinstance(error, psycopg.Error)
    assert (error.sqlstate, faults.of(error)) == ("40001", Fault.REFUSED)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT repeat('[', 100000)::jsonb",
        "SELECT " + ",".join(["1"] * 1700),
        "SELECT jsonb_agg(repeat('x', 100000000)) FROM generate_series(1, 3)",
    ],
    ids=["too deep", "too many columns", "more than 256 MB of jsonb"],
)
def test_what_no_server_can_do_is_broken(database: str, statement: str) -> None:
    error = run(lambda conn: conn.execute(statement), database)
    assert (str(error.sqlstate)[:2], faults.of(error)) == ("54", Fault.BROKEN)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT nothing", "42703"),
        ("SELECT 1/0", "22012"),
        ("SELECT '\"\\u0000\"'::jsonb", "22P05"),
        ("INSERT INTO backtest_jobs DEFAULT VALUES", "23502"),
        ("EXECUTE unknown", "26000"),
    ],
)
def test_a_wrong_statement_is_broken(database: str, statement: str, code: str) -> None:
    error = run(lambda conn: conn.execute(statement), database)
    assert (error.sqlstate, faults.of(error)) == (code, expected(code))


def test_a_prepared_statement_that_a_migration_overtook_is_gone(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute("CREATE TABLE overtaken (a int)")
    try:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("SELECT * FROM overtaken", prepare=True)
            connection.execute("ALTER TABLE overtaken ADD COLUMN b int")
            with pytest.raises(errors.FeatureNotSupported) as caught:
                conn.execute("SELECT * FROM overtaken")
    finally:
        connection.execute("DROP TABLE overtaken")
    assert faults.of(caught.value) is Fault.GONE


# --- a server that fails over


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with own_postgres() as made:
        with psycopg.connect(made.dsn, autocommit=True) as conn:
            conn.execute("CREATE TABLE kept (value int)")
        yield made


def test_a_standby_refuses_until_it_is_promoted(server: OwnPostgres) -> None:
    insert = "INSERT INTO kept VALUES (1)"
    with session(server.dsn) as mine:
        mine.run(lambda conn: conn.execute(insert))
        server.become_standby()
        seen = []
        for _ in range(3):
            with pytest.raises(psycopg.Error) as caught:
                mine.run(lambda conn: conn.execute(insert))
            seen.append((caught.value.sqlstate, faults.of(caught.value)))
        # The connection of before is closed; then the standby itself answers.
        assert seen[0][1] is Fault.GONE
        assert seen[1:] == [("25006", Fault.REFUSED)] * 2
        server.promote()
        mine.run(lambda conn: conn.execute(insert))


def test_a_server_that_stops_and_starts_is_gone_meanwhile(server: OwnPostgres) -> None:
    with session(server.dsn) as mine:
        mine.run(lambda conn: conn.execute("SELECT 1"))
        for mode in ("fast", "immediate"):
            server.stop(mode)
            for _ in range(2):
                with pytest.raises(psycopg.Error) as caught:
                    mine.run(lambda conn: conn.execute("SELECT 1"))
                assert faults.of(caught.value) is Fault.GONE
            server.start()
            mine.run(lambda conn: conn.execute("SELECT 1"))


def test_a_server_without_a_free_connection_is_gone_until_there_is_one(
    server: OwnPostgres,
) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute("CREATE ROLE busy LOGIN CONNECTION LIMIT 1")
    dsn = server.dsn.replace("user=postgres", "user=busy")
    with session(dsn) as mine:
        with psycopg.connect(dsn), pytest.raises(psycopg.OperationalError) as caught:
            mine.run(lambda conn: conn.execute("SELECT 1"))
        assert faults.of(caught.value) is Fault.GONE

        def comes_in() -> bool:
            try:
                mine.run(lambda conn: conn.execute("SELECT 1"))
            except psycopg.OperationalError:
                return False
            return True

        wait_for(comes_in, "the end of the other connection")
