"""How a worker process starts and ends, hooked into dramatiq.

Bad configuration and a schema that is not migrated end the process with one line and code 2,
which the dramatiq master then exits with as well. Postgres being away is waited for.
"""

import os
import signal
import threading
import time
from contextlib import suppress
from uuid import UUID

import dramatiq
import psycopg
import structlog

from configs import logs, settings, tracing
from configs.environment import (
    assumed_addresses,
    candle_source,
    metrics_port,
    postgres_dsn,
    redis_namespace,
    redis_url,
)
from configs.settings import Settings, SettingsError
from engine.request import DefaultsError, Limits, read_defaults
from storage import faults, readiness, schema
from storage.connection import Connection, InvalidDsn
from storage.readiness import DatabaseRefuses
from storage.schema import SchemaUnusable
from storage.session import Session
from storage.temporary import OwnedFolder
from tasks import broker as queue
from tasks import identity, isolation, metrics, shutdown, wake_up
from tasks.process import EngineNotPreloaded, ForkServer
from tasks.worker import Worker

COMPONENT = "backtest-job-runner"
DEFAULT_METRICS_PORT = 9204
BAD_START = 2
BOOT_FAILED = 1  # worth another try, unlike a bad start
DATABASE_REPLACED = 1
SOURCES_CHANGED = 1
LOOK_AFTER_SECONDS = 1.0
ENGINE_RETRY_SECONDS = 10.0

BAD_STARTS = (SettingsError, DefaultsError, InvalidDsn, DatabaseRefuses, SchemaUnusable)
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
        self._folder: OwnedFolder | None = None

    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        """Check everything that can be wrong, then start what a job needs; in the main thread."""
        assert isinstance(broker, queue.JobBroker)
        self._broker = broker
        self._signals = shutdown.StopSignals(self._stopping, self._end_children)
        self._signals.watch()
        master_pid = isolation.signal_on_master_death(signal.SIGTERM)
        broker.accepting = self._accepting
        broker.on_garbage = self._count_garbage
        try:
            self._folder = _choose_folder(master_pid)
            loaded = settings.load()
            read_defaults(*loaded.request_defaults())
            logs.configure(COMPONENT, loaded.env)
            if not loaded.backtest.jobs.enabled:
                log.info("disabled", status="disabled")
                shutdown.exit_at_boot(0)
            self._check_addresses()
            self._check_schema()
            self.worker = self._build(loaded, broker)
        except BAD_STARTS as error:
            self._say_bad_start(error)
            shutdown.exit_at_boot(BAD_START)
        except Exception:  # dramatiq would log it and go on without us
            log.exception("boot_failed")
            shutdown.exit_at_boot(BOOT_FAILED)
        threading.Thread(
            target=metrics.serve_when_free,
            args=(self._metrics_port, self._folder.path, self._stopping),
            name="metrics-port",
            daemon=True,
        ).start()
        threading.Thread(target=self._keep_ready, name="keeper", daemon=True).start()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002
        """Stop also for a signal that came before we saw signals; dramatiq did see it."""
        self._signals.stop()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002
        """Leave nothing behind."""
        self.worker.session.close()
        self.worker.fork_server.stop()
        if self.worker.tracer is not None:
            self.worker.tracer.close()
        assert self._folder is not None
        self._folder.give_up()
        log.info("stopped")

    def _check_addresses(self) -> None:
        self._dsn = postgres_dsn()
        self._candle_source = candle_source()
        redis_namespace()
        self._metrics_port = metrics_port(default=DEFAULT_METRICS_PORT)
        try:
            queue.make_broker(redis_url())
        except ValueError as error:
            raise SettingsError(f"REDIS_URL cannot be used: {error}") from None
        for name, address in assumed_addresses().items():
            if self._first_to_find(f"{name}_assumed"):
                log.info("address_assumed", variable=name, value=address)

    def _check_schema(self) -> None:
        """Look once; dramatiq's master hears no signal before this process has booted."""
        try:
            readiness.look(self._dsn, abandon=self._stopping.is_set)
        except psycopg.Error as error:
            if not faults.passing(error):
                raise  # the others are waited for later

    def _build(self, loaded: Settings, broker: queue.JobBroker) -> Worker:
        jobs = loaded.backtest.jobs

        def new_session() -> Session:
            return Session(
                self._dsn,
                application_name=COMPONENT,
                lock_seconds=jobs.heartbeat_seconds,
                statement_seconds=jobs.heartbeat_seconds,
                on_connect=self._check_namespace,
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
            idle_workers=lambda: broker.idle_workers,
            job_waits=broker.job_waits,
            tracer=tracing.start(COMPONENT),
        )

    def _keep_ready(self) -> None:
        try:
            database = readiness.wait_until_ready(self._dsn, _say_waiting, stop=self._stopping)
        except BAD_STARTS as error:
            self._say_bad_start(error)
            self._end_children()
            shutdown.exit_at_once(BAD_START)
        if database is None:
            return
        self._broker.namespace = redis_namespace() or database
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
        if engine.identity != identity.ENGINE:
            log.error("sources_changed", was=identity.ENGINE, error=f"now it is {engine.identity}")
            self._end_children()
            shutdown.exit_at_once(SOURCES_CHANGED)
        self._ready.set()
        kernels = "from_cache" if engine.from_cache else "compiled"
        log.info("ready", kernels=kernels, kernel_seconds=round(engine.seconds, 2))

    def _check_namespace(self, conn: Connection) -> None:
        """End the process when a connection leads to another database than the first one.

        Wake-ups are sent under the name of the database that the jobs are in.
        """
        if redis_namespace() is not None:  # it stays the same, whatever the database says
            return
        try:
            schema.check_unchanged(conn, self._broker.namespace)
        except schema.DatabaseReplaced as error:
            if self._first_to_find("database_replaced"):
                log.error("database_replaced", error=str(error))
            self._end_children()
            shutdown.exit_at_once(DATABASE_REPLACED)

    def _end_children(self) -> None:
        if hasattr(self, "worker"):
            self.worker.fork_server.kill()

    def _accepting(self) -> bool:
        return (
            self._ready.is_set()
            and not self._stopping.is_set()
            and not self.worker.fork_server.died
        )

    def _say_bad_start(self, error: Exception) -> None:
        logs.configure(COMPONENT, os.environ.get("ROEHUB_ENV", ""))
        if self._first_to_find("bad_start"):
            log.error("bad_start", error=str(error))

    def _first_to_find(self, what: str) -> bool:
        """Whether to say what all processes of a master find alike: no other one has found it."""
        if self._folder is not None:
            try:
                (self._folder.path / what).touch(exist_ok=False)
            except FileExistsError:
                return False
        return True

    def _count_garbage(self, reason: str) -> None:
        self.worker.metrics.stale_messages.inc()
        log.warning("garbage_dropped", reason=reason)


def _say_waiting(text: str) -> None:
    log.warning("waiting_for_postgres", error=text)


def _choose_folder(master_pid: int) -> OwnedFolder:
    try:
        return metrics.choose_folder(master_pid)
    except OSError as error:
        raise SettingsError(
            f"no folder for metrics can be made: {error}; set TMPDIR to one that is writable"
        ) from None
