"""Folders that are full or cannot be written: one line that names them, code 2, nothing left.

Permission bits hold nobody back who is root, as in a container: these are real file systems.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.api.running import Api
from tests.cli.conftest import Backtest, Ended, finish, submitted

Mount = Callable[[str], Path]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mount]:
    """Mount a file system in memory with the options given; needs root."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
            pytest.skip("this user may mount nothing")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def using(folder: Path) -> list[str]:
    """Processes that name the folder in their command lines."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found += [text for text in process.cmdline() if str(folder) in text]
    return found


def refused(ended: Ended, folder: Path, why: str) -> None:
    line = ended.err.splitlines()[-1]
    assert ended.code == 2
    assert line.startswith("backtest: ")
    assert str(folder) in line
    assert why in line
    assert "Traceback" not in ended.err
    assert "unexpected" not in ended.err


def test_a_stack_on_a_full_disk_says_so_and_leaves_no_process(
    backtest: Backtest, mounted: Mount
) -> None:
    folder = mounted("size=3m")
    ended = backtest("up", "--api-port", 0, "--data-dir", folder / "stack")
    refused(ended, folder, "No space left on device")
    assert ended.err.splitlines() == ["starting Postgres", ended.err.splitlines()[-1]]
    assert using(folder) == []


@pytest.mark.parametrize("command", ["up --data-dir", "demo --quick --out"])
def test_a_stack_in_a_read_only_folder_is_one_line(
    backtest: Backtest, mounted: Mount, command: str
) -> None:
    folder = mounted("size=1m,ro")
    ended = backtest(*command.split(), folder / "stack")
    refused(ended, folder, "Read-only file system")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("place", ["", "page.html", "folder/page.html"])
def test_a_page_that_cannot_be_written_is_one_line(
    service: Backtest,
    served: Api,
    tmp_path: Path,
    connection: psycopg.Connection[Any],
    mounted: Mount,
    place: str,
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id, served.candles)
    folder = mounted("size=1m,ro")
    ended = service("report", job_id, "--html", folder / place)
    refused(ended, folder, "Is a directory" if place == "" else "Read-only file system")
    assert ended.err.count("\n") == 1


def test_a_cookie_jar_that_cannot_be_written_is_one_line(
    backtest: Backtest, mounted: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROEHUB_JWT_SECRET", "0123456789abcdef" * 2)
    folder = mounted("size=1m,ro")
    refused(backtest("token", "--cookie-jar", folder / "jar"), folder, "Read-only file system")


def test_an_error_of_the_system_is_no_fault_of_ours() -> None:
    from cli.errors import understood

    try:
        Path("/proc/nowhere/file").write_text("x")
    except OSError as error:
        said = understood(error)
    assert str(said) == "/proc/nowhere/file: No such file or directory"
