"""The scheduler as it is started in production: a process, signals, exit codes."""

import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dramatiq.brokers.redis import RedisBroker
from psycopg.conninfo import make_conninfo

from cli import embedded
from storage import schema
from tasks import wake_up
from tests.scheduler.conftest import Submit
from tests.scheduler.messages import waiting_jobs
from tests.scheduler.processes import (
    configuration,
    environment,
    replace_database,
    run,
    running,
)
from tests.storage.making import new_database, submitted

Configure = Callable[..., Path]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Write the shipped configuration with some `jobs` keys changed."""
    return lambda **jobs: configuration(tmp_path / "backtest.yaml", **jobs)


@pytest.fixture
def environ(database: str, redis_url: str) -> dict[str, str]:
    return environment(database, redis_url)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "scheduler.log"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"STRATEGY_PG_DSN": ""}, "STRATEGY_PG_DSN"),
        ({"STRATEGY_PG_DSN": "postgresql://u:s3cret@[bad"}, "DSN"),
        ({"REDIS_URL": "localhost"}, "REDIS_URL"),
        ({"REDIS_URL": "redis://localhost:port"}, "REDIS_URL"),
        ({"REDIS_NAMESPACE": "a b"}, "REDIS_NAMESPACE"),
        ({"ROEHUB_ENV": "staging"}, "ROEHUB_ENV"),
        ({"ROEHUB_BACKTEST_CONFIG": "/no/such/file.yaml"}, "/no/such/file.yaml"),
    ],
)
def test_a_bad_setting_is_one_line_and_code_2(
    environ: dict[str, str], changes: dict[str, str], named: str
) -> None:
    ended = run(environ | changes)
    lines = ended.stderr.strip().splitlines()
    assert (ended.returncode, len(lines)) == (2, 1), ended.stderr
    assert named in lines[0]
    assert "s3cret" not in ended.stderr


def test_an_unmigrated_schema_is_one_line_and_code_2(
    environ: dict[str, str], postgres_server: str
) -> None:
    ended = run(environ | {"STRATEGY_PG_DSN": make_conninfo(postgres_server, dbname="postgres")})
    lines = ended.stderr.strip().splitlines()
    assert (ended.returncode, len(lines)) == (2, 1), ended.stderr
    assert "backtest migrate" in lines[0]


def test_a_database_that_does_not_exist_is_one_line_and_code_2(
    environ: dict[str, str], postgres_server: str
) -> None:
    ended = run(environ | {"STRATEGY_PG_DSN": make_conninfo(postgres_server, dbname="nobodys")})
    lines = ended.stderr.strip().splitlines()
    assert (ended.returncode, len(lines)) == (2, 1), ended.stderr
    assert "there is no such database" in lines[0]


def test_switched_off_it_says_so_and_exits_0(environ: dict[str, str], configure: Configure) -> None:
    ended = run(environ, "--config", str(configure(enabled=False)))
    assert ended.returncode == 0
    assert "component=backtest-job-runner status=disabled" in ended.stderr


def test_once_dispatches_and_exits_0(
    environ: dict[str, str], queue: RedisBroker, submit: Submit
) -> None:
    job_id = submit()
    assert run(environ, "--once").returncode == 0
    assert waiting_jobs(queue) == [job_id]


def test_once_without_redis_exits_3_and_says_why(environ: dict[str, str], tmp_path: Path) -> None:
    ended = run(environ | {"REDIS_URL": f"unix://{tmp_path}/nobody.sock"}, "--once")
    assert ended.returncode == 3
    assert "redis_unavailable" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_address_that_was_taken_for_granted_is_said(environ: dict[str, str]) -> None:
    del environ["REDIS_URL"]
    ended = run(environ, "--once")
    said = "event=address_assumed variable=REDIS_URL value=redis://127.0.0.1:6379/0"
    assert ended.stderr.count(said) == 1


def test_a_notification_dispatches_long_before_the_poll_would(
    environ: dict[str, str],
    configure: Configure,
    queue: RedisBroker,
    submit: Submit,
    connection: psycopg.Connection[Any],
    log: Path,
) -> None:
    config = configure(claim_poll_seconds=3600)
    with running(environ, log, "--config", str(config)) as scheduler:
        scheduler.wait_for("event=started")
        listening = "SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        scheduler.until(lambda: connection.execute(listening).fetchone() is not None, "LISTEN")
        jobs = [submit() for _ in range(3)]
        scheduler.until(lambda: waiting_jobs(queue) == jobs, "message")
        assert scheduler.stop() == 0


def test_metrics_are_served_and_sigint_ends_with_0(
    environ: dict[str, str], queue: RedisBroker, submit: Submit, log: Path
) -> None:
    submit()
    with running(environ, log) as scheduler:
        scheduler.wait_for("event=started")
        metrics = scheduler.metrics
        scheduler.until(lambda: "backtest_scheduler_dispatched_total 1.0" in metrics(), "dispatch")
        scheduler.until(lambda: 'backtest_scheduler_jobs{state="queued"} 1.0' in metrics(), "gauge")
        for line in (
            'backtest_scheduler_dispatch_errors_total{kind="redis"} 0.0',
            'backtest_scheduler_swept_total{state="failed"} 0.0',
            "backtest_scheduler_oldest_queued_age_seconds ",
            "backtest_scheduler_expired_leases 0.0",
            "backtest_scheduler_tick_duration_seconds_count",
            "backtest_scheduler_waiting_sessions 0.0",
            "backtest_scheduler_finalizing_overdue 0.0",
            "backtest_scheduler_paused 0.0",
            'backtest_scheduler_foreign_messages{kind="undecodable"} 0.0',
        ):
            assert line in metrics()
        assert scheduler.stop(signal.SIGINT) == 0


def test_the_queue_is_counted_every_gauges_seconds_and_not_with_each_poll(
    environ: dict[str, str], configure: Configure, queue: RedisBroker, log: Path
) -> None:
    config = configure(claim_poll_seconds=0.05, gauges_seconds=3600)
    with running(environ, log, "--config", str(config)) as scheduler:
        scheduler.wait_for("event=started")

        def runs(duty: str) -> float:
            name = rf'tick_duration_seconds_count{{duty="{duty}"}} (\S+)'
            return float(re.findall(name, scheduler.metrics())[0])

        scheduler.until(lambda: runs("sweep") > 20, "sweeps")
        # A call of a duty that is not due returns at once, and is timed by nobody.
        assert runs("gauges") == 1


def test_it_waits_for_postgres_and_says_so(
    environ: dict[str, str], tmp_path: Path, log: Path
) -> None:
    nobody = f"host={tmp_path} dbname=postgres user=postgres"
    with running(environ | {"STRATEGY_PG_DSN": nobody}, log) as scheduler:
        scheduler.wait_for("waiting for Postgres")
        assert scheduler.stop() == 0


def test_it_goes_on_when_redis_comes_back(
    environ: dict[str, str],
    configure: Configure,
    submit: Submit,
    tmp_path: Path,
    log: Path,
) -> None:
    server = embedded.Redis(tmp_path / "redis")
    submit()
    config = configure(claim_poll_seconds=0.1)
    with running(environ | {"REDIS_URL": server.url}, log, "--config", str(config)) as scheduler:
        assert "duty=dispatch" in scheduler.wait_for("redis_unavailable")
        server.start()
        try:
            scheduler.wait_for("redis_back")
        finally:
            server.stop()
        assert scheduler.stop() == 0


@pytest.mark.parametrize("trial", range(8))
def test_a_signal_that_comes_while_it_is_stopped_is_not_lost(
    environ: dict[str, str], log: Path, trial: int
) -> None:
    with running(environ, log) as scheduler:
        scheduler.wait_for("event=started")
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGCONT):
            os.kill(scheduler.process.pid, number)
        assert scheduler.process.wait(timeout=20) == 0


def test_a_workers_folder_for_metrics_is_none_of_its_business(
    environ: dict[str, str], queue: RedisBroker, log: Path
) -> None:
    with running(environ | {"PROMETHEUS_MULTIPROC_DIR": "/no/such/folder"}, log) as scheduler:
        scheduler.wait_for("event=started")
        assert "backtest_scheduler_dispatched_total" in scheduler.metrics()


def test_a_metrics_port_that_is_taken_is_tried_again(environ: dict[str, str], log: Path) -> None:
    with socket.socket() as orphan:
        orphan.bind(("0.0.0.0", 0))
        orphan.listen()
        with running(environ, log, port=orphan.getsockname()[1]) as scheduler:
            scheduler.wait_for("event=metrics_unavailable")
            tried_until = time.monotonic() + 2.5
            scheduler.until(lambda: time.monotonic() > tried_until, "time for two more tries")
            orphan.close()
            scheduler.wait_for("event=metrics ")
            assert "backtest_scheduler_dispatched_total" in scheduler.metrics()
            assert len(scheduler.lines("metrics_unavailable")) == 1


def test_a_metric_says_when_each_duty_was_last_done(
    environ: dict[str, str], queue: RedisBroker, log: Path
) -> None:
    with running(environ, log) as scheduler:
        scheduler.wait_for("event=started")
        done = re.compile(r'duty_last_success_timestamp_seconds{duty="(\w+)"} [1-9]')
        scheduler.until(
            lambda: (
                set(done.findall(scheduler.metrics()))
                == {"dispatch", "sweep", "gauges", "retention"}
            ),
            "success of each duty",
        )


def test_deployments_with_own_databases_on_one_redis_do_not_meet(
    environ: dict[str, str],
    postgres_server: str,
    migrated_template: str,
    queue: RedisBroker,
    redis_url: str,
    submit: Submit,
    tmp_path: Path,
) -> None:
    ours = submit()
    with new_database(postgres_server, migrated_template) as other_dsn:
        other = environ | {"STRATEGY_PG_DSN": other_dsn}
        with psycopg.connect(other_dsn, autocommit=True) as their_connection:
            theirs = submitted(their_connection).job_id
            their_queue = wake_up.make_broker(redis_url, schema.namespace(their_connection))
        with (
            running(other, tmp_path / "other.log") as their_scheduler,
            running(environ, tmp_path / "ours.log") as scheduler,
        ):
            their_scheduler.until(lambda: waiting_jobs(their_queue) == [theirs], "wake-up")
            scheduler.until(lambda: waiting_jobs(queue) == [ours], "wake-up")
            assert their_scheduler.stop() == scheduler.stop() == 0
        assert (waiting_jobs(queue), waiting_jobs(their_queue)) == ([ours], [theirs])


def test_the_namespace_can_be_given(
    environ: dict[str, str], redis_url: str, queue: RedisBroker, submit: Submit
) -> None:
    job_id = submit()
    assert run(environ | {"REDIS_NAMESPACE": "given"}, "--once").returncode == 0
    assert waiting_jobs(wake_up.make_broker(redis_url, "given")) == [job_id]
    assert waiting_jobs(queue) == []


def test_a_replaced_database_ends_it_with_one_line_and_code_1(
    environ: dict[str, str], queue: RedisBroker, connection: psycopg.Connection[Any], log: Path
) -> None:
    with running(environ, log) as scheduler:
        scheduler.wait_for("event=started")
        scheduler.until(
            lambda: 'success_timestamp_seconds{duty="dispatch"} 0' not in scheduler.metrics(),
            "dispatch",
        )
        replace_database(connection)
        assert scheduler.process.wait(timeout=30) == 1
        assert len(scheduler.lines("database_replaced")) == 1
        assert "Traceback" not in scheduler.text()


def test_a_replaced_database_is_nothing_to_it_where_the_namespace_is_given(
    environ: dict[str, str], queue: RedisBroker, connection: psycopg.Connection[Any], log: Path
) -> None:
    with running(environ | {"REDIS_NAMESPACE": "given"}, log) as scheduler:
        scheduler.wait_for("event=started")
        sweeps = 'backtest_scheduler_tick_duration_seconds_count{duty="sweep"}'
        scheduler.until(
            lambda: f"\n{sweeps} 0" not in scheduler.metrics() and sweeps in scheduler.metrics(),
            "sweep",
        )
        replace_database(connection)
        scheduler.wait_for("event=postgres_back")
        assert scheduler.stop() == 0
