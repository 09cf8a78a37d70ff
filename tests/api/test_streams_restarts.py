"""Streams over the end of the API and over restarts of Postgres."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

import migrations
from api import tokens
from storage import jobs, leases
from storage.records import Stage
from tests.api.running import Api, running
from tests.api.streaming import LIST_PATH, Viewer, job_path
from tests.faults.harness import wait_for
from tests.own_postgres import OwnPostgres, own_postgres
from tests.storage import making

EXITS_WITHIN = 5.0
SHUT_DOWN = "Application shutdown complete"  # it was not cut off


@pytest.fixture
def own_api(database: str, candles: Path, tmp_path: Path) -> Iterator[Api]:
    """An API of one's own, which may be stopped."""
    with running(database, candles, tmp_path / "api") as api:
        yield api


@pytest.fixture
def server() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        migrations.upgrade(server.dsn)
        yield server


@pytest.fixture
def api_on_server(server: OwnPostgres, candles: Path, tmp_path: Path) -> Iterator[Api]:
    with running(server.dsn, candles, tmp_path / "api") as api:
        yield api


def connected(server: OwnPostgres) -> psycopg.Connection:
    return psycopg.connect(server.dsn, autocommit=True)


def event_ids(conn: psycopg.Connection, job_id: UUID) -> list[str]:
    return [str(event.event_id) for event in jobs.events(job_id).of(conn)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_open_streams_end_at_once_when_the_process_is_told_to_stop(
    database: str,
    connection: psycopg.Connection,
    candles: Path,
    tmp_path: Path,
    number: signal.Signals,
    options: tuple[str, ...],
) -> None:
    with running(database, candles, tmp_path / "api", options=options) as api:
        job_id = making.submitted(connection, user_id=api.user_id).job_id
        viewers = [Viewer(api, path) for path in (job_path(job_id), LIST_PATH) * 4]
        for viewer in viewers:
            viewer.until(lambda sent: sent.name in ("progress", "snapshot"))
        assert api.process is not None
        began = time.monotonic()
        api.process.send_signal(number)
        for viewer in viewers:
            assert "end" not in [sent.name for sent in viewer.rest()]  # they are to come back
        api.process.wait(EXITS_WITHIN)
        assert time.monotonic() - began < EXITS_WITHIN
        for viewer in viewers:
            viewer.close()
        assert "Traceback" not in api.text()
        assert "ERROR" not in api.text()
        assert SHUT_DOWN in api.text()
        still = (
            "SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'backtest-api%'"
        )
        # Postgres' process outlives a connection that was closed for a moment.
        wait_for(lambda: connection.execute(still).fetchone() is None, "the end of connections", 5)


def test_a_process_that_stops_leaves_no_thread_and_no_connection(own_api: Api) -> None:
    with Viewer(own_api, LIST_PATH) as viewer:
        viewer.named("snapshot")
        assert own_api.stop() in (0, -signal.SIGTERM)
    assert SHUT_DOWN in own_api.text()


def test_a_viewer_misses_nothing_and_gets_nothing_twice_over_a_restart_of_the_api(
    own_api: Api, connection: psycopg.Connection
) -> None:
    lease = making.claimed(connection, user_id=own_api.user_id)
    path = job_path(lease.job_id)
    with Viewer(own_api, path) as viewer:
        received = [sent.event_id for sent in viewer.lifecycle(2)]
        leases.start_stage(connection, lease, Stage.STAGE_A, 10)
        received += [sent.event_id for sent in viewer.lifecycle(1)]
        own_api.stop()
        assert viewer.rest() is not None
    leases.start_stage(connection, lease, Stage.STAGE_B, 10)
    own_api.start()
    with Viewer(own_api, path, last_event_id=received[-1]) as viewer:
        received += [sent.event_id for sent in viewer.lifecycle(1)]
        making.fail(connection, lease)
        received += [sent.event_id for sent in viewer.rest() if sent.name == "lifecycle"]
    assert received == event_ids(connection, lease.job_id)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_an_open_stream_goes_on_over_a_restart_of_postgres(
    api_on_server: Api, server: OwnPostgres, mode: str
) -> None:
    api = api_on_server
    with connected(server) as conn:
        lease = making.claimed(conn, user_id=api.user_id)
    with Viewer(api, job_path(lease.job_id)) as viewer, Viewer(api, LIST_PATH) as list_viewer:
        received = [sent.event_id for sent in viewer.lifecycle(2)]
        list_viewer.named("snapshot")
        with connected(server) as conn:
            conn.execute("CHECKPOINT")  # this server loses in a crash what it has not written yet
        server.stop(mode)
        wait_for(lambda: "look_failed" in api.text(), "a look that fails")
        server.start()
        with connected(server) as conn:
            leases.start_stage(conn, lease, Stage.STAGE_A, 10)
            received += [sent.event_id for sent in viewer.lifecycle(1)]
            making.fail(conn, lease)
            received += [sent.event_id for sent in viewer.rest() if sent.name == "lifecycle"]
            assert received == event_ids(conn, lease.job_id)
            list_viewer.until(lambda sent: sent.name == "job" and sent.data["state"] == "failed")
    assert "Traceback" not in api.text()


def test_while_postgres_is_away_the_list_is_awaited_and_a_job_is_unavailable(
    api_on_server: Api, server: OwnPostgres
) -> None:
    api = api_on_server
    with connected(server) as conn:
        job_id = making.submitted(conn, user_id=api.user_id).job_id
    server.stop()
    answer = api.get(job_path(job_id))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    with Viewer(api, LIST_PATH) as viewer:
        assert next(viewer).retry == "1000"
        server.start()
        items = viewer.named("snapshot").data["items"]
        assert [item["job_id"] for item in items] == [str(job_id)]


def test_a_process_stops_in_time_while_postgres_does_not_answer(
    api_on_server: Api, server: OwnPostgres
) -> None:
    api = api_on_server
    with Viewer(api, LIST_PATH) as viewer, connected(server) as blocker:
        viewer.named("snapshot")
        with blocker.transaction():
            blocker.execute("LOCK TABLE backtest_jobs IN ACCESS EXCLUSIVE MODE")
            making.wait_for_a_blocked_session(blocker)
            began = time.monotonic()
            api.stop()
            assert time.monotonic() - began < EXITS_WITHIN
            viewer.rest()
            assert SHUT_DOWN in api.text()


def with_a_long_lifecycle(conn: psycopg.Connection, user_id: UUID) -> UUID:
    """A job whose events are more than all buffers between API and client hold."""
    job_id = making.submitted(conn, user_id=user_id).job_id
    conn.execute(
        "INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)"
        " SELECT %s, 'lease_released', 1, 'test', jsonb_build_object('x', repeat('x', 1000))"
        " FROM generate_series(1, 20000)",
        [job_id],
    )
    return job_id


def test_a_viewer_who_reads_nothing_does_not_keep_the_process(
    own_api: Api, connection: psycopg.Connection
) -> None:
    job_id = with_a_long_lifecycle(connection, own_api.user_id)
    with Viewer(own_api, job_path(job_id)) as stuck, Viewer(own_api, job_path(job_id)) as viewer:
        viewer.lifecycle(20_001)
        assert stuck.status == 200
        began = time.monotonic()
        own_api.stop()
        assert time.monotonic() - began < EXITS_WITHIN


def test_a_viewer_who_reads_nothing_loses_the_stream_with_the_token(
    own_api: Api, connection: psycopg.Connection
) -> None:
    job_id = with_a_long_lifecycle(connection, own_api.user_id)
    lasting = tokens.Token(own_api.user_id, None, int(time.time()) + 3)
    with ExitStack() as stack:
        token = tokens.sign(own_api.secret, lasting)
        stack.enter_context(Viewer(own_api, job_path(job_id), token=token))
        for _ in range(19):
            stack.enter_context(Viewer(own_api, LIST_PATH))
        assert own_api.get(LIST_PATH).status_code == 429

        def free() -> bool:
            with Viewer(own_api, LIST_PATH) as another:
                return another.status == 200

        wait_for(free, "the place of who reads nothing", every=0.2)
