"""Folders that are full, nearly full, or may not be written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.doctor import disks
from tests.cli.conftest import Backtest
from tests.cli.doctoring import findings, small_disk

MIB = 2**20


def place(folder: Path, room: int = 8 * MIB, *, needed: bool = True) -> disks.Place:
    return disks.Place("a place", folder, "this and that", room, "make room", needed)


def test_a_folder_with_room_is_fine_and_nothing_stays_in_it(tmp_path: Path) -> None:
    found = disks.look(place(tmp_path))
    assert (found.grade, found.limit) == ("ok", "at least 8 MiB")
    assert "free in" in found.found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("needed", "grade"), [(True, "wrong"), (False, "note")])
def test_a_full_disk_is_told(tmp_path: Path, needed: bool, grade: str) -> None:
    with small_disk(tmp_path / "disk", "size=4m"):
        (tmp_path / "disk" / "all").write_bytes(b"x" * 4 * MIB)
        found = disks.look(place(tmp_path / "disk", needed=needed))
    assert found.grade == grade
    assert "is full" in found.found
    assert found.commands[0].startswith(f"df -h {tmp_path / 'disk'}")


def test_a_disk_without_inodes_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=64m,nr_inodes=2"):
        (tmp_path / "disk" / "last").touch()
        found = disks.look(place(tmp_path / "disk"))
    assert (found.grade, "is full" in found.found) == ("wrong", True)
    assert "df -i" in found.commands[0]


def test_little_room_is_a_note(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=4m"):
        found = disks.look(place(tmp_path / "disk"))
    assert found.grade == "note"
    assert "4 MiB free" in found.found


def test_a_disk_that_is_mounted_to_be_read_is_told(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "ro"):
        found = disks.look(place(tmp_path / "disk"))
    assert found.grade == "wrong"
    assert "cannot be written: Read-only file system" in found.found


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    found = disks.look(place(tmp_path / "nowhere"))
    assert (found.grade, "No such file" in found.found) == ("wrong", True)


def test_the_temporary_folder_is_that_of_the_environment(
    backtest: Backtest, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "size=4m"):
        (tmp_path / "disk" / "all").write_bytes(b"x" * 4 * MIB)
        ended = subprocess.run(
            [Path(sys.executable).with_name("backtest"), "doctor", "--within", "60", "--json"],
            env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path / "disk")},
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
    found = {finding["subject"]: finding for finding in json.loads(ended.stdout)}
    # Python passes over a folder that it cannot write to, and so do all our programs.
    assert str(tmp_path / "disk") not in found["temporary files"]["found"]


def test_folders_of_the_environment_are_looked_at(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stack, candles, metrics = (tmp_path / name for name in ("stack", "candles", "metrics"))
    for folder in (stack, candles):
        folder.mkdir()
    monkeypatch.setenv("ROEHUB_DATA_DIR", str(stack))
    monkeypatch.setenv("ROEHUB_CANDLES_DIR", str(candles))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(metrics))
    ended = backtest("doctor", "--within", "60", "--json")
    found = findings(ended)
    assert ended.code == 2
    assert found["data of the stack"]["grade"] == found["candles folder"]["grade"] == "ok"
    assert str(metrics) in found["metrics folder"]["found"]
    assert found["metrics folder"]["grade"] == "wrong"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="only Linux has it")
def test_shared_memory_without_room_is_told_and_is_what_workers_need(tmp_path: Path) -> None:
    """In a mount namespace of its own, so that nobody else's is full."""
    start = "import multiprocessing; multiprocessing.get_context('spawn').Event()"
    script = (
        "mount -t tmpfs -o size=4k tmpfs /dev/shm && echo full > /dev/shm/all || exit 99; "
        f'{sys.executable} -c "{start}" 2>/dev/null && exit 98; '
        f"{Path(sys.executable).with_name('backtest')} doctor --json"
    )
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if ended.returncode in (1, 99):
        pytest.skip(f"no right to mount a small disk: {ended.stderr.strip()}")
    assert ended.returncode == 2, ended
    found = {finding["subject"]: finding for finding in json.loads(ended.stdout)}
    assert found["shared memory"]["grade"] == "wrong"
    assert "--shm-size" in found["shared memory"]["advice"]
