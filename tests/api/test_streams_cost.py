"""What viewers cost: one look a second for all, none where nobody watches, no connections."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from uuid import UUID

import psycopg
import pytest

from storage import leases
from storage.records import Stage
from tests.api.running import Api, Caller
from tests.api.streaming import LIST_PATH, Viewer, job_path
from tests.faults.harness import wait_for
from tests.storage import making

HUB = "backtest-api-live"
WINDOW = 3.0


@pytest.fixture
def user_id(user: Caller) -> UUID:
    assert user.user_id is not None
    return user.user_id


def ends_of_looks(conn: psycopg.Connection, during: float) -> int:
    """Count the hub's transactions that end within so many seconds, by asking much more often."""
    seen = set()
    deadline = time.monotonic() + during
    while time.monotonic() < deadline:
        seen |= {
            at
            for (at,) in conn.execute(
                "SELECT state_change FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = %s AND state = 'idle'",
                [HUB],
            )
        }
        conn.execute("SELECT pg_sleep(0.01)")
    return len(seen) - 1


def sessions(conn: psycopg.Connection) -> dict[str, int]:
    rows = conn.execute(
        "SELECT application_name, count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'backtest-api%' GROUP BY 1"
    )
    return dict(rows.fetchall())


def quiet(conn: psycopg.Connection) -> bool:
    return ends_of_looks(conn, 1.5) <= 0


def test_many_viewers_of_a_running_job_cost_one_look_a_second(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    lease = making.claimed(stored, user_id=user_id)
    leases.start_stage(stored, lease, Stage.STAGE_A, 1000)
    path = job_path(lease.job_id)
    with ExitStack() as stack:
        viewers = [stack.enter_context(Viewer(api, path, user_id=user_id)) for _ in range(20)]
        for viewer in viewers:
            viewer.named("progress")
        leases.progress(stored, lease, Stage.STAGE_A, 5, 1000)
        assert 1 <= ends_of_looks(stored, WINDOW) <= WINDOW + 1
        for viewer in viewers:
            assert viewer.named("progress").data["progress"]["done"] == 5
        found = sessions(stored)
        assert found.pop(HUB) == 1
        assert found.pop("backtest-api-listener") == 1
        assert sum(found.values()) <= 8  # those of the calls, whose number is configured


def notify(dsn: str, enough: threading.Event) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        while not enough.wait(0.005):
            conn.execute("SELECT pg_notify('backtest_job_events', clock_timestamp()::text)")


def test_a_burst_of_notifications_is_at_most_ten_looks_a_second(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    enough = threading.Event()
    with Viewer(api, LIST_PATH, user_id=user_id) as viewer, ThreadPoolExecutor() as threads:
        viewer.named("snapshot")
        threads.submit(notify, api.dsn, enough)
        try:
            # More than one a second, for they wake it, and after each there is a pause.
            assert WINDOW + 2 < ends_of_looks(stored, WINDOW) <= 10 * WINDOW + 1
        finally:
            enough.set()


def test_where_nobody_watches_nothing_is_asked(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    with Viewer(api, LIST_PATH, user_id=user_id) as viewer:
        viewer.named("snapshot")
    wait_for(lambda: quiet(stored), "silence")
    making.submitted(stored, user_id=user_id)  # its notification changes nothing about that
    assert ends_of_looks(stored, 1.5) <= 0


def test_without_notifications_the_same_looks_find_what_happened(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    stored.execute("ALTER TABLE backtest_job_events DISABLE TRIGGER USER")
    try:
        job_id = making.submitted(stored, user_id=user_id).job_id
        with (
            Viewer(api, job_path(job_id), user_id=user_id) as viewer,
            Viewer(api, LIST_PATH, user_id=user_id) as list_viewer,
        ):
            viewer.named("progress")
            list_viewer.named("snapshot")
            making.fail(stored, making.reclaimed(stored, job_id))
            assert viewer.lifecycle(2)[-1].data["event"] == "failed"
            assert viewer.named("end").data == {"reason": "finished"}
            assert list_viewer.named("job").data["state"] == "failed"
    finally:
        stored.execute("ALTER TABLE backtest_job_events ENABLE TRIGGER USER")
