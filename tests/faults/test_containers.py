"""Workers in containers: PID namespaces of their own, one folder for temporary files."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.records import State
from tests.faults.conftest import small_sweep
from tests.faults.harness import Program, Stack
from tests.faults.in_container import UNSHARE

COMMAND = ("dramatiq", "tasks.backtest", "--processes", "1", "--threads", "1")


@pytest.fixture
def folder() -> Iterator[Path]:
    if subprocess.run([*UNSHARE, "true"], check=False).returncode != 0:
        pytest.skip("no right to make a PID namespace")
    # Short: the path of a socket has little room.
    with tempfile.TemporaryDirectory(prefix="bt-", dir="/tmp") as folder:
        yield Path(folder)


def contained(stack: Stack, folder: Path) -> Program:
    program = stack.start("tests.faults.in_container", *COMMAND, TMPDIR=str(folder))
    program.logged("event=ready")
    return program


def test_both_of_two_workers_that_share_tmpdir_are_measured(stack: Stack, folder: Path) -> None:
    stack.workers(0)
    first = contained(stack, folder)
    second = contained(stack, folder)

    assert stack.ends(stack.submit(small_sweep())).state is State.SUCCEEDED

    claims = [program.metric("backtest_job_runner_claim_total") for program in (first, second)]
    assert sum(claims) == 1
    first.kill()
    second.kill()
