"""Prometheus metrics of the worker, added up over all processes of one dramatiq master.

The processes share a directory of memory-mapped values. prometheus_client decides at its first
import whether to use one, so it is imported here only after the directory has been chosen.
"""

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from configs.one_line import one_line
from storage.records import FailureCode, Stage, State
from storage.retry import backoff
from storage.temporary import OwnedFolder

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

PREFIX = "backtest_job_runner"

JOB_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200)
"""Histogram buckets: from a small trial to a sweep that takes half a day."""

SCORING = (Stage.STAGE_A, Stage.STAGE_B)
"""The stages whose units are variants."""

_ENVIRONMENT = "PROMETHEUS_MULTIPROC_DIR"

log = structlog.get_logger()


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
        self.help_seconds = counter("help_seconds", "Time spent on shards of jobs of others.")
        self.help_declined = counter(
            "help_declined", "Plans of others that could not be helped with: other candles, mostly."
        )
        self.merge_seconds = counter("merge_seconds", "Time spent on merging results of shards.")
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
        for stage in SCORING:
            self.variants.labels(stage)

    def count_end(self, state: State, code: FailureCode) -> None:
        """Count a job that ended; `code` matters only for one that failed."""
        match state:
            case State.SUCCEEDED:
                self.succeeded.inc()
            case State.FAILED:
                self.failed.labels(code).inc()
            case State.CANCELLED:
                self.cancelled.inc()


def choose_folder(master_pid: int) -> OwnedFolder:
    """Choose the directory that all processes of one master share, and tell prometheus_client.

    Whatever the environment said before is replaced: nobody else may write there.
    """
    folder = OwnedFolder("metrics", shared_by=_name_of(master_pid))
    os.environ[_ENVIRONMENT] = str(folder.path)
    return folder


def serve(port: int, folder: Path) -> None:
    """Serve the sum over all processes at `/metrics` from a thread; OSError when `port` is taken.

    Port 0 is any free one. Memory, processor time and start are those of the process that serves.
    """
    from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    start_http_server(port, registry=registry)


def serve_when_free(port: int, folder: Path, stop: threading.Event) -> None:
    """Serve as soon as `port` is free: a process that is ending may hold it for a moment.

    Gives up when `stop` is set. Says that it waits, and when that is over.
    """
    waiting = False
    for pause in backoff():
        try:
            serve(port, folder)
        except OSError as error:
            if not waiting:
                waiting = True
                text = f"{one_line(error)}; tried again until the port is free"
                log.warning("metrics_not_served", port=port, error=text)
        else:
            if waiting:
                log.info("metrics_served", port=port)
            return
        if stop.wait(pause):
            return


def _name_of(master_pid: int) -> str:
    """Name a process unlike any other of this host, also of other PID namespaces."""
    try:
        stat = Path(f"/proc/{master_pid}/stat").read_text(encoding="ascii", errors="replace")
        namespace = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 – a link that leads nowhere
    except OSError:  # elsewhere than Linux a pid alone has to do
        return str(master_pid)
    return f"{namespace}-{master_pid}-{stat.rpartition(')')[2].split()[19]}"
