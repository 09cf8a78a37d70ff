"""What is done to a stack so that each alert fires, and when it did."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Self

from storage.records import Stage
from tests.faults.conftest import small_sweep, sweep_through
from tests.faults.harness import wait_for
from tests.watching.prometheus import Prometheus
from tests.watching.watched import Watched, without_candles

STARTED = 'process_start_time_seconds{job="backtest-worker"}'


class Alarms:
    """Looks twice a second at what fires, and remembers which deed was the reason."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._seen: list[tuple[float, set[str]]] = []
        self._deeds: list[tuple[str, str, float, float]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_for(lambda: self._seen, "a first look", 60)
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.5):
            self._seen.append((time.monotonic(), self._prometheus.firing()))

    def firing(self) -> set[str]:
        """What fired when it was last looked at."""
        return self._seen[-1][1]

    def fires(self, deed: str, begun: float, *names: str) -> None:
        """Wait until each of these has fired because of `deed`, which was done at `begun`."""
        for name in names:
            fired = wait_for(partial(self._first, name, begun), f"{name}: {deed}", 120)
            self._deeds.append((name, deed, begun, fired))

    def over(self, *names: str) -> None:
        """Wait until these, or all, do not fire."""
        wait_for(lambda: not self.firing() & (set(names) or self.firing()), f"end of {names}", 120)

    def _first(self, name: str, after: float, fires: bool = True) -> float | None:
        """When it was first seen that an alert fires, or does not; None where it never was."""
        seen = (at for at, names in self._seen if at > after and (name in names) is fires)
        return next(seen, None)

    def names(self) -> set[str]:
        """The alerts that deeds made fire."""
        return {name for name, *_ in self._deeds}

    def table(self) -> str:
        """One line for each alert and deed: seconds from the deed to fire, and to be over."""
        lines = ["| alert | what was done | fired after | cleared after |", "|---|---|---|---|"]
        for name, deed, begun, fired in sorted(self._deeds):
            cleared = self._first(name, fired, fires=False)
            assert cleared is not None, f"{name} still fires"
            lines.append(f"| {name} | {deed} | {fired - begun:.0f} s | {cleared - begun:.0f} s |")
        return "\n".join(lines)


def jobs_fail(watched: Watched, alarms: Alarms) -> None:
    begun = time.monotonic()
    for _ in range(6):
        watched.stack.submit(without_candles())
    alarms.fires("six jobs without candles", begun, "BacktestFailureRatioHigh")


def everybody_is_gone(watched: Watched, alarms: Alarms) -> None:
    """The owner of a job dies while it writes the reports; the API is stopped; a job waits."""
    stack = watched.stack
    killed = stack.submit(sweep_through(Stage.FINALIZING))
    watched.kill_owner(killed, Stage.FINALIZING)
    begun = time.monotonic()
    watched.api.stop()
    waiting = stack.submit(small_sweep())
    stack.connection.execute(
        "UPDATE backtest_job_events SET at = at - interval '2 minutes' WHERE job_id = %s", (killed,)
    )
    deed = "the only worker killed with SIGKILL while finalizing"
    alarms.fires(deed, begun, "BacktestNoWorker", "BacktestExpiredLeasesNotReclaimed")
    alarms.fires(f"{deed}, two minutes ago", begun, "BacktestFinalizingTooLong")
    alarms.fires("a job submitted without a worker", begun, "BacktestOldestQueuedTooOld")
    alarms.fires("the API stopped", begun, "BacktestApiAway")
    watched.api.start()
    _another_redis(watched, alarms)
    watched.start_worker()
    stack.ends(killed)
    stack.ends(waiting)


def _another_redis(watched: Watched, alarms: Alarms) -> None:
    """Only a worker is there that listens to another Redis than the scheduler writes to."""
    begun = time.monotonic()
    worker = watched.stack.worker(
        ROEHUB_METRICS_PORT=str(watched.other_port), REDIS_URL=f"{watched.redis.url}?db=1"
    )
    watched.prometheus.watch(worker=[watched.worker_port, watched.other_port])
    alarms.fires("a worker on another Redis, jobs queued", begun, "BacktestQueueNotDraining")
    worker.kill()
    watched.prometheus.watch(worker=[watched.worker_port])


def a_job_kills_its_workers(watched: Watched, alarms: Alarms) -> None:
    begun = time.monotonic()
    job_id = watched.stack.submit(sweep_through(Stage.STAGE_A))
    for attempt in (1, 2):  # max_crashes is 1
        watched.stack.claimed(job_id, attempt)
        watched.kill_owner(job_id)
        watched.start_worker()
    alarms.fires("the owner of a job killed twice", begun, "BacktestJobCrashesWorkers")


def a_worker_starts_again_and_again(watched: Watched, alarms: Alarms) -> None:
    begun = time.monotonic()
    for _ in range(3):
        before = watched.prometheus.value(STARTED)
        watched.worker.kill()
        watched.start_worker(ready=False)
        wait_for(
            lambda before=before: watched.prometheus.value(STARTED) not in (None, before),
            "the new worker's start",
            60,
            every=0.2,
        )
    alarms.fires("a worker killed three times within a minute", begun, "BacktestCrashLoop")
    watched.worker.logged("event=ready")


def redis_is_stopped(watched: Watched, alarms: Alarms) -> None:
    begun = time.monotonic()
    watched.redis.stop()
    alarms.fires("Redis stopped", begun, "BacktestRedisAway")
    watched.redis.start()


def postgres_is_stopped(watched: Watched, alarms: Alarms) -> None:
    """The scheduler answers Prometheus all the time, and is silent all the same."""
    alarms.over("BacktestSchedulerSilent")
    begun = time.monotonic()
    watched.postgres.stop()
    alarms.fires("Postgres stopped", begun, "BacktestPostgresAway", "BacktestSchedulerSilent")
    assert watched.prometheus.value('up{job="backtest-scheduler"}') == 1
    watched.postgres.start()
    watched.stack.reconnect()


def the_scheduler_is_killed(watched: Watched, alarms: Alarms) -> None:
    alarms.over("BacktestSchedulerSilent")
    begun = time.monotonic()
    watched.scheduler.kill()
    alarms.fires("the scheduler killed", begun, "BacktestSchedulerSilent")
    watched.start_scheduler()


DEEDS: tuple[Callable[[Watched, Alarms], None], ...] = (
    a_worker_starts_again_and_again,
    jobs_fail,
    everybody_is_gone,
    a_job_kills_its_workers,
    redis_is_stopped,
    postgres_is_stopped,
    the_scheduler_is_killed,
)
