"""Supervision of real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli import programs
from cli.programs import Program, Supervisor, supervising

SECONDS = 20.0


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def python(name: str, code: str) -> Program:
    return Program(name, (sys.executable, "-c", code), dict(os.environ))


def supervisor(*chosen: Program, said: list[str] | None = None) -> Supervisor:
    heard: list[str] = [] if said is None else said
    return Supervisor(chosen, notify=heard.append, changed=lambda: None)


def test_a_program_that_crashes_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "FIRST_RESTART_SECONDS", 0.01)
    marks = tmp_path / "marks"
    said: list[str] = []
    crashing = python("crashing", f"open({str(marks)!r}, 'a').write('x'); raise SystemExit(7)")
    with supervising(supervisor(crashing, said=said)):
        until(lambda: marks.exists() and len(marks.read_text()) >= 3, "no third start")
    assert "exited with code 7" in said[0]


@pytest.mark.parametrize("code", [0, 2])
def test_a_program_that_ended_on_purpose_stays_down(code: int) -> None:
    with supervising(supervisor(python("ending", f"raise SystemExit({code})"))) as watched:
        until(lambda: watched.final_code() is not None, "it did not end")
        assert watched.final_code() == code


def test_stopping_asks_first_and_then_kills_the_whole_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "STOP_SECONDS", 0.2)
    pids = tmp_path / "pids"
    stubborn = python(
        "stubborn",
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}} .')\n"
        "time.sleep(600)\n",
    )
    with supervising(supervisor(stubborn)):
        until(lambda: pids.exists() and pids.read_text().endswith("."), "it did not start")
    for pid in pids.read_text().split()[:2]:
        until(lambda pid=int(pid): not alive(pid), f"{pid} is left")  # type: ignore[misc]


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "one.log"
    command = (sys.executable, "-c", "print('hello')")
    with supervising(supervisor(Program("one", command, {}, log))) as watched:
        until(lambda: watched.final_code() is not None, "it did not end")
    assert log.read_text() == "hello\n"


def test_the_guardian_ends_what_a_killed_owner_leaves(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time\n"
            "from cli.reaper import Reaper, Target\n"
            "sleep = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
            "targets = [subprocess.Popen(sleep, start_new_session=True) for _ in range(2)]\n"
            "reaper = Reaper()\n"
            "reaper.watch([[Target(targets[0].pid)], [Target(targets[1].pid)]])\n"
            "print([target.pid for target in targets], flush=True)\n"
            "time.sleep(600)\n",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    pids = json.loads(owner.stdout.readline())
    assert all(alive(pid) for pid in pids)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    until(lambda: not any(alive(pid) for pid in pids), "a target is left")


def test_a_dismissed_guardian_ends_nothing() -> None:
    from cli.reaper import Reaper, Target

    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    reaper = Reaper()
    reaper.watch([[Target(bystander.pid)]])
    reaper.dismiss()
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()
