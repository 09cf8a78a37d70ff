"""The breakable network and the test's own server do what fault tests rely on."""

import threading
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest
import redis

from tests.network import PostgresProxy, postgres_proxy, redis_proxy
from tests.own_postgres import own_postgres

HANGING = 0.5


@pytest.fixture
def network(database: str) -> Iterator[PostgresProxy]:
    with postgres_proxy(database) as proxy:
        yield proxy


def connect(network: PostgresProxy) -> psycopg.Connection:
    return psycopg.connect(network.dsn, autocommit=True, connect_timeout=2)


def in_thread(conn: psycopg.Connection, statement: str) -> threading.Thread:
    def ask() -> None:
        with suppress(psycopg.Error):
            conn.execute(statement)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread


def test_everything_passes(network: PostgresProxy) -> None:
    with connect(network) as conn:
        big = conn.execute("SELECT repeat('x', 10000000) || %s", ["y" * 10_000_000]).fetchone()
    assert big is not None
    assert len(big[0]) == 20_000_000


def test_a_blackhole_answers_neither_old_connections_nor_new_ones(network: PostgresProxy) -> None:
    with connect(network) as conn:
        network.blackhole()
        asking = in_thread(conn, "SELECT 1")
        asking.join(HANGING)
        assert asking.is_alive()
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            connect(network)
        network.heal()
        asking.join(20)
        assert not asking.is_alive()


def test_refused_connections_are_closed_and_come_back_on_the_same_port(
    network: PostgresProxy,
) -> None:
    conn = connect(network)
    network.refuse()
    with pytest.raises(psycopg.OperationalError):
        conn.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(network)
    network.heal()
    with connect(network) as again:
        again.execute("SELECT 1")


def test_swallowing_lets_in_and_answers_nothing(network: PostgresProxy) -> None:
    old = connect(network)
    network.swallow_first()
    with pytest.raises(psycopg.OperationalError):
        old.execute("SELECT 1")
    new = connect(network)
    asking = in_thread(new, "SELECT 1")
    asking.join(HANGING)
    assert asking.is_alive()
    network.heal()
    asking.join(HANGING)
    assert asking.is_alive()
    with connect(network) as healthy:
        healthy.execute("SELECT 1")
    network.cut()


def test_a_dropped_answer_is_that_of_a_statement_that_ran(
    network: PostgresProxy, connection: psycopg.Connection
) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS dropped_answers (value int)")
    network.drop_answer_of(b"COMMIT", after=b"dropped_answers")
    with psycopg.connect(network.dsn) as conn:
        conn.execute("SELECT 1")
        conn.commit()
        conn.execute("INSERT INTO dropped_answers VALUES (%s)", [7])
        with pytest.raises(psycopg.OperationalError):
            conn.commit()
    assert network.dropped.is_set()
    assert connection.execute("SELECT value FROM dropped_answers").fetchall() == [(7,)]
    with connect(network) as healthy:
        healthy.execute("BEGIN; INSERT INTO dropped_answers VALUES (8); COMMIT")


def test_redis_is_breakable_too(redis_url: str) -> None:
    with redis_proxy(redis_url) as network:
        client = redis.Redis.from_url(network.url, socket_timeout=HANGING)
        assert client.ping()
        network.blackhole()
        with pytest.raises(redis.exceptions.TimeoutError):
            client.ping()
        network.heal()
        assert client.ping()
        network.refuse()
        with pytest.raises(redis.exceptions.ConnectionError):
            client.ping()
        client.close()


def test_an_own_server_stops_becomes_read_only_and_is_promoted() -> None:
    with own_postgres() as server:
        server.stop("immediate")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.dsn)
        server.start()
        with psycopg.connect(server.dsn, autocommit=True) as conn:
            conn.execute("CREATE TABLE kept (value int)")
        server.become_standby()
        with psycopg.connect(server.dsn, autocommit=True) as conn:
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                conn.execute("INSERT INTO kept VALUES (1)")
            server.promote()
            conn.execute("INSERT INTO kept VALUES (1)")
