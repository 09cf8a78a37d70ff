"""The plain programs of the README, typed as it prints them, beside real stores."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from string import Template
from uuid import uuid4

import httpx
import pytest

from engine import synthetic
from tests.faults.harness import free_port, wait_for
from tests.making_jobs import DAY_MS, REQUEST, START_MS
from tests.storage.clickhouse_endpoint import PASSWORD, USER, Endpoint
from tests.storage.making import new_database

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
BLOCK = re.search(r"three plain programs .*?\n\n((?:    .*\n)+)", README)
assert BLOCK is not None
VARIABLES, MIGRATE, *PROGRAMS = (line.strip() for line in BLOCK[1].splitlines())
(WORKERS,) = re.findall(r"`(backtest worker .*)`", README)


class Machine:
    """A shell in which the product is installed."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | environ
        self._folder = folder

    def export(self, line: str, *values: str) -> None:
        """Type a line of assignments; `values` stand for those with dots, in their order."""
        _, *assignments = shlex.split(line)
        given = iter(values)
        for assignment in assignments:
            name, value = assignment.split("=", 1)
            self.environ[name] = next(given) if "…" in value else value

    def run(self, line: str) -> str:
        """Type a command that ends."""
        words, environ = self._read(line)
        ended = subprocess.run(
            words,
            env=environ,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    @contextmanager
    def running(self, line: str, ready: str, times: int = 1, **environ: str) -> Iterator[None]:
        """Type a command that stays, and wait until it has logged `ready`; stop it in the end."""
        words, own = self._read(line)
        file = self._folder / f"{words[0]}-{free_port()}.log"
        with file.open("wb") as output:
            process = subprocess.Popen(
                words,
                env=own | environ,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_for(
                lambda: file.read_text().count(ready) >= times or process.poll() is not None,
                f"{ready} in {file}",
                150,
                every=0.05,
            )
            assert process.poll() is None, file.read_text()
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(40) == 0, file.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _read(self, line: str) -> tuple[list[str], Mapping[str, str]]:
        """Split a line as a shell does, into the command and the environment it is given."""
        words, environ = shlex.split(line, comments=True), dict(self.environ)
        while "=" in words[0]:
            name, value = words.pop(0).split("=", 1)
            environ[name] = Template(value).substitute(environ)
        return words, environ


@pytest.fixture
def clickhouse() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.stop()


def test_a_job_is_computed_by_the_programs_as_they_are_printed(
    postgres_server: str, redis_url: str, clickhouse: Endpoint, tmp_path: Path
) -> None:
    scheduler, worker, api = PROGRAMS
    ports = {word: str(free_port()) for word in ("9205", "8000")}
    for word, port in ports.items():
        scheduler, api = scheduler.replace(word, port), api.replace(word, port)
    secret = "0123456789abcdef0123456789abcdef"
    machine = Machine(tmp_path, CH_USER=USER, CH_PASSWORD=PASSWORD, ROEHUB_JWT_SECRET=secret)
    with new_database(postgres_server) as dsn, ExitStack() as programs:
        machine.export(VARIABLES, dsn, redis_url, "127.0.0.1", str(clickhouse.port))
        machine.run(MIGRATE)
        machine.run(f"backtest candles import {candles(tmp_path)} --market-id 1 --symbol TESTUSDT")
        programs.enter_context(machine.running(scheduler, '"event": "started"'))
        metrics = {"ROEHUB_METRICS_PORT": str(free_port())}
        programs.enter_context(machine.running(worker, '"event": "ready"', **metrics))
        programs.enter_context(machine.running(api.replace("…", secret), "listening"))
        url = f"http://127.0.0.1:{ports['8000']}"
        wait_for(lambda: answers(f"{url}/readyz"), "the API answers")
        for address in (
            f"http://127.0.0.1:{metrics['ROEHUB_METRICS_PORT']}/metrics",
            f"http://127.0.0.1:{ports['9205']}/metrics",
            f"{url}/metrics",
        ):
            assert answers(address)

        token = machine.run(f"backtest token --user {uuid4()}").split()[-1]
        machine.environ |= {"ROEHUB_API_URL": url, "ROEHUB_API_TOKEN": token}
        (tmp_path / "request.json").write_text(json.dumps(REQUEST))
        submitted = json.loads(machine.run("backtest submit request.json --json"))
        machine.run(f"backtest watch {submitted['job_id']}")
        shown = json.loads(machine.run(f"backtest show {submitted['job_id']} --json"))
        assert shown["state"] == "succeeded"


def test_one_command_runs_as_many_workers_as_it_is_told(
    database: str, redis_url: str, clickhouse: Endpoint, tmp_path: Path
) -> None:
    machine = Machine(tmp_path, CH_USER=USER, CH_PASSWORD=PASSWORD)
    machine.export(VARIABLES, database, redis_url, "127.0.0.1", str(clickhouse.port))
    port = str(free_port())
    command = WORKERS.replace("N", "2")
    with machine.running(command, '"event": "ready"', times=2, ROEHUB_METRICS_PORT=port):
        pass


def candles(folder: Path) -> Path:
    """A file of the candles that the request is about, and of five days before."""
    made = synthetic.minutes(seed=7, start_ms=START_MS - 5 * DAY_MS, count=7 * 1440)
    columns = (made.ts_open, made.open, made.high, made.low, made.close, made.volume)
    rows = (",".join(map(repr, row)) for row in zip(*(c.tolist() for c in columns), strict=True))
    file = folder / "FILE.csv"
    file.write_text("\n".join(("timestamp,open,high,low,close,volume", *rows, "")))
    return file


def answers(address: str) -> bool:
    try:
        return httpx.get(address, verify=False).status_code == 200
    except httpx.TransportError:
        return False
