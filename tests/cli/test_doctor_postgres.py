"""What `backtest doctor` finds in a real Postgres, and that what it says to type mends it."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import engine
import migrations
from cli.doctor import postgres
from storage import examining, grants, leases, schema
from storage.records import Claimed, Lease
from tests.cli.conftest import Backtest
from tests.cli.doctoring import by_subject, findings, of_postgres, typed
from tests.grants import runtime_role, single
from tests.own_postgres import NEWEST, POSTGRES_VERSIONS, own_postgres
from tests.pooler import pooler
from tests.storage.making import claim, claimer, new_database, session, submitted
from tests.storage.test_grants import everything

ROOT = Path(__file__).resolve().parents[2]
WHAT_IS_CHECKED = [
    *("Postgres", "schema", "grants", "encoding", "pooler", "clock", "Postgres disk", "releases"),
]


@pytest.fixture(scope="module")
def migrated(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """DSN of a migrated database, as the owner of its tables."""
    with new_database(postgres_server, migrated_template) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def runtime(migrated: str) -> Iterator[str]:
    """DSN of a role that has what the runbook grants."""
    with runtime_role(migrated) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def owner(migrated: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(migrated, autocommit=True) as conn:
        yield conn


@contextmanager
def encoded(server: str, encoding: str) -> Iterator[str]:
    """DSN of a migrated database in an encoding."""
    name = f"encoded_{secrets.token_hex(4)}"
    dsn = make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}'"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        try:
            migrations.upgrade(dsn)
            yield dsn
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def runtime_role_without_tables(dsn: str) -> Iterator[str]:
    role = f"runtime_{secrets.token_hex(6)}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN")
        try:
            yield make_conninfo(dsn, user=role)
        finally:
            admin.execute(f"DROP ROLE {role}")


def role_of(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["user"])


def test_a_database_as_it_should_be_has_nothing_to_be_done(runtime: str) -> None:
    found = of_postgres(runtime)
    assert list(found) == WHAT_IS_CHECKED
    assert {finding.grade for finding in found.values()} == {"ok"}
    assert role_of(runtime) in found["Postgres"].found
    assert found["Postgres"].limit == "15 or newer"
    assert f"revision {schema.REVISION}" in found["schema"].found


# --- grants


def test_the_grants_that_are_checked_are_those_of_the_runbook() -> None:
    checked = [(what, table) for table, several in grants.TABLES.items() for what in several]
    assert sorted(checked) == sorted(single())


@pytest.mark.parametrize(("privilege", "table"), single())
def test_each_grant_that_is_missing_is_named_with_the_statement_that_mends_it(
    runtime: str, owner: psycopg.Connection, privilege: str, table: str
) -> None:
    role = sql.Identifier(role_of(runtime))
    revoke = sql.SQL("REVOKE {} ON {} FROM {}")
    owner.execute(revoke.format(sql.SQL(privilege), sql.Identifier(table), role))
    found = of_postgres(runtime)["grants"]
    assert (found.grade, found.commands) == (
        "wrong",
        (f"GRANT {privilege} ON public.{table} TO {role_of(runtime)};",),
    )
    assert f"lacks {privilege} ON public.{table}" in found.found
    owner.execute(found.commands[0])
    assert of_postgres(runtime)["grants"].grade == "ok"


@pytest.mark.parametrize("function", grants.FUNCTIONS)
def test_each_function_that_was_taken_from_everybody_is_named(
    runtime: str, owner: psycopg.Connection, function: str
) -> None:
    owner.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
    try:
        found = of_postgres(runtime)["grants"]
        mend = f"GRANT EXECUTE ON FUNCTION {function} TO {role_of(runtime)};"
        assert (found.grade, found.commands) == ("wrong", (mend,))
        owner.execute(found.commands[0])
        assert of_postgres(runtime)["grants"].grade == "ok"
    finally:
        owner.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM {role_of(runtime)}")
        owner.execute(f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC")


@pytest.mark.parametrize("function", grants.FUNCTIONS)
def test_programs_cannot_work_without_any_of_these_functions(
    postgres_server: str, migrated_template: str, function: str
) -> None:
    with (
        new_database(postgres_server, migrated_template) as dsn,
        runtime_role(dsn) as runtime,
        psycopg.connect(dsn, autocommit=True) as owner,
        session(runtime, on_connect=schema.check) as mine,
    ):
        owner.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        with pytest.raises((psycopg.errors.InsufficientPrivilege, schema.SchemaUnusable)):
            everything(mine, owner)


def test_every_function_of_the_server_that_programs_call_is_checked() -> None:
    """Those that an owner may reasonably take away: locks, notifications, what is the server's."""
    statements = [file for file in (ROOT / "storage/sql").glob("*.sql") if file.stem != "examining"]
    triggers = list((ROOT / "migrations/versions").glob("*.py"))
    assert statements
    assert triggers
    called = {
        name
        for file in (*statements, *triggers)
        for name in re.findall(r"\b(pg_\w+)\(", file.read_text("utf-8"))
    }
    assert called == {re.findall(r"\.(\w+)\(", function)[0] for function in grants.FUNCTIONS}


