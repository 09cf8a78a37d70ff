"""Connections: limits, waiting, the schema check, LISTEN, and ending one from outside."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from storage import postgres
from tests.storage.making import submitted

PASSWORD = "s3cr3t-pa55"


def unheard(line: str) -> None:
    pass


def setting(conn: psycopg.Connection, name: str) -> str:
    row = conn.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


# --- connecting


def test_a_connection_waits_and_idles_no_longer_than_a_heartbeat(database: str) -> None:
    with postgres.connect(database, application_name="worker", heartbeat_seconds=1.5) as conn:
        assert conn.autocommit
        assert setting(conn, "lock_timeout") == "1500ms"
        assert setting(conn, "idle_in_transaction_session_timeout") == "1500ms"
        assert setting(conn, "application_name") == "worker"


def test_a_url_with_a_socket_folder_connects(database: str) -> None:
    values = conninfo_to_dict(database)
    url = f"postgresql://{values['user']}@/{values['dbname']}?host={values['host']}"
    with postgres.connect(url, application_name="test", heartbeat_seconds=1) as conn:
        assert conn.info.dbname == values["dbname"]


def test_a_held_lock_is_not_waited_for_longer_than_a_heartbeat(
    database: str, connection: psycopg.Connection
) -> None:
    job_id = submitted(connection).job_id
    lock = "SELECT FROM backtest_jobs WHERE job_id = %s FOR UPDATE"
    with (
        psycopg.connect(database) as holder,
        postgres.connect(database, application_name="test", heartbeat_seconds=0.05) as conn,
    ):
        holder.execute(lock, [job_id])
        with pytest.raises(postgres.UNAVAILABLE):
            conn.execute(lock, [job_id])


def test_an_unreachable_server_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(postgres.StorageUnavailable, match=f"{tmp_path}:5432/jobs"):
        postgres.connect(
            f"host={tmp_path} dbname=jobs user=u password={PASSWORD}",
            application_name="test",
            heartbeat_seconds=1,
        )


BAD_DSN = f"postgresq://u:{PASSWORD}@h/db"


@pytest.mark.parametrize(
    "use",
    [
        lambda dsn: postgres.connect(dsn, application_name="t", heartbeat_seconds=1),
        lambda dsn: postgres.pool(dsn, application_name="t", heartbeat_seconds=1),
        lambda dsn: postgres.wait_until_ready(dsn, unheard),
        lambda dsn: postgres.Listener(dsn, lambda: None, unheard).start(),
        postgres.address,
    ],
    ids=["connect", "pool", "wait_until_ready", "Listener", "address"],
)
def test_a_malformed_dsn_is_refused_without_repeating_it(use: Callable[[str], object]) -> None:
    with pytest.raises(postgres.InvalidDsn) as caught:
        use(BAD_DSN)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        (f"postgresql://u:{PASSWORD}@db.example:6432/jobs", "db.example:6432/jobs"),
        (f"host=/run/pg user=u password={PASSWORD}", "/run/pg:5432/u"),
        (f"postgresql://u:{PASSWORD}@/jobs?host=/run/pg", "/run/pg:5432/jobs"),
    ],
)
def test_an_address_names_the_place_and_no_secret(dsn: str, expected: str) -> None:
    assert postgres.address(dsn) == expected


def test_a_pool_lends_configured_connections_and_replaces_dead_ones(database: str) -> None:
    with postgres.pool(database, application_name="api", heartbeat_seconds=2, max_size=1) as pool:
        with pool.connection() as conn:
            assert conn.autocommit
            assert setting(conn, "lock_timeout") == "2s"
            dead = conn.info.backend_pid
        kill(database, dead)
        with pool.connection() as conn:
            assert conn.info.backend_pid != dead


def kill(dsn: str, pid: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        # With a timeout it returns when the backend is gone.
        conn.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])


# --- ending a connection from outside


def test_shutting_down_ends_a_wait_in_another_thread(database: str) -> None:
    conn = postgres.connect(database, application_name="test", heartbeat_seconds=60)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(conn.execute, "SELECT pg_sleep(60)")
        wait_for_sleep(database, conn.info.backend_pid)
        postgres.shut_down(conn)
        with pytest.raises(postgres.UNAVAILABLE):
            waiting.result(timeout=20)
    conn.close()


def wait_for_sleep(dsn: str, pid: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as observer:
        for _ in range(2000):
            row = observer.execute(
                "SELECT wait_event FROM pg_stat_activity WHERE pid = %s", [pid]
            ).fetchone()
            if row == ("PgSleep",):
                return
            observer.execute("SELECT pg_sleep(0.005)")
    raise AssertionError("the backend never slept")


def test_shutting_down_a_closed_connection_is_harmless(database: str) -> None:
    conn = postgres.connect(database, application_name="test", heartbeat_seconds=1)
    conn.close()
    postgres.shut_down(conn)


# --- waiting and the schema


def test_a_migrated_database_is_ready(database: str) -> None:
    said: list[str] = []
    assert postgres.wait_until_ready(database, said.append)
    assert said == []


def test_an_empty_database_is_not_waited_for(postgres_server: str) -> None:
    with pytest.raises(postgres.SchemaNotMigrated, match=r"no schema yet.*backtest migrate"):
        postgres.wait_until_ready(postgres_server, unheard)


def test_another_revision_is_refused(connection: psycopg.Connection) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("UPDATE alembic_version SET version_num = 'older'")
        with pytest.raises(postgres.SchemaNotMigrated, match="revision older"):
            postgres.check_schema(connection)


def test_waiting_says_where_and_goes_on_when_the_server_is_there(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "RETRY_SECONDS", 0.01)
    said: list[str] = []
    link = tmp_path / "pg"
    real = conninfo_to_dict(database)["host"]

    def log(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            link.symlink_to(str(real))

    dsn = make_conninfo(database, host=str(link), password=PASSWORD)
    assert postgres.wait_until_ready(dsn, log)
    assert len(said) == 2
    assert said[0].startswith(f"waiting for Postgres at {link}:5432/")
    assert all(PASSWORD not in line and "\n" not in line for line in said)


def test_waiting_can_be_stopped(tmp_path: Path) -> None:
    stop = threading.Event()

    def log(line: str) -> None:
        stop.set()

    assert not postgres.wait_until_ready(f"host={tmp_path}", log, stop=stop)


# --- listening


class Wakes:
    """Counts wake-ups, and waits for more of them."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def reach(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, timeout=20), self.count


