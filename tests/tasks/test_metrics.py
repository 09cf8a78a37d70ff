"""Metrics of several processes are added up, and folders of dead masters go away."""

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from tests.faults.harness import free_port

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
        metrics.serve(port, folder)
        with urllib.request.urlopen(f"http://127.0.0.1:{{port}}/metrics") as response:
            print(response.read().decode())
        leave.set()
        for worker in workers:
            worker.join()
        metrics.remove_folder(folder)
        assert not folder.exists()
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


def test_folders_of_masters_that_are_gone_are_removed() -> None:
    left = Path(tempfile.gettempdir()) / f"backtest-metrics-{os.getuid()}-{2**22 + 1}-77"
    left.mkdir()
    script = """
        import os
        from tasks import metrics
        metrics.remove_folder(metrics.choose_folder(os.getppid()))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
    assert not left.exists()
