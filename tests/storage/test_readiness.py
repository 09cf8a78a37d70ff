"""A program that starts: it waits for Postgres, and names at once what waiting would not cure."""

import hashlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from storage import readiness, schema
from storage.connection import never
from storage.readiness import DatabaseRefuses, look, wait_until_ready
from tests.network import postgres_proxy
from tests.own_postgres import own_postgres
from tests.storage.making import new_database

PASSWORD = "s3cr3t-pa55"


def unheard(line: str) -> None:
    pass


# --- ready


def test_a_migrated_database_is_ready_and_names_its_namespace(database: str) -> None:
    said: list[str] = []
    namespace = wait_until_ready(database, said.append)
    assert re.fullmatch("[0-9a-f]{12}", str(namespace))
    assert said == []
    assert wait_until_ready(database, unheard) == namespace


def test_a_namespace_is_the_server_the_database_and_the_table(
    database: str, connection: psycopg.Connection
) -> None:
    row = connection.execute(
        "SELECT system_identifier,"
        " (SELECT oid FROM pg_database WHERE datname = current_database()),"
        " (SELECT oid FROM pg_class WHERE relname = 'backtest_jobs') FROM pg_control_system()"
    ).fetchone()
    assert row is not None
    expected = hashlib.md5(":".join(map(str, row)).encode()).hexdigest()[:12]
    assert schema.namespace(connection) == expected


def test_a_copy_of_a_database_has_another_namespace(
    postgres_server: str, migrated_template: str
) -> None:
    with (
        new_database(postgres_server, migrated_template) as one,
        new_database(postgres_server, migrated_template) as copy,
    ):
        first, second = look(one, abandon=never), look(copy, abandon=never)
        assert first != second
        # A dump that is restored over it makes the tables anew.
        with psycopg.connect(copy, autocommit=True) as conn:
            conn.execute(
                "ALTER TABLE backtest_jobs RENAME TO gone; CREATE TABLE backtest_jobs (a int)"
            )
        assert look(copy, abandon=never) not in (first, second)


def test_an_empty_database_is_not_waited_for(postgres_server: str) -> None:
    with pytest.raises(schema.SchemaUnusable, match=r"postgres has no schema yet.*backtest migrat"):
        wait_until_ready(postgres_server, unheard)


def test_what_is_neither_a_refusal_nor_an_outage_is_not_waited_for(
    postgres_server: str, migrated_template: str
) -> None:
    with new_database(postgres_server, migrated_template) as dsn:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("ALTER TABLE backtest_jobs_schema_version RENAME version_num TO other")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            wait_until_ready(dsn, pytest.fail)


# --- waiting


