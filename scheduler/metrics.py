"""What the scheduler tells Prometheus."""

import os
from collections.abc import Mapping

# One process needs no folder to share its values in, which a worker's environment may name.
# prometheus_client looks for it when it is imported.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from storage.records import State
from tasks.wake_up import GarbageKind

ERROR_KINDS = ("postgres", "redis", "unexpected")
SWEPT_STATES = (State.CANCELLED, State.FAILED)
COUNTED_STATES = tuple(state for state in State if not state.terminal)
# A message without content is not told from one that was taken while the queue was read.
FOREIGN_KINDS = tuple(kind for kind in GarbageKind if kind is not GarbageKind.EMPTY)
SHARD_STATES = ("open", "running", "done")
UNKNOWN = float("nan")


class Metrics:
    """The scheduler's metrics, every series present with 0 from the start.

    Gauges are NaN while Postgres or Redis cannot be asked: an old number would look like a healthy
    queue.
    """

    def __init__(self) -> None:
        # Otherwise each counter brings one more series that nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.dispatched = Counter(
            "backtest_scheduler_dispatched_total",
            "Wake-ups sent to the broker.",
            registry=self.registry,
        )
        self.dispatch_errors = Counter(
            "backtest_scheduler_dispatch_errors_total",
            "Dispatch rounds or single sends that failed, by what was away.",
            ["kind"],
            registry=self.registry,
        )
        self.swept = Counter(
            "backtest_scheduler_swept_total",
            "Jobs whose owner vanished for good, by the state the sweep ended them in.",
            ["state"],
            registry=self.registry,
        )
        self.jobs = Gauge(
            "backtest_scheduler_jobs", "Jobs by state.", ["state"], registry=self.registry
        )
        self.oldest_queued_age = Gauge(
            "backtest_scheduler_oldest_queued_age_seconds",
            "Age of the job that has been queued for the longest time; 0 when none is.",
            registry=self.registry,
        )
        self.expired_leases = Gauge(
            "backtest_scheduler_expired_leases",
            "Running jobs whose lease has run out and that nobody has claimed again yet.",
            registry=self.registry,
        )
        self.waiting_sessions = Gauge(
            "backtest_scheduler_waiting_sessions",
            "Sessions of the database that wait for a lock of another one.",
            registry=self.registry,
        )
        self.finalizing_overdue = Gauge(
            "backtest_scheduler_finalizing_overdue",
            "Jobs that have been finalizing for more than a minute.",
            registry=self.registry,
        )
        self.paused = Gauge(
            "backtest_scheduler_paused",
            "1 while an operator has paused the queue: nothing is dispatched or claimed; else 0.",
            registry=self.registry,
        )
        self.shards = Gauge(
            "backtest_scheduler_shards",
            "Parts of stages that several workers share, by state.",
            ["state"],
            registry=self.registry,
        )
        self.foreign_messages = Gauge(
            "backtest_scheduler_foreign_messages",
            "Messages that wait in the queue and are no wake-up of a job, by what is wrong.",
            ["kind"],
            registry=self.registry,
        )
        self.last_success = Gauge(
            "backtest_scheduler_duty_last_success_timestamp_seconds",
            "When a periodic duty was last done, in seconds since 1970; 0 when it never was.",
            ["duty"],
            registry=self.registry,
        )
        self.tick_duration = Histogram(
            "backtest_scheduler_tick_duration_seconds",
            "Time one run of a periodic duty took.",
            ["duty"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        for kind in ERROR_KINDS:
            self.dispatch_errors.labels(kind)
        for state in SWEPT_STATES:
            self.swept.labels(state)
        self.forget_gauges()
        self.forget_messages()

    def forget_gauges(self) -> None:
        """Declare what was read from Postgres unknown."""
        for state in COUNTED_STATES:
            self.jobs.labels(state).set(UNKNOWN)
        self.oldest_queued_age.set(UNKNOWN)
        self.expired_leases.set(UNKNOWN)
        self.waiting_sessions.set(UNKNOWN)
        self.finalizing_overdue.set(UNKNOWN)
        self.paused.set(UNKNOWN)
        for shard_state in SHARD_STATES:
            self.shards.labels(shard_state).set(UNKNOWN)

    def forget_messages(self) -> None:
        """Declare what was read from Redis unknown."""
        for kind in FOREIGN_KINDS:
            self.foreign_messages.labels(kind).set(UNKNOWN)

    def count_messages(self, garbage: Mapping[GarbageKind, int]) -> None:
        """Say how many messages wait that are no wake-up."""
        for kind in FOREIGN_KINDS:
            self.foreign_messages.labels(kind).set(garbage.get(kind, 0))

    def serve(self, port: int) -> int:
        """Serve `/metrics` from a thread; returns the port (chosen by the system for 0).

        Raises OSError when the port is taken.
        """
        server, _thread = start_http_server(port, registry=self.registry)
        return int(server.server_port)
