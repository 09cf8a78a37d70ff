"""The scheduler's duties, and what calls them."""

from collections.abc import Callable
from typing import Any

import structlog
from dramatiq.brokers.redis import RedisBroker

from configs.settings import JobSettings
from scheduler import upkeep
from scheduler.clock import Clock
from scheduler.dispatcher import Dispatcher
from scheduler.duty import Duty, Transact
from scheduler.help import CallsForHelp
from scheduler.metrics import Metrics
from scheduler.outages import Outages
from scheduler.stopping import Stop
from storage.listener import Listener
from storage.schema import DatabaseReplaced
from storage.session import Session

RETENTION_EVERY_SECONDS = 3600.0
LOOK_SECONDS = 1.0
PAUSE_SECONDS = 0.02
"""Between two rounds of the dispatch that notifications call for; the first comes at once."""

DONE = 0
REPLACED = 1
NOT_DONE = 3

log = structlog.get_logger()

NewSession = Callable[[float], Session]


class Program:
    """Dispatch, sweep, gauges and retention, each on a connection of its own, until `stop`.

    `new_session(seconds)` makes a session whose statements may take so long.
    """

    def __init__(
        self,
        jobs: JobSettings,
        dsn: str,
        new_session: NewSession,
        broker: RedisBroker,
        stop: Stop,
    ) -> None:
        self.metrics = metrics = Metrics()
        self._dsn = dsn
        self._poll_seconds = jobs.claim_poll_seconds
        self._broker = broker
        self._stop = stop
        self._metrics_served = False
        self._metrics_complained = False
        outages = Outages()
        dispatcher = Dispatcher(
            broker,
            metrics,
            batch=jobs.dispatch_batch,
            window=jobs.dispatch_window,
            redispatch_seconds=jobs.redispatch_seconds,
        )

        def duty(
            name: str,
            work: Callable[[Transact], object],
            statement_seconds: float = jobs.heartbeat_seconds,
            **rest: Any,
        ) -> Duty:
            session = new_session(statement_seconds)
            return Duty(name, work, session, metrics, outages, stop, **rest)

        calls = CallsForHelp(broker, max_crashes=jobs.max_crashes)

        def dispatch(transact: Transact) -> None:
            dispatcher.run(transact)
            calls.run(transact)

        self._dispatch = duty("dispatch", dispatch, on_failure=self._dispatch_failed)
        self._sweep = duty(
            "sweep", lambda transact: upkeep.sweep(transact, metrics, max_crashes=jobs.max_crashes)
        )
        gauges = duty(
            "gauges",
            lambda transact: upkeep.measure(transact, metrics),
            every_seconds=jobs.gauges_seconds,
            on_failure=lambda _kind: metrics.forget_gauges(),
        )
        retention = duty(
            "retention",
            lambda transact: upkeep.retain(transact, retention_days=jobs.retention_days),
            statement_seconds=jobs.lease_seconds,  # whole results are deleted
            every_seconds=RETENTION_EVERY_SECONDS,
        )
        self._duties = (self._dispatch, self._sweep, gauges, retention)

    def once(self) -> int:
        """Dispatch once and sweep once; returns the exit code."""
        done = [self._call(self._dispatch), self._call(self._sweep)]
        self._close()
        if self._stop.code:
            return self._stop.code
        return DONE if all(done) else NOT_DONE

    def run(self, port: int) -> int:
        """Work until it is told to stop, serving the metrics at `port`; returns the exit code."""
        clock = Clock([self._caller(duty) for duty in self._duties], self._poll_seconds)
        listener = Listener(
            self._dsn,
            self._dispatch_when_told,
            lambda text: log.warning("listener", message=text),
            application_name="backtest-scheduler-listener",
        )
        self._serve_metrics(port)
        clock.start()
        listener.start()
        log.info("started", poll_seconds=self._poll_seconds, namespace=self._broker.namespace)
        while not self._stop.wait(LOOK_SECONDS):
            clock.check()
            self._serve_metrics(port)
        clock.stop()
        self._close()
        listener.stop()
        log.info("stopped")
        return self._stop.code

    def _dispatch_when_told(self) -> None:
        """Run a round now; in the listener's thread.

        Whatever is notified during it, or in the pause after it, makes one more.
        """
        self._call(self._dispatch)
        self._stop.wait(PAUSE_SECONDS)

    def _caller(self, duty: Duty) -> Callable[[], bool]:
        return lambda: self._call(duty)

    def _call(self, duty: Duty) -> bool:
        try:
            return duty()
        except DatabaseReplaced as error:
            if not self._stop.is_set():
                self._stop.fail(REPLACED)
                log.error("database_replaced", error=str(error))
            return False

    def _dispatch_failed(self, kind: str) -> None:
        self.metrics.dispatch_errors.labels(kind).inc()
        if kind == "redis":
            self.metrics.forget_messages()

    def _serve_metrics(self, port: int) -> None:
        """Serve the metrics, unless it is done; while somebody holds the port it is tried again."""
        if self._metrics_served:
            return
        try:
            log.info("metrics", port=self.metrics.serve(port))
            self._metrics_served = True
        except OSError as error:
            if not self._metrics_complained:
                log.warning("metrics_unavailable", port=port, error=str(error))
            self._metrics_complained = True

    def _close(self) -> None:
        for duty in self._duties:
            duty.close()
        self._broker.close()
