"""What a worker process has at hand for every job."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from configs.environment import CandlesFolder, ClickHouseServer
from configs.settings import JobSettings
from configs.tracing import Tracer
from engine.request import Limits
from storage.session import Session
from tasks.metrics import Metrics
from tasks.process import ForkServer


@dataclass(frozen=True)
class Worker:
    """Settings, services and signals of one worker process.

    `new_session` makes one more, for another thread; it connects when it is used.
    `session` is the connection for claims and for everything written about a job but heartbeats.
    `stopping` is set when the process was told to end: finish nothing, release, return.
    `put_back` sends the wake-up of a job that was not claimed for somebody else to take.
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
    tracer: Tracer | None = None
    candle_retry_seconds: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
