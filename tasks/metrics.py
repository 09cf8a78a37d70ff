"""Prometheus metrics of the worker, added up over all processes of one dramatiq master.

The processes share a directory of memory-mapped values. prometheus_client decides at its first
import whether to use one, so it is imported here only after the directory has been chosen.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from storage.records import FailureCode, Stage

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

PREFIX = "backtest_job_runner"

JOB_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200)
"""Histogram buckets: from a small trial to a sweep that takes half a day."""

_ENVIRONMENT = "PROMETHEUS_MULTIPROC_DIR"
_FOLDER_PREFIX = "backtest-metrics"


class Metrics:
    """What a worker counts. Every series exists, with value 0, from the start."""

    def __init__(self, registry: "CollectorRegistry | None" = None) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        own = registry or CollectorRegistry()  # exposed through the shared directory, not from here

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}_total", text, labels, registry=own)

        self.claims = counter("claim", "Jobs claimed.")
        self.succeeded = counter("succeeded", "Jobs that succeeded.")
        self.failed = counter("failed", "Jobs that failed.", "code")
        self.cancelled = counter("cancelled", "Jobs that were cancelled.")
        self.lease_lost = counter("lease_lost", "Leases lost to someone else or to time.")
        self.stale_messages = counter("stale_message", "Messages dropped without a claim.")
        self.variants = counter("variants", "Variants computed.", "stage")
        self.job_seconds = Histogram(
            f"{PREFIX}_job_duration_seconds",
            "Time from claim to the end of the ownership.",
            registry=own,
            buckets=JOB_SECONDS,
        )
        self.stage_seconds = Histogram(
            f"{PREFIX}_stage_duration_seconds",
            "Time spent in a stage that was finished.",
            ["stage"],
            registry=own,
            buckets=JOB_SECONDS,
        )
        self.active = Gauge(
            f"{PREFIX}_active_claimed_jobs",
            "Jobs owned now.",
            registry=own,
            multiprocess_mode="livesum",
        )
        for code in FailureCode:
            self.failed.labels(code)
        for stage in Stage:
            self.stage_seconds.labels(stage)
        for stage in (Stage.STAGE_A, Stage.STAGE_B):
            self.variants.labels(stage)


def choose_folder(master_pid: int) -> Path:
    """Choose and set the directory that all processes of one master share, and make it.

    It is named after the master's pid and start time; those of masters that are gone are removed.
    """
    parent = Path(tempfile.gettempdir())
    mine = f"{_FOLDER_PREFIX}-{os.getuid()}"
    for folder in parent.glob(f"{mine}-*-*"):
        pid, _, started = folder.name.removeprefix(f"{mine}-").partition("-")
        if pid.isdigit() and _start_time(int(pid)) != started:
            shutil.rmtree(folder, ignore_errors=True)
    folder = parent / f"{mine}-{master_pid}-{_start_time(master_pid)}"
    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ[_ENVIRONMENT] = str(folder)
    return folder


def serve(port: int, folder: Path) -> None:
    """Serve the sum over all processes at `/metrics` from a thread; OSError when `port` is taken.

    Port 0 is any free one.
    """
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    start_http_server(port, registry=registry)


def remove_folder(folder: Path) -> None:
    """Remove the directory; the processes of a master end together, so none needs it any more."""
    shutil.rmtree(folder, ignore_errors=True)


def _start_time(pid: int) -> str | None:
    # Elsewhere than Linux a pid alone has to do.
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None if Path("/proc/self/stat").exists() else "0"
    return stat.rpartition(")")[2].split()[19]
