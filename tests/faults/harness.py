"""Real masters and schedulers on real services, and ways to hurt them."""

import os
import re
import secrets
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psutil
import psycopg
import pytest
import redis
import yaml
from psycopg.rows import dict_row

import configs
from configs import settings
from engine.request import Limits, complete, engine_params_hash, read_defaults, request_hash
from storage import jobs
from storage.records import Client, EventName, Job, NewJob, Stage, State, TopVariant
from storage.session import Session
from tests import zygote
from tests.ports import free_port
from tests.storage.making import stored_rows

LEASE_SECONDS = 3.0
MARK = "BACKTEST_TEST_STACK"

JOB_SETTINGS: dict[str, Any] = {
    "lease_seconds": LEASE_SECONDS,
    "heartbeat_seconds": 0.5,
    "claim_poll_seconds": 0.2,
    "redispatch_seconds": 1,
    "gauges_seconds": 0.2,
    "snapshot_seconds": 0.5,
    "max_crashes": 1,
}

Value = TypeVar("Value")


def wait_for(
    condition: Callable[[], Value | None], what: str, seconds: float = 30, every: float = 0.01
) -> Value:
    """Poll until `condition` gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"waited {seconds:g} s in vain: {what}")


@dataclass
class Program:
    """A program in a session of its own, with everything it logs in a file."""

    process: zygote.Process
    log: Path
    metrics_port: int

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def logged(self, text: str, seconds: float = 150) -> None:
        try:
            wait_for(
                lambda: text in self.text() or not self.alive(), f"{text!r}", seconds, every=0.05
            )
            assert text in self.text(), f"it ended before it logged {text!r}"
        except AssertionError as error:
            raise AssertionError(f"{error}; the log is:\n{self.text()}") from None

    def metric(self, name: str) -> float:
        """Value of a series, summed over its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as response:
            lines = response.read().decode().splitlines()
        values = [float(line.split()[-1]) for line in lines if re.match(rf"{name}(\{{|\s)", line)]
        assert values, f"no series {name}"
        return sum(values)

    def exit_code(self, seconds: float = 20) -> int:
        return self.process.wait(seconds)

    def signal_group(self, number: signal.Signals) -> None:
        os.killpg(self.pid, number)

    def processes(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            me = psutil.Process(self.pid)
            return [me, *me.children(recursive=True)]
        return []

    def kill(self) -> None:
        """Kill the master and everything below it."""
        everything = self.processes()
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        gone(everything)


def gone(processes: list[psutil.Process], seconds: float = 15) -> None:
    """Wait until none of them runs any more."""

    def ended(process: psutil.Process) -> bool:
        try:
            return process.status() == psutil.STATUS_ZOMBIE  # orphans wait for init to reap them
        except psutil.NoSuchProcess:
            return True

    wait_for(lambda: all(map(ended, processes)), f"end of {processes}", seconds, every=0.03)


def owner_pid(job: Job) -> int:
    """The worker process that `locked_by` names: `<hostname>-<pid>-<8 hex>`."""
    assert job.locked_by is not None
    return int(job.locked_by.rsplit("-", 2)[1])


def computing_child(pid: int) -> psutil.Process:
    """Wait for the process that computes for a worker process."""
    return wait_for(lambda: child_of(pid), f"a computing child of {pid}")


def child_of(pid: int) -> psutil.Process | None:
    """Return the process that computes for a worker process: the fork server's only child."""
    for server in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):
            for child in server.children():
                if child.status() != psutil.STATUS_ZOMBIE:  # it waits for the server to reap it
                    return child
    return None


