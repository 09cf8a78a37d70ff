"""What measurements of the queue run on: embedded services, real programs, jobs of one kind."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import psycopg
import yaml

import migrations
from benchmarks.api import DAY_MS, REQUEST, START_MS
from cli import embedded
from configs import settings
from configs.environment import CandlesFolder
from engine import synthetic
from engine.request import Limits, complete, engine_params_hash, read_defaults, request_hash
from storage import jobs
from storage.candles import Bars, open_store
from storage.records import Client, NewJob

HERE = Path(__file__).parents[1]
SCHEDULER = ("scheduler",)
NOOP_WORKER = ("dramatiq", "benchmarks.noop_worker", "--processes", "1", "--threads", "1")
WORKER = ("dramatiq", "tasks.backtest", "--processes", "1", "--threads", "1")
READY = "event=ready"
START_SECONDS = 300


@dataclass(frozen=True)
class Program:
    """A program in a session of its own, with what it logs in a file."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, text: str) -> None:
        """Wait until it has logged this."""
        deadline = time.monotonic() + START_SECONDS
        while text not in (said := self.log.read_text("utf-8", "replace")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.log.name} never said {text!r}:\n{said}")
            time.sleep(0.02)

    def cpu_seconds(self) -> float:
        """Return the processor time of all its processes, ended ones included."""
        return sum(map(_cpu_seconds, _session_of(self.process.pid)))

    def kill(self) -> None:
        """Kill it with everything that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass(frozen=True)
class Stack:
    """Postgres, Redis and a folder with candles."""

    dsn: str
    redis_url: str
    folder: Path
    conn: psycopg.Connection[Any]

    @contextmanager
    def running(
        self, *commands: tuple[str, ...], environ: Mapping[str, str] | None = None, **changes: Any
    ) -> Iterator[list[Program]]:
        """Run `python -m` each of `commands`, all ready, with `changes` of the jobs' settings."""
        with ExitStack() as stack:
            started = []
            for command in commands:
                started.append(self._start(command, environ or {}, changes))
                stack.callback(_stop, started[-1])
            for command, program in zip(commands, started, strict=True):
                program.wait_for(READY if command[0] == "dramatiq" else "event=started")
            yield started

    def submit(
        self,
        count: int = 1,
        *,
        request: Mapping[str, Any] = REQUEST,
        coverage: Mapping[str, Any] | None = None,
    ) -> list[UUID]:
        """Submit so many jobs, by default tiny ones, at once, each of a user of its own."""
        with self.conn.transaction():
            return [self._submit(request, coverage) for _ in range(count)]

    def clear(self) -> None:
        """Forget all jobs and messages."""
        import redis

        self.conn.execute("TRUNCATE backtest_jobs CASCADE")
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()

    def wait_until_ended(self, seconds: float = 300) -> None:
        """Wait until no job is active."""
        active = "SELECT FROM backtest_jobs WHERE state IN ('queued', 'running') LIMIT 1"
        until(lambda: self.conn.execute(active).fetchone() is None, "the end of all jobs", seconds)

    def postgres_seconds(self) -> float:
        """Return the processor time of all processes of Postgres, ended ones included."""
        server = psutil.Process(self.conn.info.backend_pid).parent()
        assert server is not None
        return sum(map(_cpu_seconds, [server, *server.children()]))

    def rate(self) -> float:
        """Return jobs per second, from the first claim to the last success."""
        row = self.conn.execute(
            "SELECT count(*) FILTER (WHERE event = 'succeeded'),"
            " extract(epoch FROM max(at) FILTER (WHERE event = 'succeeded')"
            "   - min(at) FILTER (WHERE event = 'claimed'))::float8 FROM backtest_job_events"
        ).fetchone()
        assert row is not None
        return float(row[0] / row[1])

    def _submit(self, given: Mapping[str, Any], coverage: Mapping[str, Any] | None) -> UUID:
        loaded = settings.load(None, {"ROEHUB_ENV": "test"})
        request = complete(
            given, read_defaults(*loaded.request_defaults()), Limits(**loaded.request_limits())
        )
        new = NewJob(
            user_id=uuid4(),
            mode="template",
            request_json=request,
            request_hash=request_hash(request),
            engine_params_hash=engine_params_hash(request),
            backtest_runtime_config_hash=loaded.runtime_config_hash,
            coverage_json=coverage,
        )
        return jobs.create(self.conn, new, max_active=1, client=Client.CLI).job.job_id

    def _start(
        self, command: tuple[str, ...], environ: Mapping[str, str], changes: Mapping[str, Any]
    ) -> Program:
        config = self.folder / f"{secrets.token_hex(4)}.yaml"
        document = {"version": 1, "backtest": {"jobs": dict(changes)}}
        config.write_text(yaml.safe_dump(document), "utf-8")
        log = config.with_suffix(".log")
        ours = {
            "STRATEGY_PG_DSN": self.dsn,
            "REDIS_URL": self.redis_url,
            "ROEHUB_ENV": "test",
            "ROEHUB_BACKTEST_CONFIG": str(config),
            "ROEHUB_CANDLES_DIR": str(self.folder / "candles"),
            "ROEHUB_METRICS_PORT": str(_free_port()),
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**os.environ, **ours, **environ},
                cwd=HERE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return Program(process, log)


@contextmanager
def stack(days: int = 70) -> Iterator[Stack]:
    """Start the services and store so many days of minutes; they end with the context."""
    import tempfile

    with ExitStack() as services:
        temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        folder = Path(services.enter_context(temporary))
        dsn = services.enter_context(embedded.postgres(folder / "postgres"))
        redis_url = services.enter_context(embedded.redis_server(folder / "redis"))
        migrations.upgrade(dsn)
        (folder / "candles").mkdir()
        with open_store(CandlesFolder(folder / "candles")) as store:
            minutes = synthetic.minutes(seed=7, start_ms=START_MS - 30 * DAY_MS, count=days * 1440)
            store.append(1, "BTCUSDT", [Bars.of(minutes)])
        conn = services.enter_context(psycopg.connect(dsn, autocommit=True))
        yield Stack(dsn, redis_url, folder, conn)


def until(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Wait until it is true. Raises SystemExit where it never is."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.01)


def _session_of(leader: int) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == leader:
                yield process


def _cpu_seconds(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _stop(program: Program) -> None:
    program.process.terminate()
    with suppress(subprocess.TimeoutExpired):
        program.process.wait(30)
    program.kill()