def test_a_schema_that_may_not_be_looked_into_is_named_and_mended(
    postgres_server: str, migrated_template: str
) -> None:
    with new_database(postgres_server, migrated_template) as dsn, runtime_role(dsn) as runtime:
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
            found = of_postgres(runtime)
            mend = f"GRANT USAGE ON SCHEMA public TO {role_of(runtime)};"
            assert found["grants"].commands == (mend,)
            assert (found["schema"].grade, found["schema"].found) == (
                "wrong",
                "the role may not look at it: see grants",
            )
            owner.execute(mend)
            mended = of_postgres(runtime)
        assert {finding.grade for finding in mended.values()} == {"ok"}


def test_a_role_that_has_nothing_is_told_all_of_it_and_can_work_afterwards(
    migrated: str, owner: psycopg.Connection
) -> None:
    """Its name needs quotes."""
    role = f"back-Test {secrets.token_hex(4)}"
    owner.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    try:
        found = of_postgres(make_conninfo(migrated, user=role))
        assert found["grants"].grade == found["schema"].grade == "wrong"
        assert len(found["grants"].commands) == len(grants.TABLES)
        for command in found["grants"].commands:
            owner.execute(command)
        mended = of_postgres(make_conninfo(migrated, user=role))
        assert {finding.grade for finding in mended.values()} == {"ok"}
    finally:
        owner.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
        owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_a_role_that_may_not_connect_is_told_the_statement(
    postgres_server: str, migrated_template: str
) -> None:
    with new_database(postgres_server, migrated_template) as dsn, runtime_role(dsn) as runtime:
        name = conninfo_to_dict(dsn)["dbname"]
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
            (found,) = of_postgres(runtime).values()
            assert found.grade == "wrong"
            owner.execute(found.commands[0])
            assert of_postgres(runtime)["Postgres"].grade == "ok"


def test_what_is_missing_in_a_database_that_was_never_migrated_is_not_taken_for_a_grant(
    postgres_server: str,
) -> None:
    with new_database(postgres_server) as dsn, runtime_role_without_tables(dsn) as runtime:
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute("REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC")
        found = of_postgres(runtime)
    assert len(found["grants"].commands) == 1
    assert "backtest migrate" in found["schema"].found


def test_by_command_a_missing_grant_is_code_2_and_can_be_copied(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch, runtime: str, owner: psycopg.Connection
) -> None:
    monkeypatch.setenv("STRATEGY_PG_DSN", runtime)
    owner.execute(f"REVOKE DELETE ON backtest_job_top_variants FROM {role_of(runtime)}")
    try:
        ended = backtest("doctor", "--within", "60")
    finally:
        owner.execute(f"GRANT DELETE ON backtest_job_top_variants TO {role_of(runtime)}")
    assert ended.code == 2
    mend = f"GRANT DELETE ON public.backtest_job_top_variants TO {role_of(runtime)};"
    assert mend in [line.strip() for line in ended.out.splitlines()]


# --- encodings


