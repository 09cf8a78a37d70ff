"""The scheduler's duties, and the clock and the notifications that call them."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dramatiq
import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from configs.settings import JobSettings
from scheduler import upkeep
from scheduler.dispatcher import Dispatcher
from scheduler.duty import Duty
from scheduler.metrics import Metrics
from storage.listener import Listener
from storage.session import Session

RETENTION_EVERY_SECONDS = 3600.0
STOP_PATIENCE_SECONDS = 5.0
DONE = 0
NOT_DONE = 3

log = structlog.get_logger()

NewSession = Callable[[], Session]


class Program:
    """Dispatch, sweep, gauges and retention, each on a connection of its own."""

    def __init__(
        self, jobs: JobSettings, dsn: str, new_session: NewSession, broker: dramatiq.Broker
    ) -> None:
        self.metrics = metrics = Metrics()
        self._dsn = dsn
        self._poll_seconds = jobs.claim_poll_seconds
        self._broker = broker
        dispatcher = Dispatcher(
            broker,
            metrics,
            batch=jobs.dispatch_batch,
            window=jobs.dispatch_window,
            redispatch_seconds=jobs.redispatch_seconds,
        )

        def duty(name: str, work: Callable[[Session], object], **rest: Any) -> Duty:
            return Duty(name, work, new_session(), metrics, **rest)

        self.dispatch = duty(
            "dispatch",
            dispatcher.run,
            on_failure=lambda kind: metrics.dispatch_errors.labels(kind).inc(),
        )
        self.sweep = duty(
            "sweep", lambda session: upkeep.sweep(session, metrics, max_crashes=jobs.max_crashes)
        )
        self.gauges = duty(
            "gauges",
            lambda session: upkeep.measure(session, metrics),
            on_failure=lambda _kind: metrics.forget_gauges(),
        )
        self.retention = duty(
            "retention",
            lambda session: upkeep.retain(session, retention_days=jobs.retention_days),
        )
        self._duties = (self.dispatch, self.sweep, self.gauges, self.retention)

    def once(self) -> int:
        """Dispatch once and sweep once; returns the exit code."""
        done = [self.dispatch(), self.sweep()]
        self._close()
        return DONE if all(done) else NOT_DONE

    def run(self, port: int, stop: threading.Event) -> None:
        """Work until `stop` is set, serving the metrics at `port`."""
        self._serve_metrics(port)
        clock = self._clock()
        # Notifications call the dispatch from the listener's thread: a burst that arrives while
        # one run is under way makes one more.
        listener = Listener(
            self._dsn,
            self.dispatch,
            lambda text: log.warning("listener", message=text),
            application_name="backtest-scheduler-listener",
        )
        clock.start()
        listener.start()
        log.info("started", poll_seconds=self._poll_seconds)
        stop.wait()
        clock.shutdown(wait=False)
        self._close()
        listener.stop()
        log.info("stopped")

    def _clock(self) -> BackgroundScheduler:
        clock = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(len(self._duties) + 1)},
            # A late run is still wanted, however late: a laptop sleeps, a database hangs.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )
        for call in (self.dispatch, self.sweep, self.gauges):
            self._every(clock, call, self._poll_seconds)
        self._every(clock, self.retention, RETENTION_EVERY_SECONDS)
        return clock

    def _every(
        self, clock: BackgroundScheduler, call: Callable[[], object], seconds: float
    ) -> None:
        clock.add_job(call, "interval", seconds=seconds, next_run_time=datetime.now(UTC))

    def _serve_metrics(self, port: int) -> None:
        try:
            log.info("metrics", port=self.metrics.serve(port))
        except OSError as error:
            log.warning("metrics_unavailable", port=port, error=str(error))

    def _close(self) -> None:
        for duty in self._duties:
            duty.close(STOP_PATIENCE_SECONDS)
        self._broker.close()