def test_waiting_says_where_and_goes_on_when_the_server_is_there(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "REMIND_SECONDS", 0)
    said: list[str] = []
    link = tmp_path / "pg"
    real = conninfo_to_dict(database)["host"]

    def log(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            link.symlink_to(str(real))

    dsn = make_conninfo(database, host=str(link), password=PASSWORD)
    assert wait_until_ready(dsn, log)
    assert len(said) == 2
    assert said[0].startswith(f"waiting for Postgres: Postgres at {link}:5432/")
    assert all(PASSWORD not in line and "\n" not in line for line in said)


def test_waiting_is_said_at_once_and_then_rarely(database: str) -> None:
    said: list[str] = []
    with postgres_proxy(database) as network:
        network.refuse()
        threading.Timer(1.5, network.heal).start()
        assert wait_until_ready(network.dsn, said.append)
    assert len(said) == 1


def test_waiting_can_be_stopped(tmp_path: Path) -> None:
    stop = threading.Event()

    def log(line: str) -> None:
        stop.set()

    assert wait_until_ready(f"host={tmp_path}", log, stop=stop) is None


def test_a_server_that_goes_away_during_the_check_is_waited_for(database: str) -> None:
    said: list[str] = []
    with postgres_proxy(database) as network:
        network.drop_answer_of(b"to_regclass")
        assert wait_until_ready(network.dsn, said.append)
        assert network.dropped.is_set()
    assert len(said) == 1
    assert said[0].startswith("waiting for Postgres: ")


@pytest.mark.parametrize("fault", ["blackhole", "swallow_first"])
def test_a_look_at_a_server_that_answers_nothing_ends_by_its_deadline(
    database: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(readiness, "ANSWER_SECONDS", 0.2)
    with postgres_proxy(database) as network:
        getattr(network, fault)()
        with pytest.raises(psycopg.OperationalError):
            look(f"{network.dsn} connect_timeout=2", abandon=never)


def test_a_wait_for_a_server_that_answers_nothing_is_stopped_at_once(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "ANSWER_SECONDS", 600)
    stop = threading.Event()
    with postgres_proxy(database) as network:
        network.swallow_first()
        threading.Timer(0.3, stop.set).start()
        assert wait_until_ready(network.dsn, unheard, stop=stop) is None


# --- what waiting would not cure


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server that wants passwords of some, and lets others in for nothing."""
    with own_postgres() as made:
        made.add_access_rule("local all secured scram-sha-256")
        made.add_access_rule("local all banned reject")
        with psycopg.connect(made.dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("CREATE ROLE secured LOGIN PASSWORD {}").format(PASSWORD))
            conn.execute("CREATE ROLE banned LOGIN")
            conn.execute("CREATE ROLE visitor LOGIN")
            conn.execute("CREATE ROLE nologin NOLOGIN")
            conn.execute("CREATE DATABASE closed ALLOW_CONNECTIONS false")
            conn.execute("CREATE DATABASE private")
            conn.execute("REVOKE CONNECT ON DATABASE private FROM PUBLIC")
        yield made.dsn


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"dbname": "nothing"}, "no such database.*3D000"),
        ({"user": "secured", "password": "wrong"}, "password is wrong.*28P01"),
        ({"user": "nobody_knows"}, "role's name and pg_hba.conf.*28000"),
        ({"user": "nologin"}, "role's name and pg_hba.conf.*28000"),
        ({"user": "banned"}, "role's name and pg_hba.conf.*28000"),
        ({"dbname": "closed"}, "ALLOW_CONNECTIONS.*55000"),
        ({"dbname": "private", "user": "visitor"}, "GRANT CONNECT.*42501"),
        ({"options": "-c no_such_setting=1"}, "does not know a setting.*42704"),
    ],
    ids=repr,
)
def test_a_refusal_is_one_line_that_says_what_to_do(
    server: str, changes: dict[str, str], line: str
) -> None:
    with pytest.raises(DatabaseRefuses, match=line) as caught:
        wait_until_ready(make_conninfo(server, **changes), pytest.fail)
    said = str(caught.value)
    host = conninfo_to_dict(server)["host"]
    assert said.startswith(f"Postgres at {host}:5432/{changes.get('dbname', 'postgres')}: ")
    assert "\n" not in said
    assert not {"wrong", PASSWORD} & set(re.findall(r"[\w-]+", said.replace("is wrong", "")))


def test_a_missing_password_is_named_too(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    said: list[str] = []

    def log(line: str) -> None:
        said.append(line)
        stop.set()

    # The server refuses nothing: libpq has no password to answer with, and goes away.
    assert wait_until_ready(make_conninfo(server, user="secured"), log, stop=stop) is None
    assert "no password supplied" in said[0]


def test_a_server_that_is_merely_full_is_waited_for(server: str) -> None:
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
    stop = threading.Event()

    def log(line: str) -> None:
        stop.set()

    dsn = make_conninfo(server, user="crowded")
    assert wait_until_ready(dsn, log, stop=stop) is None
    assert readiness.refusal(dsn) == "53300"


def test_asking_for_the_code_ends_by_its_deadline(server: str) -> None:
    with postgres_proxy(server) as network:
        network.blackhole()
        assert readiness.refusal(network.dsn, seconds=0.3) is None


def test_what_is_no_refusal_has_no_code(server: str, tmp_path: Path) -> None:
    assert readiness.refusal(server) is None
    assert readiness.refusal(f"host={tmp_path}") is None
    assert readiness.refusal("host=127.0.0.1 port=1") is None
