"""Databases and roles with settings of their own: everything works, migration included."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import migrations
from storage import leases, result_texts, results, schema
from storage.connection import never
from storage.readiness import look
from storage.records import Failure, State, TopVariant
from tests.own_postgres import POSTGRES_VERSIONS, own_postgres
from tests.storage.making import (
    claimer,
    current,
    new_database,
    session,
    stored_rows,
    submitted,
)
from tests.storage.whole_life import whole_life

SETTINGS = {
    "DateStyle": "SQL, DMY",
    "TimeZone": "Asia/Kolkata",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "0",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "300ms",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
}


@contextmanager
def own_role(server: str) -> Iterator[str]:
    """A superuser of its own, so that settings of the role end with the test."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("CREATE ROLE odd SUPERUSER LOGIN")
        try:
            yield "odd"
        finally:
            admin.execute("DROP ROLE odd")


@pytest.mark.parametrize("what", ["DATABASE", "ROLE"])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_of_the_database_or_the_role_changes_nothing(
    postgres_server: str, name: str, what: str
) -> None:
    with own_role(postgres_server) as role, new_database(postgres_server) as plain:
        dsn = make_conninfo(plain, user=role)
        target = role if what == "ROLE" else str(conninfo_to_dict(dsn)["dbname"])
        with psycopg.connect(postgres_server, autocommit=True) as admin:
            admin.execute(
                sql.SQL("ALTER {} {} SET {} = {}").format(
                    sql.SQL(what), sql.Identifier(target), sql.Identifier(name), SETTINGS[name]
                )
            )
        migrations.upgrade(dsn)
        look(dsn, abandon=never)
        with session(dsn) as mine:
            taken = whole_life(mine)
            assert taken.job.created_at.utcoffset() is not None
            row = mine.run(lambda conn: conn.execute("SELECT now()").fetchone())
        assert row is not None
        assert abs((row[0] - taken.job.created_at).total_seconds()) < 300


def test_a_statement_timeout_of_the_role_does_not_end_our_statements(
    postgres_server: str, migrated_template: str
) -> None:
    with (
        own_role(postgres_server) as role,
        new_database(postgres_server, migrated_template) as plain,
        psycopg.connect(postgres_server, autocommit=True) as admin,
    ):
        admin.execute(f"ALTER ROLE {role} SET statement_timeout = '200ms'")
        with session(make_conninfo(plain, user=role)) as mine:
            mine.run(lambda conn: conn.execute("SELECT pg_sleep(0.5)"))


def test_the_tables_may_live_where_the_role_looks(postgres_server: str) -> None:
    with own_role(postgres_server) as role, new_database(postgres_server) as plain:
        with psycopg.connect(plain, autocommit=True) as admin:
            admin.execute("CREATE SCHEMA tests_own")
            admin.execute(f"ALTER ROLE {role} SET search_path = tests_own")
        dsn = make_conninfo(plain, user=role)
        migrations.upgrade(dsn)
        look(dsn, abandon=never)
        with session(dsn) as mine:
            whole_life(mine)
        with psycopg.connect(plain) as conn:
            row = conn.execute("SELECT to_regclass('public.backtest_jobs')").fetchone()
            assert row == (None,)


def test_a_role_that_looks_elsewhere_is_told_where_it_looks(
    postgres_server: str, migrated_template: str
) -> None:
    with (
        own_role(postgres_server) as role,
        new_database(postgres_server, migrated_template) as plain,
        psycopg.connect(postgres_server, autocommit=True) as admin,
    ):
        admin.execute(f"ALTER ROLE {role} SET search_path = elsewhere")
        with pytest.raises(
            schema.SchemaUnusable,
            match=r"no schema yet in its search_path elsewhere: .*correct the search_path",
        ):
            look(make_conninfo(plain, user=role), abandon=never)


# --- older servers, other encodings


@pytest.mark.parametrize("version", POSTGRES_VERSIONS)
def test_every_supported_server_will_do(version: int) -> None:
    with own_postgres(version) as server:
        migrations.upgrade(server.dsn)
        look(server.dsn, abandon=never)
        with session(server.dsn) as mine:
            whole_life(mine)


TEXT = "Müller ₿ 😀 \N{CJK UNIFIED IDEOGRAPH-4E2D}"


@pytest.fixture(params=["SQL_ASCII", "UTF8"])
def encoded(request: pytest.FixtureRequest, postgres_server: str) -> Iterator[str]:
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(
            f"CREATE DATABASE encoded TEMPLATE template0 ENCODING '{request.param}'"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        yield make_conninfo(postgres_server, dbname="encoded")
        admin.execute("DROP DATABASE encoded WITH (FORCE)")


def test_a_database_may_have_any_encoding(encoded: str) -> None:
    migrations.upgrade(encoded)
    look(encoded, abandon=never)
    with session(encoded) as mine:
        whole_life(mine)


def test_text_of_every_language_is_kept_in_any_encoding(encoded: str) -> None:
    migrations.upgrade(encoded)
    with session(encoded) as mine:
        job = mine.run(
            lambda conn: submitted(conn, request_json={"name": TEXT}, idempotency_key=TEXT)
        )
        assert (job.request_json, job.idempotency_key) == ({"name": TEXT}, TEXT)
        taken = mine.run(lambda conn: leases.try_claim(conn, job.job_id, claimer()))
        assert isinstance(taken, leases.Claimed)
        row = TopVariant(1, TEXT, TEXT, 0, 1.5, {"a": TEXT}, {"b": TEXT}, TEXT, [TEXT], [[0, TEXT]])
        document = result_texts.rows([row], reports=True)
        mine.run(lambda conn: results.save_snapshot(conn, taken.lease, document))
        assert mine.run(lambda conn: stored_rows(conn, job.job_id)) == [row]
        failure = Failure("no_market_data", TEXT, {"symbol": TEXT})
        mine.run(lambda conn: leases.end(conn, taken.lease, State.FAILED, failure))
        ended = mine.run(lambda conn: current(conn, job.job_id))
    assert ended.last_error == TEXT
    assert ended.last_error_json is not None
    assert ended.last_error_json["details"] == {"symbol": TEXT}