@contextmanager
def listening(dsn: str, said: list[str] | None = None) -> Iterator[Wakes]:
    wakes = Wakes()
    log = (said if said is not None else []).append
    with postgres.Listener(dsn, wakes, log, application_name="listener-test"):
        wakes.reach(1)  # connected
        yield wakes


def test_a_submission_wakes_the_listener(database: str, connection: psycopg.Connection) -> None:
    with listening(database) as wakes:
        submitted(connection)
        wakes.reach(2)


def test_a_burst_is_fewer_wake_ups_than_notifications(
    database: str, connection: psycopg.Connection
) -> None:
    with listening(database) as wakes:
        with connection.transaction():
            for number in range(500):
                connection.execute("SELECT pg_notify('backtest_jobs', %s)", [str(number)])
        wakes.reach(2)
        submitted(connection)
        wakes.reach(3)
        assert wakes.count < 100


def test_a_listener_reconnects_says_so_and_wakes(
    database: str, connection: psycopg.Connection
) -> None:
    said: list[str] = []
    with listening(database, said) as wakes:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'listener-test'"
            " AND datname = current_database()"
        ).fetchone()
        assert row is not None
        kill(database, row[0])
        wakes.reach(2)
        before = wakes.count
        submitted(connection)
        wakes.reach(before + 1)
    assert said[0].startswith("lost the notifications of Postgres")
    assert said[-1].endswith("again")


def test_a_listener_starts_before_its_server(tmp_path: Path) -> None:
    said: list[str] = []
    first = threading.Event()

    def log(line: str) -> None:
        said.append(line)
        first.set()

    with postgres.Listener(f"host={tmp_path} password={PASSWORD}", lambda: None, log):
        assert first.wait(timeout=20)
    assert len(said) == 1
    assert PASSWORD not in said[0]


def test_a_listener_stops_though_its_server_answers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "STOP_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / ".s.PGSQL.5432"))
        silent.listen()
        listener = postgres.Listener(f"host={tmp_path}", lambda: None, unheard)
        listener.start()
        listener.stop()


def test_stopping_a_listener_that_was_never_started_is_harmless(database: str) -> None:
    postgres.Listener(database, lambda: None, unheard).stop()
