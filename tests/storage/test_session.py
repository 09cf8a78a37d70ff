"""A session: every transaction brings its own limits, and no wait is without an end."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from storage import faults, leases
from storage.connection import Abandoned, InvalidDsn, NoAnswer, address
from storage.listener import Listener
from storage.readiness import wait_until_ready
from storage.session import Session, Unreachable
from tests.network import postgres_proxy
from tests.storage.making import claimed, session, submitted

PASSWORD = "s3cr3t-pa55"
SETTINGS = (
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "statement_timeout",
    "transaction_timeout",
    "search_path",
    "extra_float_digits",
    "transaction_isolation",
    "transaction_read_only",
    "DateStyle",
    "TimeZone",
    "client_encoding",
    "application_name",
)


def settings(conn: psycopg.Connection) -> dict[str, str]:
    found = {}
    for name in SETTINGS:
        row = conn.execute("SELECT current_setting(%s, true)", [name]).fetchone()
        assert row is not None
        found[name] = row[0]
    return found


def backend_pid(conn: psycopg.Connection) -> int:
    return conn.info.backend_pid


# --- limits


def test_a_transaction_sets_its_limits_for_itself_only(database: str) -> None:
    with session(database, lock_seconds=1.5, statement_seconds=7) as mine:
        inside = mine.run(settings)
        assert mine._conn is not None
        outside = settings(mine._conn)
    expected = {
        "lock_timeout": "1500ms",
        "idle_in_transaction_session_timeout": "1500ms",
        "statement_timeout": "7s",
        "transaction_timeout": "28s",
        "search_path": '"$user", public',
        "extra_float_digits": "1",
        "transaction_isolation": "read committed",
        "transaction_read_only": "off",
        "DateStyle": "ISO, MDY",
        "TimeZone": "UTC",
        "client_encoding": "UTF8",
        "application_name": "test",
    }
    assert inside == expected
    limits = [name for name in expected if name.endswith("timeout")]
    assert [outside[name] for name in limits] == ["0"] * 4


def test_one_transaction_may_have_another_limit_for_its_statements(database: str) -> None:
    with session(database, statement_seconds=7) as mine:
        assert mine.run(settings, statement_seconds=0.5)["statement_timeout"] == "500ms"
        assert mine.run(settings)["statement_timeout"] == "7s"


@pytest.mark.parametrize("seconds", [1e-9, 0.0004])
def test_a_limit_is_never_none_at_all(database: str, seconds: float) -> None:
    with session(database, lock_seconds=seconds) as mine, suppress(psycopg.Error):
        assert mine.run(settings)["lock_timeout"] == "1ms"


def test_a_held_lock_is_not_waited_for_longer(
    database: str, connection: psycopg.Connection
) -> None:
    job_id = submitted(connection).job_id
    lock = "SELECT FROM backtest_jobs WHERE job_id = %s FOR UPDATE"
    with psycopg.connect(database) as holder, session(database, lock_seconds=0.05) as mine:
        holder.execute(lock, [job_id])
        with pytest.raises(psycopg.errors.LockNotAvailable):
            mine.run(lambda conn: conn.execute(lock, [job_id]))
        holder.rollback()
        mine.run(lambda conn: conn.execute(lock, [job_id]))


def test_a_statement_that_takes_too_long_is_ended_by_the_server(database: str) -> None:
    with session(database, statement_seconds=0.05) as mine:
        with pytest.raises(psycopg.errors.QueryCanceled):
            mine.run(lambda conn: conn.execute("SELECT pg_sleep(60)"))
        assert mine.run(backend_pid)


# --- one transaction


def test_work_is_committed_as_a_whole_or_not_at_all(
    database: str, connection: psycopg.Connection
) -> None:
    class Stop(Exception):
        pass

    def half(conn: psycopg.Connection) -> None:
        submitted(conn)
        raise Stop

    with session(database) as mine:
        with pytest.raises(Stop):
            mine.run(half)
        assert connection.execute("SELECT count(*) FROM backtest_jobs").fetchone() == (0,)
        mine.run(submitted)
    assert connection.execute("SELECT count(*) FROM backtest_jobs").fetchone() == (1,)


def test_an_error_keeps_a_sound_connection_and_replaces_a_broken_one(
    database: str, connection: psycopg.Connection
) -> None:
    with session(database) as mine:
        first = mine.run(backend_pid)
        with pytest.raises(psycopg.errors.DivisionByZero):
            mine.run(lambda conn: conn.execute("SELECT 1/0"))
        assert mine.run(backend_pid) == first
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", [first])
        with pytest.raises(psycopg.OperationalError) as caught:
            mine.run(backend_pid)
        assert faults.of(caught.value) is faults.Fault.GONE
        assert mine.run(backend_pid) != first


def test_a_new_connection_is_looked_at_before_it_is_used(
    database: str, connection: psycopg.Connection
) -> None:
    seen: list[int] = []
    with session(database, on_connect=lambda conn: seen.append(backend_pid(conn))) as mine:
        first = mine.run(backend_pid)
        mine.run(backend_pid)
        assert seen == [first]
        mine.close()
        second = mine.run(backend_pid)
        assert seen == [first, second]


def test_a_connection_that_was_not_looked_at_to_the_end_is_looked_at_again(database: str) -> None:
    looks: list[bool] = []

    def look(conn: psycopg.Connection) -> None:
        looks.append(True)
        if len(looks) == 1:
            conn.execute("SELECT 1/0")

    with session(database, on_connect=look) as mine:
        with pytest.raises(psycopg.errors.DivisionByZero):
            mine.run(backend_pid)
        mine.run(backend_pid)
        mine.run(backend_pid)
    assert len(looks) == 2


def test_text_and_json_beyond_ascii_come_back_as_they_were(
    database: str, connection: psycopg.Connection
) -> None:
    with session(database) as mine:
        job = mine.run(lambda conn: submitted(conn, request_json={"name": "Müller ₿ 😀"}))
    assert job.request_json == {"name": "Müller ₿ 😀"}


# --- connecting


def test_an_unreachable_server_is_named_without_its_password(tmp_path: Path) -> None:
    dsn = f"host={tmp_path} dbname=jobs user=u password={PASSWORD}"
    with session(dsn) as mine, pytest.raises(Unreachable, match=f"{tmp_path}:5432/jobs") as caught:
        mine.run(backend_pid)
    assert PASSWORD not in str(caught.value)
    assert faults.of(caught.value) is faults.Fault.GONE


def test_a_url_with_a_socket_folder_connects(database: str) -> None:
    values = conninfo_to_dict(database)
    url = f"postgresql://{values['user']}@/{values['dbname']}?host={values['host']}"
    with session(url) as mine:
        assert mine.run(lambda conn: conn.info.dbname) == values["dbname"]


def unheard(line: str) -> None:
    pass


BAD_DSN = f"postgresq://u:{PASSWORD}@h/db"


@pytest.mark.parametrize(
    "use",
    [
        lambda dsn: Session(dsn, application_name="t", lock_seconds=1, statement_seconds=1),
        lambda dsn: wait_until_ready(dsn, unheard),
        lambda dsn: Listener(dsn, lambda: None, unheard).start(),
        address,
    ],
    ids=["Session", "wait_until_ready", "Listener", "address"],
)
def test_a_malformed_dsn_is_refused_without_repeating_it(use: Callable[[str], object]) -> None:
    with pytest.raises(InvalidDsn) as caught:
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
    assert address(dsn) == expected


# --- waits


def test_a_statement_that_is_never_answered_ends_by_its_deadline(database: str) -> None:
    with postgres_proxy(database) as network, session(network.dsn, statement_seconds=0.2) as mine:
        mine.run(backend_pid)
        network.blackhole()
        with pytest.raises(NoAnswer, match=r"no answer within 1\.2 s") as caught:
            mine.run(backend_pid)
        assert faults.of(caught.value) is faults.Fault.GONE
        network.heal()
        mine.run(backend_pid)


def test_a_first_statement_that_is_swallowed_ends_by_its_deadline(database: str) -> None:
    with postgres_proxy(database) as network, session(network.dsn, statement_seconds=0.2) as mine:
        network.swallow_first()
        for _ in range(2):
            with pytest.raises(NoAnswer):
                mine.run(backend_pid)
        network.heal()
        mine.run(backend_pid)


def test_connecting_to_a_silent_server_ends_by_its_deadline(database: str) -> None:
    with postgres_proxy(database) as network, session(f"{network.dsn} connect_timeout=2") as mine:
        network.blackhole()
        with pytest.raises(Unreachable, match="timeout"):
            mine.run(backend_pid)


@pytest.mark.parametrize("fault", ["blackhole", "swallow_first", "long statement"])
def test_a_wait_that_is_not_wanted_any_more_ends_at_once(database: str, fault: str) -> None:
    stop = threading.Event()
    with postgres_proxy(database) as network, session(network.dsn, statement_seconds=600) as mine:
        mine.run(backend_pid)
        if fault == "blackhole":
            network.blackhole()
        elif fault == "swallow_first":
            network.swallow_first()
            with pytest.raises(psycopg.OperationalError):
                mine.run(backend_pid)  # the old connection
        threading.Timer(0.3, stop.set).start()
        started = time.monotonic()
        with pytest.raises(Abandoned) as caught:
            mine.run(lambda conn: conn.execute("SELECT pg_sleep(600)"), abandon=stop.is_set)
        # Far from any other limit; nothing but the request to stop can have ended it.
        assert time.monotonic() - started < 60
        assert faults.of(caught.value) is faults.Fault.GONE
        assert mine._conn is None
        network.heal()
        mine.run(backend_pid)


def test_an_abandoned_transaction_writes_nothing(
    database: str, connection: psycopg.Connection
) -> None:
    lease = claimed(connection)
    stop = threading.Event()

    def work(conn: psycopg.Connection) -> None:
        assert leases.progress(conn, lease, stage=leases.Stage.STAGE_B, processed=1, total=2)
        stop.set()
        conn.execute("SELECT 1")

    with session(database) as mine, pytest.raises(Abandoned):
        mine.run(work, abandon=stop.is_set)
    row = connection.execute("SELECT stage FROM backtest_jobs").fetchone()
    assert row == ("stage_a",)


def test_ending_a_wait_touches_no_other_connection_that_got_its_descriptor(
    database: str,
) -> None:
    stop = threading.Event()
    with postgres_proxy(database) as network, session(network.dsn, statement_seconds=600) as mine:
        mine.run(backend_pid)
        assert mine._conn is not None
        descriptor = mine._conn.fileno()
        network.blackhole()
        stop.set()
        with pytest.raises(Abandoned):
            mine.run(backend_pid, abandon=stop.is_set)
        # Closed by its own thread, so the number is free, and somebody else gets it.
        others = [psycopg.connect(database, autocommit=True)]
        while others[-1].fileno() != descriptor and len(others) < 50:
            others.append(psycopg.connect(database, autocommit=True))
        assert others[-1].fileno() == descriptor
        mine.close()
        with pytest.raises(Unreachable):
            mine.run(backend_pid, abandon=stop.is_set)
        for other in others:
            assert other.execute("SELECT 1").fetchone() == (1,)
            other.close()