@pytest.mark.parametrize(
    ("encoding", "grade"), [("SQL_ASCII", "note"), ("LATIN1", "wrong"), ("KOI8R", "wrong")]
)
def test_a_database_in_another_encoding_is_told_what_follows_and_can_be_moved(
    postgres_server: str, encoding: str, grade: str
) -> None:
    values = conninfo_to_dict(postgres_server)
    new = f"encoded_{secrets.token_hex(4)}"
    moved = make_conninfo(postgres_server, dbname=new)
    with encoded(postgres_server, encoding) as dsn, session(dsn) as mine:
        found = of_postgres(dsn)["encoding"]
        assert (found.grade, found.limit) == (grade, "UTF8")
        assert encoding in found.found
        job = mine.run(partial(submitted, name="Ja"))
        try:
            for command in found.commands:
                ended = typed(
                    command.replace("NEW", new),
                    PATH=f"{POSTGRES_VERSIONS[NEWEST]}:/usr/bin:/bin",
                    PGHOST=str(values["host"]),
                    PGUSER=str(values["user"]),
                )
                assert ended.returncode == 0, ended.stderr
            assert of_postgres(moved)["encoding"].grade == "ok"
            with psycopg.connect(moved) as conn:
                names = conn.execute("SELECT job_id, name FROM backtest_jobs").fetchall()
            assert names == [(job.job_id, "Ja")]
        finally:
            with psycopg.connect(postgres_server, autocommit=True) as admin:
                admin.execute(f"DROP DATABASE IF EXISTS {new} WITH (FORCE)")


@pytest.mark.parametrize(
    ("encoding", "name", "kept"),
    [
        ("SQL_ASCII", "Ж" * 60, True),
        ("SQL_ASCII", "Ж" * 61, False),
        ("LATIN1", "é", True),
        ("LATIN1", "∞", False),
        ("UTF8", "Ж" * 120, True),
    ],
)
def test_what_is_said_of_encodings_is_true(
    postgres_server: str, encoding: str, name: str, kept: bool
) -> None:
    with encoded(postgres_server, encoding) as dsn, session(dsn) as mine:
        if kept:
            assert mine.run(partial(submitted, name=name)).name == name
            return
        with pytest.raises((psycopg.errors.CheckViolation, psycopg.DataError)):
            mine.run(partial(submitted, name=name))


# --- poolers, standbys, versions


def test_a_pooler_in_transaction_mode_is_a_note_that_says_what_it_costs(migrated: str) -> None:
    with pooler(migrated) as pool:
        found = of_postgres(pool.dsn)
    assert {name for name, finding in found.items() if finding.grade != "ok"} == {"pooler"}
    assert found["pooler"].grade == "note"
    assert "polling" in found["pooler"].advice


def test_a_pooler_in_statement_mode_is_refused_with_the_setting_to_change(migrated: str) -> None:
    with pooler(migrated, mode="statement") as pool:
        (found,) = of_postgres(pool.dsn).values()
    assert found.grade == "wrong"
    assert "pool_mode = transaction" in found.advice


def test_migrations_through_a_pooler_are_a_note(migrated: str) -> None:
    with pooler(migrated) as pool:
        behind = by_subject(postgres.migrations({"POSTGRES_DSN": pool.dsn}))
    direct = by_subject(postgres.migrations({"POSTGRES_DSN": migrated}))
    assert (behind["migrations"].grade, direct["migrations"].grade) == ("note", "ok")
    assert list(postgres.migrations({})) == []


def test_a_standby_is_said_to_be_one() -> None:
    with own_postgres() as server:
        migrations.upgrade(server.dsn)
        server.become_standby()
        (found,) = of_postgres(server.dsn).values()
    assert found.grade == "unreachable"
    assert "is a standby" in found.found
    assert "target_session_attrs=read-write" in found.advice


@pytest.mark.parametrize("version", POSTGRES_VERSIONS)
def test_every_supported_server_is_examined_as_a_role_without_rights(version: int) -> None:
    with own_postgres(version) as server:
        migrations.upgrade(server.dsn)
        with runtime_role(server.dsn) as runtime:
            found = of_postgres(runtime)
    assert list(found) == WHAT_IS_CHECKED
    assert f"version {version} " in found["Postgres"].found
    assert {finding.grade for finding in found.values()} == {"ok"}


