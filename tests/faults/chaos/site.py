"""The stack that is hurt: servers of its own, and slots in which programs are started again."""

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

import migrations
from cli import embedded
from configs.environment import CandlesFolder
from engine import synthetic
from storage.candles import Bars, open_store
from tests.faults.chaos import audit
from tests.faults.harness import Program, Stack
from tests.network import PostgresProxy, RedisProxy, postgres_proxy, redis_proxy
from tests.own_postgres import OwnPostgres, own_postgres

WORKER = ("dramatiq", "tasks.backtest", "--processes", "1", "--threads", "1")
SCHEDULER = ("scheduler",)
START_MS = 1_704_067_200_000  # 2024-01-01
DAYS = 150
EXIT_SECONDS = 30.0

JOB_SETTINGS: dict[str, Any] = {
    "lease_seconds": 6.0,
    "heartbeat_seconds": 1.5,
    "claim_poll_seconds": 0.5,
    "redispatch_seconds": 3,
    "snapshot_seconds": 0.5,
    "max_crashes": 2,
    "stall_seconds": 20,
    "dispatch_window": 8,
}


SHARING = {"shard_seconds": 0.2}
"""Of every other worker: what it owns and takes longer is shared by all."""


@dataclass
class Slot:
    """A place for one program, as a service manager keeps it: whoever ends is started again."""

    stack: Stack
    name: str
    command: tuple[str, ...]
    postgres: PostgresProxy
    redis: RedisProxy
    temporary: Path
    config: Path
    program: Program
    harmed: bool = False
    told_to_stop_at: float | None = None
    paused_until: float = 0.0
    complaints: list[str] = field(default_factory=list)
    exits: int = 0

    @property
    def ready(self) -> bool:
        """Whether the program has booted and nobody has told it to end."""
        text = "event=ready" if self.command is WORKER else "event=started"
        return self.told_to_stop_at is None and self.program.alive() and text in self.program.text()

    def tell_to_stop(self, send: Callable[[], object]) -> None:
        """Send a stop signal; the program has to end by itself then, with code 0."""
        self.told_to_stop_at = time.monotonic()
        send()

    def look_after(self) -> None:
        """Start the program again if it has ended; complain if nobody has ended it."""
        told, now = self.told_to_stop_at, time.monotonic()
        if self.program.alive():
            counted_from = None if told is None else max(told, self.paused_until)
            if counted_from and not self.harmed and now > counted_from + EXIT_SECONDS:
                self.complain(f"did not end within {EXIT_SECONDS:g} s")
                self.harmed = True
                self.program.kill()
            return
        self.exits += 1
        code = self.program.process.returncode
        late = told is not None and self.paused_until > told  # then it may end by force
        if not self.harmed and (told is None or (code != 0 and not late)):
            self.complain(f"ended with code {code}, told to stop: {told is not None}")
        self.program = start(
            self.stack, self.command, self.postgres, self.redis, self.temporary, self.config
        )
        self.harmed, self.told_to_stop_at, self.paused_until = False, None, 0.0

    def complain(self, what: str) -> None:
        """Remember what a program should not have done."""
        self.complaints.append(f"{self.name} ({self.program.log.name}) {what}")

    def below(self) -> list[psutil.Process]:
        """The master and everything under it."""
        return self.program.processes()


@dataclass
class Site:
    """Everything that can be hurt."""

    stack: Stack
    server: OwnPostgres
    redis: embedded.Redis
    workers: list[Slot] = field(default_factory=list)
    schedulers: list[Slot] = field(default_factory=list)
    shared_memory: set[str] = field(default_factory=set)

    @property
    def slots(self) -> list[Slot]:
        """Workers and schedulers."""
        return [*self.workers, *self.schedulers]

    def note_shared_memory(self) -> None:
        """Remember which shared memory our programs have used; others use some too."""
        for process in self.stack.processes():
            with suppress(OSError):
                maps = Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
                self.shared_memory |= set(re.findall(r"/dev/shm/(\S+)", maps))

    def stop(self) -> list[str]:
        """End every program as a service manager does; returns what was wrong with it."""
        for slot in self.slots:
            slot.tell_to_stop(slot.program.process.terminate)
        for slot in self.slots:
            try:
                code = slot.program.exit_code(EXIT_SECONDS)
            except Exception:
                slot.complain(f"did not end within {EXIT_SECONDS:g} s at the end")
                slot.program.kill()
                continue
            if code != 0:
                slot.complain(f"ended with code {code} at the end")
        return [complaint for slot in self.slots for complaint in slot.complaints]


def start(
    stack: Stack,
    command: tuple[str, ...],
    postgres: PostgresProxy,
    redis: RedisProxy,
    temporary: Path,
    config: Path,
) -> Program:
    """Start a program on networks of its own."""
    return stack.start(
        *command,
        STRATEGY_PG_DSN=postgres.dsn,
        REDIS_URL=redis.url,
        TMPDIR=str(temporary),
        ROEHUB_BACKTEST_CONFIG=str(config),
    )


@contextmanager
def site(folder: Path, workers: int, schedulers: int) -> Iterator[Site]:
    """Servers, candles, and programs on them; nothing of it is left afterwards."""
    candles = folder / "candles"
    candles.mkdir()
    bars = synthetic.minutes(seed=7, start_ms=START_MS, count=DAYS * 1440)
    with open_store(CandlesFolder(candles)) as store:
        store.append(1, "BTCUSDT", [Bars.of(bars)])
    with ExitStack() as cleanup:
        server = cleanup.enter_context(own_postgres())
        migrations.upgrade(server.dsn)
        redis = embedded.Redis(folder / "redis")
        redis.start()
        cleanup.callback(redis.stop)
        stack = Stack(server.dsn, redis.url, candles, folder)
        stack.config = stack.configure("chaos.yaml", **JOB_SETTINGS)
        sharing = stack.configure("sharing.yaml", **JOB_SETTINGS | SHARING)
        audit.install(stack.connection)
        made = Site(stack, server, redis)
        cleanup.callback(_end, stack)
        for number in range(workers + schedulers):
            worker = number < workers
            command = WORKER if worker else SCHEDULER
            name = f"worker {number}" if worker else f"scheduler {number - workers}"
            postgres = cleanup.enter_context(postgres_proxy(server.dsn))
            network = cleanup.enter_context(redis_proxy(redis.url))
            # Short: the path of a socket has little room.
            temporary = Path(
                cleanup.enter_context(
                    tempfile.TemporaryDirectory(
                        prefix="bt-", dir="/tmp", ignore_cleanup_errors=True
                    )
                )
            )
            config = sharing if worker and number % 2 else stack.config
            program = start(stack, command, postgres, network, temporary, config)
            slot = Slot(stack, name, command, postgres, network, temporary, config, program)
            (made.workers if worker else made.schedulers).append(slot)
        yield made


def _end(stack: Stack) -> None:
    for process in stack.processes():
        with suppress(psutil.NoSuchProcess):
            process.kill()
    for program in stack.programs:
        program.process.wait()
