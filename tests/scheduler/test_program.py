"""The scheduler as it is started in production: a process, signals, exit codes."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from dramatiq.brokers.redis import RedisBroker
from psycopg.conninfo import make_conninfo

from cli import embedded
from tests.scheduler.conftest import Submit
from tests.scheduler.messages import waiting_jobs

SECONDS = 30.0
SHIPPED = Path(__file__).parents[2] / "configs" / "test" / "backtest.yaml"

Configure = Callable[..., Path]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Write the shipped configuration with some `jobs` keys changed."""

    def configure(**jobs: object) -> Path:
        document = yaml.safe_load(SHIPPED.read_text())
        document["backtest"]["jobs"] |= jobs
        path = tmp_path / "backtest.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return configure


@pytest.fixture
def environ(database: str, redis_url: str) -> dict[str, str]:
    ours = ("ROEHUB_", "CH_", "STRATEGY_PG_DSN", "POSTGRES_DSN", "REDIS_URL")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return inherited | {
        "ROEHUB_ENV": "test",
        "STRATEGY_PG_DSN": database,
        "REDIS_URL": redis_url,
    }


def run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scheduler", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class Running:
    """A scheduler process and what it has logged so far."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log

    def wait_for(self, text: str) -> str:
        """Wait until a logged line holds `text`; returns the line."""
        ended = self.process.poll  # what an ended process has not said, it never will
        until(lambda: text in self._log.read_text() or ended() is not None, text, self._log)
        assert text in self._log.read_text(), self._log.read_text()
        return next(line for line in self._log.read_text().splitlines() if text in line)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=SECONDS)


@contextmanager
def running(environ: dict[str, str], folder: Path, *arguments: str) -> Iterator[Running]:
    log = folder / "scheduler.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "scheduler", "--metrics-port", "0", *arguments],
            env=environ,
            stderr=output,
            text=True,
        )
        try:
            yield Running(process, log)
        finally:
            process.kill()
            process.wait()


def until(condition: Callable[[], bool], what: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"no {what}; the log:\n{log.read_text()}"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"STRATEGY_PG_DSN": ""}, "STRATEGY_PG_DSN"),
        ({"STRATEGY_PG_DSN": "postgresql://u:s3cret@[bad"}, "DSN"),
        ({"REDIS_URL": "localhost"}, "REDIS_URL"),
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


def test_a_notification_dispatches_long_before_the_poll_would(
    environ: dict[str, str],
    configure: Configure,
    queue: RedisBroker,
    submit: Submit,
    connection: psycopg.Connection[Any],
    tmp_path: Path,
) -> None:
    config = configure(claim_poll_seconds=3600)
    with running(environ, tmp_path, "--config", str(config)) as scheduler:
        scheduler.wait_for("event=started")
        listening = "SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        log = tmp_path / "scheduler.log"
        until(lambda: connection.execute(listening).fetchone() is not None, "LISTEN", log)
        jobs = [submit() for _ in range(3)]
        until(lambda: waiting_jobs(queue) == jobs, "message", log)
        assert scheduler.stop() == 0


def test_metrics_are_served_and_sigint_ends_with_0(
    environ: dict[str, str], queue: RedisBroker, submit: Submit, tmp_path: Path
) -> None:
    submit()
    with running(environ, tmp_path) as scheduler:
        port = scheduler.wait_for("event=metrics ").rpartition("port=")[2]
        scheduler.wait_for("event=started")

        def metrics() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
                return str(response.read().decode())

        log = tmp_path / "scheduler.log"
        until(lambda: "backtest_scheduler_dispatched_total 1.0" in metrics(), "dispatch", log)
        until(lambda: 'backtest_scheduler_jobs{state="queued"} 1.0' in metrics(), "gauge", log)
        for line in (
            'backtest_scheduler_dispatch_errors_total{kind="redis"} 0.0',
            'backtest_scheduler_swept_total{state="failed"} 0.0',
            "backtest_scheduler_oldest_queued_age_seconds ",
            "backtest_scheduler_expired_leases 0.0",
            "backtest_scheduler_tick_duration_seconds_count",
        ):
            assert line in metrics()
        assert scheduler.stop(signal.SIGINT) == 0


def test_it_waits_for_postgres_and_says_so(environ: dict[str, str], tmp_path: Path) -> None:
    nobody = f"host={tmp_path} dbname=postgres user=postgres"
    with running(environ | {"STRATEGY_PG_DSN": nobody}, tmp_path) as scheduler:
        scheduler.wait_for("waiting for Postgres")
        assert scheduler.stop() == 0


def test_it_goes_on_when_redis_comes_back(
    environ: dict[str, str],
    configure: Configure,
    submit: Submit,
    tmp_path: Path,
) -> None:
    server = embedded.Redis(tmp_path / "redis")
    submit()
    config = configure(claim_poll_seconds=0.1)
    with running(
        environ | {"REDIS_URL": server.url}, tmp_path, "--config", str(config)
    ) as scheduler:
        assert "duty=dispatch" in scheduler.wait_for("redis_unavailable")
        server.start()
        try:
            scheduler.wait_for("redis_back")
        finally:
            server.stop()
        assert scheduler.stop() == 0