@dataclass
class Stack:
    """One database, one Redis, one candle folder, and the programs that were started on them."""

    dsn: str
    redis_url: str
    candles: Path
    folder: Path
    programs: list[Program] = field(default_factory=list)
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    typed: bool = False
    """Whether the system shows the programs' command lines."""
    _ordinary: list[Program] = field(default_factory=list)
    _connection: psycopg.Connection[Any] | None = None

    def __post_init__(self) -> None:
        self.config = self.configure("backtest.yaml")

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """The tests' own connection, which is opened again when its server was restarted."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.dsn, autocommit=True)
        return self._connection

    def reconnect(self) -> None:
        """Forget a connection whose server went away."""
        self.connection.close()

    def configure(self, name: str, **changes: Any) -> Path:
        """Write a configuration: the one shipped for tests with a short lease and `changes`."""
        shipped = Path(configs.__file__).parent / "test" / "backtest.yaml"
        document = yaml.safe_load(shipped.read_text(encoding="utf-8"))
        document["backtest"]["guards"]["max_variants_per_compute"] = 5_000_000
        document["backtest"]["jobs"] |= JOB_SETTINGS | changes
        path = self.folder / name
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    def environ(self, **changes: str) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ROEHUB_", "CH_", "CLICKHOUSE_", "PROMETHEUS_"))
        }
        return (
            inherited
            | {
                "STRATEGY_PG_DSN": self.dsn,
                "REDIS_URL": self.redis_url,
                "ROEHUB_ENV": "test",
                "ROEHUB_BACKTEST_CONFIG": str(self.config),
                "ROEHUB_CANDLES_DIR": str(self.candles),
                MARK: self.mark,
            }
            | changes
        )

    # --------------------------------------------------------------------------- programs

    def start(self, *command: str, **environ: str) -> Program:
        log = self.folder / f"{len(self.programs)}.log"
        environ = {"ROEHUB_METRICS_PORT": str(free_port())} | environ
        with log.open("wb") as output:
            process = zygote.start(
                *command,
                env=self.environ(**environ),
                stdout=output,
                start_new_session=True,
                typed=self.typed,
            )
        program = Program(process, log, int(environ["ROEHUB_METRICS_PORT"]))
        self.programs.append(program)
        return program

    def worker(self, **environ: str) -> Program:
        command = ("dramatiq", "tasks.backtest", "--processes", "1", "--threads", "1")
        return self.start(*command, **environ)

    def scheduler(self) -> Program:
        return self.start("scheduler")

    @contextmanager
    def scheduled(self) -> Iterator[None]:
        """Have a scheduler for a while."""
        scheduler = self.scheduler()
        try:
            yield
        finally:
            scheduler.kill()

    def workers(self, count: int) -> list[Program]:
        """Have `count` masters that take jobs, and no other; some may be left from other tests.

        Those that are not wanted now stand still: to start one takes longer than most tests.
        """
        self._ordinary = [program for program in self._ordinary if program.alive()]
        for master in self._ordinary[count:]:
            master.signal_group(signal.SIGSTOP)
        for master in self._ordinary[:count]:
            master.signal_group(signal.SIGCONT)
        while len(self._ordinary) < count:
            self._ordinary.append(self.worker())
        for master in self._ordinary[:count]:
            master.logged("event=ready")
        return self._ordinary[:count]

    @contextmanager
    def only(
        self, environ: Mapping[str, str] = MappingProxyType({}), **changes: Any
    ) -> Iterator[Program]:
        """Have one master with a configuration and environment of its own, and no other."""
        self.workers(0)
        config = self.configure("own.yaml", **changes)
        worker = self.worker(**{"ROEHUB_BACKTEST_CONFIG": str(config)} | environ)
        try:
            worker.logged("event=ready")
            yield worker
        finally:
            worker.kill()

    def master_of(self, pid: int) -> Program:
        """The master of a worker process."""
        parent = psutil.Process(pid).ppid()
        return next(program for program in self.programs if program.pid == parent)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs on this stack, wherever it was reparented to."""
        found, sessions = [], {program.pid for program in self.programs}
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                marked = process.environ().get(MARK) == self.mark
                ours = marked or os.getsid(process.pid) in sessions
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def stop(self) -> None:
        for program in self.programs:
            if program.alive():
                program.kill()
        left = self.processes()
        for process in left:
            process.kill()
        self.connection.close()
        assert left == [], "processes were left behind"

    # --------------------------------------------------------------------------- jobs

    def new_job(self, document: dict[str, Any], **changes: Any) -> NewJob:
        """What a request becomes when it is submitted, by a new user unless `changes` says whom."""
        loaded = settings.load(self.config, {"ROEHUB_ENV": "test"})
        limits = Limits(**loaded.request_limits())
        effective = complete(document, read_defaults(*loaded.request_defaults()), limits)
        values: dict[str, Any] = {
            "user_id": uuid4(),
            "mode": "template",
            "request_json": effective,
            "request_hash": request_hash(effective),
            "engine_params_hash": engine_params_hash(effective),
            "backtest_runtime_config_hash": loaded.runtime_config_hash,
        }
        return NewJob(**values | changes)

    def submit(self, document: dict[str, Any], session: Session | None = None) -> UUID:
        """Submit a request as a user does, by a `session` of one's own or the tests' connection."""
        new_job = self.new_job(document)
        if session is None:
            made = jobs.create(self.connection, new_job, max_active=100, client=Client.CLI)
        else:
            made = session.run(
                lambda conn: jobs.create(conn, new_job, max_active=100, client=Client.CLI)
            )
        return made.job.job_id

    def job(self, job_id: UUID) -> Job:
        job = jobs.get(self.connection, job_id)
        assert job is not None
        return job

    def reaches(self, job_id: UUID, stage: Stage) -> Job:
        """Wait until the job has begun a stage; returns it with its owner."""

        def there() -> Job | None:
            if (ended := self.ended(job_id)) is not None:
                pytest.fail(f"{ended.state} before {stage}: {ended.last_error_json}")
            return self.in_stage(job_id, stage)

        return wait_for(there, f"{stage} of {job_id}", 60)

    def caught(self, document: dict[str, Any], stage: Stage) -> tuple[Job, psutil.Process]:
        """Submit until a job is met in a stage, and return it with the child that computes it.

        The child stands still until it is resumed, so the job does not leave the stage. On a
        machine that is busy elsewhere a short stage may be over before anybody has looked.
        """

        def there() -> tuple[Job, psutil.Process] | None:
            job_id = self.submit(document)
            job = wait_for(lambda: self.in_stage(job_id, stage) or self.ended(job_id), f"{stage}")
            assert job.state in (State.RUNNING, State.SUCCEEDED), job.last_error_json
            child = None if job.state.terminal else child_of(owner_pid(job))
            with suppress(psutil.NoSuchProcess):
                if child is not None:
                    child.suspend()
                    if self._stays(job_id, stage):
                        return job, child
                    child.resume()
            jobs.cancel(self.connection, job_id, client=Client.CLI)
            self.ends(job_id)
            return None

        return wait_for(there, f"a job in {stage}", 120)

    def _stays(self, job_id: UUID, stage: Stage) -> bool:
        """Whether a job is in a stage still when what its child has said is written."""
        with suppress(AssertionError):
            wait_for(lambda: not self.in_stage(job_id, stage), "another stage", 0.2, every=0.05)
            return False
        return True

    def in_stage(self, job_id: UUID, stage: Stage) -> Job | None:
        """Return the job if it has begun a stage, has not left it, and has an owner."""
        job = self.job(job_id)
        begun = any(
            event.event is EventName.STAGE_STARTED
            and (event.attempt, event.details["stage"]) == (job.attempt, stage)
            for event in jobs.events(job_id).of(self.connection)
        )
        return job if begun and job.stage is stage and job.locked_by else None

    def ended(self, job_id: UUID) -> Job | None:
        """Return the job if it has ended."""
        job = self.job(job_id)
        return job if job.state.terminal else None

    def claimed(self, job_id: UUID, attempt: int = 1) -> Job:
        """Wait until the job is owned in this attempt or a later one."""

        def there() -> Job | None:
            job = self.job(job_id)
            return job if job.attempt >= attempt else None

        return wait_for(there, f"attempt {attempt} of {job_id}", 60, every=0.05)

    def ends(self, job_id: UUID, seconds: float = 60) -> Job:
        """Wait until the job has ended."""

        return wait_for(lambda: self.ended(job_id), f"end of {job_id}", seconds, every=0.05)

    def rows(self, job_id: UUID) -> list[TopVariant]:
        """The top variants as stored: everything but when they were written."""
        return stored_rows(self.connection, job_id)

    def stored_bytes(self, job_id: UUID) -> list[tuple[str, ...]]:
        """The stored rows as Postgres prints them, then what is stored of the whole search."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                "SELECT * FROM backtest_job_top_variants WHERE job_id = %s ORDER BY rank", (job_id,)
            ).fetchall()
        names = [name for name in (rows[0] if rows else {}) if name not in ("job_id", "updated_at")]
        columns = ", ".join(f"{name}::text" for name in names)
        found = self.connection.execute(
            f"SELECT {columns} FROM backtest_job_top_variants WHERE job_id = %s ORDER BY rank",
            (job_id,),
        ).fetchall()
        return (
            found
            + self.connection.execute(
                "SELECT coverage_json::text, outcomes_json::text, stage_a_indexes_json::text,"
                " twins_json::text, stage_a_variants_total::text, risk_total::text,"
                " preselect_used::text, candles_hash"
                " FROM backtest_jobs LEFT JOIN backtest_job_stage_a_shortlist USING (job_id)"
                " WHERE job_id = %s",
                (job_id,),
            ).fetchall()
            + self.connection.execute(
                "SELECT figures_json::text, pictures_json::text, number::text, surface_json::text"
                " FROM backtest_job_validation LEFT JOIN backtest_job_surfaces USING (job_id)"
                " WHERE job_id = %s ORDER BY number",
                (job_id,),
            ).fetchall()
        )

    def events(self, job_id: UUID) -> list[EventName]:
        return [event.event for event in jobs.events(job_id).of(self.connection)]

    def backends(self) -> list[int]:
        """Pids of the Postgres processes that serve the workers."""
        rows = self.connection.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'backtest-job-runner'"
        )
        return [pid for (pid,) in rows]

    def flush_redis(self) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()


@contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """Stop everything that was started on the stack."""
    try:
        yield stack
    finally:
        stack.stop()
