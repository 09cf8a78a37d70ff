"""Schedulers as they are started in production: processes, signals, logs, exit codes."""

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psycopg
import yaml

from tests import zygote

SECONDS = 40.0
SHIPPED = Path(__file__).parents[2] / "configs" / "test" / "backtest.yaml"
PROGRAM = ("scheduler",)


def configuration(path: Path, **jobs: object) -> Path:
    """Write the shipped configuration with some `jobs` keys changed."""
    document = yaml.safe_load(SHIPPED.read_text())
    document["backtest"]["jobs"] |= jobs
    path.write_text(yaml.safe_dump(document))
    return path


def environment(dsn: str, redis_url: str, **changes: str) -> dict[str, str]:
    """Return the environment of a scheduler, nothing of it inherited that the product reads."""
    ours = ("ROEHUB_", "CH_", "STRATEGY_PG_DSN", "POSTGRES_DSN", "REDIS_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return (
        inherited | {"ROEHUB_ENV": "test", "STRATEGY_PG_DSN": dsn, "REDIS_URL": redis_url} | changes
    )


def run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a scheduler that ends by itself."""
    with TemporaryFile("w+") as said, TemporaryFile("w+") as complained:
        process = zygote.start(*PROGRAM, *arguments, env=environ, stdout=said, stderr=complained)
        try:
            code = process.wait(SECONDS)
        finally:
            process.kill()
        said.seek(0)
        complained.seek(0)
        return subprocess.CompletedProcess(arguments, code, said.read(), complained.read())


class Running:
    """A scheduler process and what it has logged so far."""

    def __init__(self, process: zygote.Process, log: Path) -> None:
        self.process = process
        self._log = log

    def text(self) -> str:
        return self._log.read_text()

    def lines(self, text: str) -> list[str]:
        """The logged lines that hold `text`."""
        return [line for line in self.text().splitlines() if text in line]

    def wait_for(self, text: str, count: int = 1) -> str:
        """Wait until `count` logged lines hold `text`; returns the first."""
        ended = self.process.poll  # what an ended process has not said, it never will
        self.until(lambda: len(self.lines(text)) >= count or ended() is not None, text)
        assert len(self.lines(text)) >= count, self.text()
        return self.lines(text)[0]

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until `condition` holds; a failure shows the log."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"no {what}; the log:\n{self.text()}"
            time.sleep(0.02)

    def metrics(self) -> str:
        """What Prometheus would read now."""
        port = self.wait_for("event=metrics ").rpartition("port=")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
            return str(response.read().decode())

    def metric(self, series: str) -> float:
        """Value of one series, labels included."""
        (value,) = [
            line.rpartition(" ")[2]
            for line in self.metrics().splitlines()
            if line.rpartition(" ")[0] == series
        ]
        return float(value)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code when the process has ended."""
        self.process.send_signal(number)
        return self.process.wait(timeout=SECONDS)


@contextmanager
def running(
    environ: dict[str, str],
    log: Path,
    *arguments: str,
    program: tuple[str, ...] = PROGRAM,
    port: int = 0,
) -> Iterator[Running]:
    """Run a scheduler that logs into the file `log`."""
    with log.open("w") as output:
        options = ("--metrics-port", str(port), *arguments)
        process = zygote.start(*program, *options, env=environ, stdout=output)
        try:
            yield Running(process, log)
        finally:
            process.kill()
            process.wait()


def replace_database(connection: psycopg.Connection[Any]) -> None:
    """Do what a restore over the database does: same rows, other tables; connections are cut."""
    # One transaction: at no moment is there no such table.
    connection.execute(
        "CREATE TABLE restored (LIKE backtest_jobs); DROP TABLE backtest_jobs CASCADE;"
        " ALTER TABLE restored RENAME TO backtest_jobs"
    )
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
