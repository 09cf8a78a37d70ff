"""A whole stack on servers of its own, all of it watched by Prometheus, and ways to hurt it."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import migrations
from cli import embedded
from configs.environment import CandlesFolder
from engine import synthetic
from storage.candles import Bars, open_store
from storage.records import Stage
from tests.api.running import Api
from tests.api.running import running as running_api
from tests.faults.conftest import MINUTES, START_MS, small_sweep
from tests.faults.harness import Program, Stack, free_port, gone, owner_pid, running
from tests.own_postgres import OwnPostgres, own_postgres
from tests.watching.prometheus import Prometheus, running_prometheus


@dataclass
class Watched:
    """One worker, one scheduler and one API, each at a port that stays the same."""

    stack: Stack
    postgres: OwnPostgres
    redis: embedded.Redis
    api: Api
    prometheus: Prometheus
    worker_port: int = field(default_factory=free_port)
    other_port: int = field(default_factory=free_port)
    scheduler_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.prometheus.watch(
            worker=[self.worker_port], scheduler=[self.scheduler_port], api=[self.api.port]
        )
        self.scheduler = self.start_scheduler()
        self.worker = self.start_worker()
        self.prometheus.becomes('sum(up{job=~"backtest-.*"})', 3, 60)

    def start_worker(self, *, ready: bool = True) -> Program:
        self.worker = self.stack.worker(ROEHUB_METRICS_PORT=str(self.worker_port))
        if ready:
            self.worker.logged("event=ready")
        return self.worker

    def start_scheduler(self) -> Program:
        port = str(self.scheduler_port)
        self.scheduler = self.stack.start("scheduler", ROEHUB_METRICS_PORT=port)
        self.scheduler.logged("event=started")
        return self.scheduler

    def kill_owner(self, job_id: UUID, stage: Stage = Stage.STAGE_A) -> None:
        """SIGKILL the process that owns a job, in this stage; its master ends, too."""
        owner, everything = self.stack.reaches(job_id, stage), self.worker.processes()
        os.kill(owner_pid(owner), signal.SIGKILL)
        gone(everything)


def without_candles() -> dict[str, object]:
    """A request that the API would refuse: it fails with no_market_data."""
    request = small_sweep()
    request["template"]["instrument_id"]["symbol"] = "NONE"
    return request


@contextmanager
def watched_stack(folder: Path) -> Iterator[Watched]:
    """Start everything in `folder`."""
    candles = folder / "candles"
    candles.mkdir()
    with open_store(CandlesFolder(candles)) as store:
        minutes = synthetic.minutes(seed=7, start_ms=START_MS, count=MINUTES)
        store.append(1, "BTCUSDT", [Bars.of(minutes)])
    (folder / "prometheus").mkdir()
    redis = embedded.Redis(folder / "redis")
    with ExitStack() as ending:
        postgres = ending.enter_context(own_postgres())
        migrations.upgrade(postgres.dsn)
        ending.callback(redis.stop)
        redis.start()
        prometheus = ending.enter_context(running_prometheus(folder / "prometheus"))
        api = ending.enter_context(running_api(postgres.dsn, candles, folder / "api"))
        stack = Stack(postgres.dsn, redis.url, candles, folder, typed=True)
        ending.enter_context(running(stack))
        yield Watched(stack, postgres, redis, api, prometheus)
