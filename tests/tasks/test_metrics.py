"""Metrics of several processes are added up, and folders of dead masters go away."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

SCRIPT = """
    import multiprocessing, os, urllib.request
    from tasks import metrics

    def work(folder, done, leave):
        counted = metrics.Metrics()
        counted.claims.inc()
        counted.failed.labels("stalled").inc(2)
        counted.active.inc()
        done.wait()
        leave.wait()

    if __name__ == "__main__":
        folder = metrics.choose_folder(os.getpid())
        done, leave = multiprocessing.Barrier(3), multiprocessing.Event()
        context = multiprocessing.get_context("fork")
        workers = [
            context.Process(target=work, args=(folder, done, leave)) for _ in range(2)
        ]
        for worker in workers:
            worker.start()
        done.wait()
        port = {port}
        metrics.serve(port, folder.path)
        with urllib.request.urlopen(f"http://127.0.0.1:{{port}}/metrics") as response:
            print(response.read().decode())
        leave.set()
        for worker in workers:
            worker.join()
        folder.give_up()
        assert not folder.path.exists()
"""


def test_the_sum_over_all_processes_is_served() -> None:
    script = textwrap.dedent(SCRIPT).format(port=free_port())
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    lines = done.stdout.splitlines()
    assert "backtest_job_runner_claim_total 2.0" in lines
    assert 'backtest_job_runner_failed_total{code="stalled"} 4.0' in lines
    assert 'backtest_job_runner_failed_total{code="no_market_data"} 0.0' in lines
    assert 'backtest_job_runner_variants_total{stage="stage_a"} 0.0' in lines
    assert "backtest_job_runner_active_claimed_jobs 2.0" in lines
    assert 'backtest_job_runner_job_duration_seconds_bucket{le="43200.0"} 0.0' in lines


HOLD = """
    import os, sys
    from tasks import metrics
    folder = metrics.choose_folder(int(sys.argv[1]) if len(sys.argv) > 1 else os.getpid())
    print(os.getpid(), folder.path, flush=True)
    sys.stdin.read()
"""


@contextmanager
def holding(folder: Path, *prefix: str, master: int | None = None) -> Iterator[tuple[int, Path]]:
    """A process that has chosen its folder in TMPDIR `folder`, and says its own pid."""
    script = [sys.executable, "-c", textwrap.dedent(HOLD)]
    with subprocess.Popen(
        [*prefix, *script, *([str(master)] if master else [])],
        env=os.environ | {"TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pid, path = process.stdout.readline().split()
        yield int(pid), Path(path)
        process.kill()


def test_all_processes_of_a_master_share_one_folder(tmp_path: Path) -> None:
    with (
        holding(tmp_path, master=os.getpid()) as (_, first),
        holding(tmp_path, master=os.getpid()) as (_, second),
        holding(tmp_path) as (_, of_another),
    ):
        assert first == second != of_another


def test_a_folder_without_a_process_is_removed_by_the_next_start(tmp_path: Path) -> None:
    with holding(tmp_path) as (_, left):
        pass
    assert left.exists()
    with holding(tmp_path) as (_, mine):
        assert list(tmp_path.iterdir()) == [mine]


@pytest.mark.skipif(
    subprocess.run([*CONTAINER, "true"], check=False).returncode != 0,
    reason="no right to make a PID namespace",
)
def test_masters_in_containers_with_one_tmpdir_leave_each_others_folders_alone(
    tmp_path: Path,
) -> None:
    with (
        holding(tmp_path, *CONTAINER) as (first_pid, first),
        holding(tmp_path, *CONTAINER) as (second_pid, second),
    ):
        assert first_pid == second_pid == 1  # each is the first process of its own world
        assert first != second
        assert sorted(tmp_path.iterdir()) == sorted([first, second])