def test_a_server_older_than_supported_is_refused(
    runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examining, "OLDEST_POSTGRES", NEWEST + 1)
    found = of_postgres(runtime)["Postgres"]
    assert (found.grade, found.limit) == ("wrong", f"{NEWEST + 1} or newer")


def test_a_schema_of_a_newer_release_asks_for_that_release(
    postgres_server: str, migrated_template: str
) -> None:
    with (
        new_database(postgres_server, migrated_template) as dsn,
        psycopg.connect(dsn, autocommit=True) as conn,
    ):
        conn.execute("UPDATE backtest_jobs_schema_version SET version_num = '9998'")
        allowed = of_postgres(dsn)["schema"]
        conn.execute("UPDATE backtest_jobs_schema_compat SET oldest_program_revision = '9998'")
        refused = of_postgres(dsn)["schema"]
    assert (allowed.grade, allowed.found) == ("ok", "revision 9998")
    assert refused.grade == "wrong"
    assert "install the newer release" in refused.found


def test_a_database_that_was_never_migrated_still_shows_everything_else(
    postgres_server: str,
) -> None:
    with new_database(postgres_server) as dsn:
        found = of_postgres(dsn)
    assert list(found) == WHAT_IS_CHECKED[:-1]
    assert "backtest migrate" in found["schema"].found
    assert {finding.grade for name, finding in found.items() if name != "schema"} == {"ok"}


# --- what can be seen of its disk, and of other workers


def test_the_size_of_the_log_is_shown_to_whoever_may_see_it(migrated: str, runtime: str) -> None:
    as_owner, as_role = of_postgres(migrated), of_postgres(runtime)
    assert re.search(r"the WAL \d+(\.\d)? [MG]iB of the whole", as_owner["Postgres disk"].found)
    assert "pg_monitor" not in as_owner["Postgres disk"].found
    assert "GRANT pg_monitor" in as_role["Postgres disk"].found
    assert as_owner["Postgres disk"].limit == "max_wal_size 1GB"


def started(conn: psycopg.Connection, engine_version: str) -> Lease:
    taken = claim(conn, submitted(conn).job_id, engine_version=engine_version)
    assert isinstance(taken, Claimed)
    return taken.lease


def end_hours_ago(conn: psycopg.Connection, job_id: UUID, hours: float) -> None:
    conn.execute(
        "UPDATE backtest_jobs SET state = 'cancelled', lease_expires_at = NULL,"
        " finished_at = now() - %s * interval '1 hour' WHERE job_id = %s",
        [hours, job_id],
    )


def test_workers_of_another_release_are_named_with_how_to_find_them(
    postgres_server: str, migrated_template: str
) -> None:
    with new_database(postgres_server, migrated_template) as dsn, session(dsn) as mine:
        for version in (engine.identity(), "0.9.0+0123456789ab"):
            job = mine.run(submitted)
            owner = claimer(f"{version[:3]}-1-0000000a", engine_version=version)
            taken = leases.claim(mine, job.job_id, owner)
            assert isinstance(taken, Claimed)
        for version, hours in (("0.8.0+a", 0.5), ("0.7.0+a", 1.5)):
            ended = mine.run(partial(started, engine_version=version))
            mine.run(partial(end_hours_ago, job_id=ended.job_id, hours=hours))
        found = of_postgres(dsn)["releases"]
        assert found.grade == "note"
        assert "0.9.0+0123456789ab (1 job)" in found.found
        assert "0.8.0+a (1 job)" in found.found
        assert "0.7.0" not in found.found
        assert engine.identity() not in found.found
        assert engine.identity() in found.limit
        query = found.commands[0].partition('-c "')[2].rstrip('"')
        with psycopg.connect(dsn) as conn:
            assert ("0.9-1-0000000a", "0.9.0+0123456789ab") in conn.execute(query).fetchall()


def test_the_command_prints_all_of_it_for_machines(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch, migrated: str
) -> None:
    monkeypatch.setenv("STRATEGY_PG_DSN", migrated)
    ended = backtest("doctor", "--within", "60", "--json")
    found = findings(ended)
    assert ended.code == 0
    assert set(WHAT_IS_CHECKED) <= set(found)
    keys = {"subject", "grade", "found", "limit", "advice", "commands"}
    assert all(set(finding) == keys for finding in found.values())
