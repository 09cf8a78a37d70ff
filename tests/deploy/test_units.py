"""Every command of the units, started as systemd would: their environment, files and stop."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from tests.deploy.test_files import DEPLOY, UNITS, unit
from tests.faults.harness import free_port, wait_for
from tests.storage.making import new_database

BIN = Path(sys.executable).parent
STARTED = re.compile(r"^ExecStart=(.*)$", re.MULTILINE)
ASSIGNED = re.compile(r"^([A-Z_]+)=(.*)$", re.MULTILINE)


def text(name: str, instance: str) -> str:
    """A unit as it is installed: of this installation, with its instance's name."""
    return unit(name).replace("/opt/backtest/bin", str(BIN)).replace("%i", instance)


def environment(unit_text: str, ours: Mapping[str, str]) -> dict[str, str]:
    """What the unit gives its command, with `ours` written into the files that it reads."""
    given = {"PATH": os.defpath, "LANG": "C.UTF-8"}
    for kind, value in re.findall(r"^(Environment|EnvironmentFile)=(.*)$", unit_text, re.MULTILINE):
        if kind == "Environment":
            given |= dict([value.split("=", 1)])
            continue
        example = DEPLOY / "systemd" / f"{Path(value).name}.example"
        named = dict(ASSIGNED.findall(example.read_text(encoding="utf-8")))
        given |= {name: ours.get(name, default) for name, default in named.items()}
    return {name: value for name, value in given.items() if value}


class Unit:
    """A started unit."""

    def __init__(self, name: str, folder: Path, ours: Mapping[str, str], instance: str) -> None:
        self._log = folder / f"{name}.log"
        described = text(name, instance)
        (command,) = STARTED.findall(described)
        command = command.replace("9205", instance).replace("8000", instance)
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                command.split(),
                env=environment(described, ours),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def logs(self, word: str) -> None:
        wait_for(lambda: word in self.log() or self.process.poll() is not None, word, 150)
        assert word in self.log(), self.log()

    def stop(self) -> int:
        """Stop it as KillMode=mixed does: its first process is told."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


@pytest.fixture
def database(postgres_server: str) -> Iterator[str]:
    """An empty database: the unit that migrates is one of those that are tried."""
    with new_database(postgres_server) as dsn:
        yield dsn


@pytest.fixture
def ours(database: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "ROEHUB_BACKTEST_CONFIG": str(DEPLOY.parent / "configs" / "prod" / "backtest.yaml"),
        "POSTGRES_DSN": database,
        "STRATEGY_PG_DSN": database,
        "REDIS_URL": redis_url,
        "ROEHUB_JWT_SECRET": "0123456789abcdef0123456789abcdef",
    }


def test_the_command_of_every_unit_starts_with_what_the_unit_gives_it_and_ends_with_0(
    ours: dict[str, str], database: str, tmp_path: Path
) -> None:
    ports = {name: str(free_port()) for name in UNITS}
    migrate = Unit("migrate", tmp_path, ours, ports["migrate"])
    assert migrate.process.wait(60) == 0, migrate.log()
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM backtest_jobs").fetchone() == (0,)

    worker, scheduler, api = (
        Unit(name, tmp_path, ours, ports[name]) for name in ("worker@", "scheduler", "api")
    )
    api.logs("listening")
    worker.logs('"event": "ready"')
    for name, path in (("worker@", "metrics"), ("scheduler", "metrics"), ("api", "readyz")):
        address = f"http://127.0.0.1:{ports[name]}/{path}"
        wait_for(lambda address=address: answers(address), address)
    for started in (worker, scheduler, api):
        assert started.stop() == 0, started.log()


def test_a_reload_of_the_api_replaces_its_processes_one_after_the_other(
    ours: dict[str, str], tmp_path: Path
) -> None:
    migrate = Unit("migrate", tmp_path, ours, "0")
    assert migrate.process.wait(60) == 0, migrate.log()
    port = str(free_port())
    api = Unit("api", tmp_path, ours, port)
    address = f"http://127.0.0.1:{port}/readyz"
    wait_for(lambda: answers(address), address)
    wait_for(lambda: len(servers(api)) == 2, "two processes")
    first = servers(api)
    (reload,) = re.findall(r"^ExecReload=(.*)$", unit("api"), re.MULTILINE)
    subprocess.run(reload.replace("$MAINPID", str(api.process.pid)).split(), check=True)

    def replaced() -> bool:
        found = servers(api)
        assert found, "nobody answers"
        return len(found) == 2 and not first & found

    wait_for(replaced, "other processes", 60, every=0.05)
    wait_for(lambda: answers(address), address)
    assert api.stop() == 0, api.log()


def servers(api: Unit) -> set[int]:
    """Processes that answer, below the one that was started."""
    found = set()
    for child in psutil.Process(api.process.pid).children():
        with suppress(psutil.Error):  # it has just ended
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def answers(address: str) -> bool:
    try:
        return httpx.get(address, verify=False).status_code == 200
    except httpx.TransportError:
        return False
