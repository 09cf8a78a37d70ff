"""Watching goes on over restarts of the API and of its database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import migrations
from tests.api.running import Api, running
from tests.making_jobs import REQUEST, finish
from tests.own_postgres import OwnPostgres, own_postgres

SECONDS = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        migrations.upgrade(server.dsn)
        yield server


@pytest.fixture
def api(server: OwnPostgres, candles: Path, tmp_path: Path) -> Iterator[Api]:
    with running(server.dsn, candles, tmp_path / "api") as api:
        yield api


def until(text: str, output: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while text not in output.read_text():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.05)


@pytest.mark.parametrize("what", ["API", "Postgres"])
def test_watching_a_job_outlives_a_restart(
    server: OwnPostgres, api: Api, tmp_path: Path, what: str
) -> None:
    job_id = api.post("/backtests/jobs", json=REQUEST).json()["job_id"]
    known = {"ROEHUB_API_URL": api.url, "ROEHUB_API_TOKEN": api.token()}
    output = tmp_path / "output"
    with output.open("wb") as file:
        watching = subprocess.Popen(
            [sys.executable, "-m", "cli", "watch", job_id],
            env=os.environ | known | {"PYTHONUNBUFFERED": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    until("queued", output, watching)
    if what == "API":
        assert api.process is not None
        api.process.send_signal(signal.SIGKILL)
        api.process.wait()
    else:
        server.stop("immediate")
    until("waiting for it", output, watching)
    api.start() if what == "API" else server.start()
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        finish(connection, job_id)
    assert watching.wait(SECONDS) == 0, output.read_text()
    said = output.read_text()
    assert said.count("waiting for it") == 1
    assert ("cannot be reached" if what == "API" else "the database is away") in said
    assert "ranked by total return" in said
