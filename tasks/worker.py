"""What a worker process has at hand for every job."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from configs.environment import CandlesFolder, ClickHouseServer
from configs.settings import JobSettings
from configs.tracing import Tracer
from engine.request import Limits
from storage.session import Session
from tasks.messages import Assignment
from tasks.metrics import Metrics
from tasks.process import ForkServer

DECLINED = 100
"""So many plans are remembered that a worker cannot help with."""


@dataclass(frozen=True)
class Worker:
    """Settings, services and signals of one worker process.

    `new_session` makes one more, for another thread; it connects when it is used.
    `session` is the connection for claims and for everything written about a job but heartbeats.
    `stopping` is set when the process was told to end: finish nothing, release, return.
    `put_back` sends the wake-up of a job that was not claimed for somebody else to take.
    `idle_workers` says how many there were a moment ago, this one included; it asks nobody.
    `job_waits` asks Redis whether a job waits for a worker. `declined` are plans of others that
    cannot be helped with here, the last ones.
    """

    jobs: JobSettings
    limits: Limits
    candle_source: CandlesFolder | ClickHouseServer
    new_session: Callable[[], Session]
    session: Session
    fork_server: ForkServer
    metrics: Metrics
    stopping: threading.Event
    put_back: Callable[[UUID], None]
    idle_workers: Callable[[], int] = lambda: 1
    job_waits: Callable[[], bool] = lambda: False
    declined: deque[UUID] = field(default_factory=lambda: deque(maxlen=DECLINED))
    tracer: Tracer | None = None
    candle_retry_seconds: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)

    def assignment(self, request: Mapping[str, Any]) -> Assignment:
        """Return what a child is to be told about a job with this stored request."""
        return Assignment(
            request=request,
            limits=self.limits,
            candle_source=self.candle_source,
            candle_retry_seconds=self.candle_retry_seconds,
            threads=self.jobs.parallel_workers,
            memory_bytes=self.jobs.job_memory_limit_bytes,
            shard_seconds=self.jobs.shard_seconds,
            workers=self.idle_workers(),
        )
