"""The product as users run it: processes, terminals, signals."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from engine.synthetic import minutes
from storage.candles import Bars, open_store

SECONDS = 150.0
OURS = ("ROEHUB_", "CH_", "CLICKHOUSE_", "STRATEGY_PG_DSN", "POSTGRES_DSN", "REDIS_URL")


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def processes() -> Iterator[tuple[int, str, dict[str, str]]]:
    """Pid, command line and environment of every process that is still there when it is asked."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            yield process.pid, " ".join(process.cmdline()), process.environ()


def leads_a_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """This process's environment without anything of ours, plus a data folder."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return inherited | {"ROEHUB_DATA_DIR": str(folder)} | variables


class Terminal:
    """A folder in which commands are typed, each a process."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.environ = environment(folder / "stack", **variables)
        self._started: list[subprocess.Popen[str]] = []

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(arguments),
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command; its output goes to the file `output` in the folder."""
        with (self.folder / "output").open("w") as output:
            process = subprocess.Popen(
                self._command(arguments),
                cwd=self.folder,
                env=self.environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def wait_for(self, text: str) -> None:
        output = self.folder / "output"
        until(lambda: text in output.read_text() or self._ended(), f"no {text!r}")
        assert text in output.read_text(), output.read_text()

    def left_running(self) -> list[str]:
        """Processes that belong to this folder's stack."""
        return [
            command
            for pid, command, environ in processes()
            if pid != os.getpid() and str(self.folder) in " ".join([command, *environ.values()])
        ]

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=SECONDS)

    def _ended(self) -> bool:
        return all(process.poll() is not None for process in self._started)

    def _command(self, arguments: tuple[object, ...]) -> list[str]:
        return [sys.executable, "-m", "cli", *map(str, arguments)]


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for a whole stack; another test session closes pytest's own to Postgres' user."""
    with tempfile.TemporaryDirectory(
        prefix="backtest-system-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with own_folder() as folder:
        opened = Terminal(folder)
        yield opened
        opened.close()


def fill(candles: Path, *, days: int) -> None:
    """Put synthetic candles of TESTUSDT into a candle folder."""
    from configs.environment import CandlesFolder

    with open_store(CandlesFolder(candles)) as store:
        store.append(1, "TESTUSDT", [Bars.of(minutes(seed=1, count=days * 1440))])
