"""How a worker process starts and ends, hooked into dramatiq.

Bad configuration and a schema that is not migrated end the process with one line and code 2,
which the dramatiq master then exits with as well. Postgres being away is waited for.
"""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from uuid import UUID

import dramatiq
import psycopg
import structlog

from configs import logs, settings
from configs.environment import (
    candle_source,
    metrics_port,
    postgres_dsn,
    redis_namespace,
    redis_url,
)
from configs.settings import Settings, SettingsError
from engine.request import Limits
from storage import faults, readiness
from storage.connection import InvalidDsn
from storage.readiness import DatabaseRefuses
from storage.schema import SchemaUnusable
from storage.session import Session
from tasks import broker as queue
from tasks import ending, isolation, metrics, wake_up
from tasks.process import EngineNotPreloaded, ForkServer
from tasks.worker import Worker

COMPONENT = "backtest-job-runner"
DEFAULT_METRICS_PORT = 9204
BAD_START = 2
BOOT_FAILED = 1  # worth another try, unlike a bad start
LOOK_AFTER_SECONDS = 1.0
ENGINE_RETRY_SECONDS = 10.0

BAD_STARTS = (SettingsError, InvalidDsn, DatabaseRefuses, SchemaUnusable)
"""What waiting would not cure."""

log = structlog.get_logger()


class Boot(dramatiq.Middleware):
    """Builds `worker` when a worker process starts, and takes it apart when it ends.

    Messages are accepted once Postgres has answered and the engine is loaded.
    """

    worker: Worker

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._ready = threading.Event()

    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        """Check everything that can be wrong, then start what a job needs; in the main thread."""
        assert isinstance(broker, queue.JobBroker)
        ending.heed_first_signal_only(self._stopping)
        master_pid = isolation.signal_on_master_death(signal.SIGTERM)
        self._broker = broker
        broker.accepting = self._accepting
        broker.on_garbage = self._count_garbage
        try:
            loaded = settings.load()
            logs.configure(COMPONENT, loaded.env)
            if not loaded.backtest.jobs.enabled:
                log.info("disabled", status="disabled")
                ending.exit_at_boot(0)
            self._check_addresses()
            self._check_schema()
            self._metrics_folder = metrics.choose_folder(master_pid)
            self.worker = self._build(loaded, broker)
            self._serve_metrics()
        except BAD_STARTS as error:
            _say_bad_start(error)
            ending.exit_at_boot(BAD_START)
        except Exception:  # dramatiq would log it and go on without us
            log.exception("boot_failed")
            ending.exit_at_boot(BOOT_FAILED)
        threading.Thread(target=self._keep_ready, name="keeper", daemon=True).start()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002
        """Leave nothing behind."""
        self.worker.session.close()
        self.worker.fork_server.stop()
        metrics.remove_folder(self._metrics_folder)
        log.info("stopped")

    def _check_addresses(self) -> None:
        self._dsn = postgres_dsn()
        self._candle_source = candle_source()
        self._namespace = redis_namespace()
        self._metrics_port = metrics_port(default=DEFAULT_METRICS_PORT)
        try:
            queue.make_broker(redis_url())
        except ValueError as error:
            raise SettingsError(f"REDIS_URL cannot be used: {error}") from None

    def _check_schema(self) -> None:
        """Look once; dramatiq's master hears no signal before this process has booted."""
        try:
            readiness.look(self._dsn, abandon=self._stopping.is_set)
        except psycopg.Error as error:
            if not faults.passing(error):
                raise
            _say_waiting(str(error))  # waited for later

    def _build(self, loaded: Settings, broker: queue.JobBroker) -> Worker:
        jobs = loaded.backtest.jobs

        def new_session() -> Session:
            return Session(
                self._dsn,
                application_name=COMPONENT,
                lock_seconds=jobs.heartbeat_seconds,
                statement_seconds=jobs.heartbeat_seconds,
            )

        def put_back(job_id: UUID) -> None:
            with suppress(wake_up.QueueUnavailable):  # the scheduler will send another one
                wake_up.enqueue(broker, job_id)

        fork_server = ForkServer()
        fork_server.start()
        return Worker(
            jobs=jobs,
            limits=Limits(**loaded.request_limits()),
            candle_source=self._candle_source,
            new_session=new_session,
            session=new_session(),
            fork_server=fork_server,
            metrics=metrics.Metrics(),
            stopping=self._stopping,
            put_back=put_back,
        )

    def _serve_metrics(self) -> None:
        try:
            metrics.serve(self._metrics_port, self._metrics_folder)
        except OSError as error:
            log.warning("metrics_not_served", port=self._metrics_port, error=str(error))

    def _keep_ready(self) -> None:
        try:
            found = readiness.wait_until_ready(self._dsn, _say_waiting, stop=self._stopping)
            if found is None:
                return
        except BAD_STARTS as error:
            _say_bad_start(error)
            ending.exit_at_once(BAD_START)
        # Nothing has been taken out of Redis yet: messages are accepted when all is ready.
        self._broker.namespace = self._namespace or found
        # Never returns: a fork server that has to be replaced lives as long as this thread.
        while True:
            if not self._ready.is_set() or self.worker.fork_server.died:
                self._load_engine()
            time.sleep(LOOK_AFTER_SECONDS if self._ready.is_set() else ENGINE_RETRY_SECONDS)

    def _load_engine(self) -> None:
        self._ready.clear()
        try:
            engine = self.worker.fork_server.wait()
        except EngineNotPreloaded as error:  # jobs are better off with any other worker
            log.error("engine_not_preloaded", error=str(error))
            return
        self._ready.set()
        kernels = "from_cache" if engine.from_cache else "compiled"
        log.info("ready", kernels=kernels, kernel_seconds=round(engine.seconds, 2))

    def _accepting(self) -> bool:
        return (
            self._ready.is_set()
            and not self._stopping.is_set()
            and not self.worker.fork_server.died
        )

    def _count_garbage(self, reason: str) -> None:
        self.worker.metrics.stale_messages.inc()
        log.warning("garbage_dropped", reason=reason)


def _say_waiting(text: str) -> None:
    log.warning("waiting_for_postgres", error=text)


def _say_bad_start(error: Exception) -> None:
    logs.configure(COMPONENT, os.environ.get("ROEHUB_ENV", ""))
    # All processes of a master find the same; one line is enough.
    if multiprocessing.current_process().name.endswith("-1"):
        log.error("bad_start", error=str(error))
