"""What is done to schedulers, and what they go on doing."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from storage import schema
from tasks import wake_up
from tests.network import PostgresProxy, RedisProxy, postgres_proxy, redis_proxy
from tests.scheduler.messages import waiting_jobs
from tests.scheduler.processes import (
    PROGRAM,
    Running,
    configuration,
    environment,
    replace_database,
    running,
)
from tests.storage.making import submitted

SHIFTED_CLOCK = "tests.scheduler.shifted_clock"
HOUR = 3600
LEASE_SECONDS = 3.0
REDISPATCH_SECONDS = 1.0
END_SECONDS = 30.0
SWEEPS = 'backtest_scheduler_tick_duration_seconds_count{duty="sweep"}'


@dataclass
class Ground:
    """A database and a queue behind networks that can be broken, and schedulers on them."""

    folder: Path
    connection: psycopg.Connection[Any]
    queue: RedisBroker
    postgres: PostgresProxy
    redis: RedisProxy
    cleanup: ExitStack

    def scheduler(
        self,
        name: str = "scheduler",
        *arguments: str,
        program: tuple[str, ...] = PROGRAM,
        lease_seconds: float = LEASE_SECONDS,
    ) -> Running:
        config = configuration(
            self.folder / "backtest.yaml",
            lease_seconds=lease_seconds,
            heartbeat_seconds=lease_seconds / 3,
            redispatch_seconds=REDISPATCH_SECONDS,
            claim_poll_seconds=0.1,
            gauges_seconds=0.1,
        )
        environ = environment(self.postgres.dsn, self.redis.url, ROEHUB_BACKTEST_CONFIG=str(config))
        log = self.folder / f"{name}.log"
        return self.cleanup.enter_context(running(environ, log, *arguments, program=program))

    def submit(self, **changes: Any) -> UUID:
        return submitted(self.connection, **changes).job_id

    def wakes_up(self, scheduler: Running) -> None:
        """See that a job that is submitted now is sent."""
        job_id = self.submit()
        scheduler.until(lambda: job_id in waiting_jobs(self.queue), "wake-up")

    def backends(self) -> set[int]:
        """The processes of Postgres that serve the duties."""
        rows = self.connection.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'backtest-scheduler'"
        )
        return {pid for (pid,) in rows}


@pytest.fixture
def ground(
    tmp_path: Path, database: str, connection: psycopg.Connection[Any], redis_url: str
) -> Iterator[Ground]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    queue = wake_up.make_broker(redis_url, schema.namespace(connection))
    with (
        postgres_proxy(database) as postgres,
        redis_proxy(redis_url) as broken_redis,
        ExitStack() as cleanup,
    ):
        yield Ground(tmp_path, connection, queue, postgres, broken_redis, cleanup)
    queue.close()


def ends_in_time(scheduler: Running) -> None:
    scheduler.process.send_signal(signal.SIGTERM)
    try:
        assert scheduler.process.wait(END_SECONDS) == 0
    except TimeoutError:
        raise AssertionError(scheduler.text()) from None


# ------------------------------------------------------------------------------ wake-ups


def test_an_urgent_job_is_sent_at_once_after_others_have_waited_for_long(ground: Ground) -> None:
    scheduler = ground.scheduler()
    others = [ground.submit() for _ in range(12)]
    scheduler.until(lambda: waiting_jobs(ground.queue) == others, "12 wake-ups")

    def waited_for_long() -> bool:
        row = ground.connection.execute(
            "SELECT min(extract(epoch FROM next_dispatch_at - created_at)) FROM backtest_jobs"
        ).fetchone()
        return row is not None and row[0] > 5 * REDISPATCH_SECONDS

    scheduler.until(waited_for_long, "several turns of the redispatch time")
    urgent = ground.submit(priority=100)
    scheduler.until(lambda: urgent in waiting_jobs(ground.queue), "urgent wake-up")
    assert waiting_jobs(ground.queue) == [*others, urgent]


def test_wake_ups_that_redis_lost_are_sent_again(ground: Ground) -> None:
    scheduler = ground.scheduler()
    jobs = [ground.submit() for _ in range(5)]
    for _ in range(3):
        scheduler.until(lambda: set(waiting_jobs(ground.queue)) == set(jobs), "wake-ups")
        assert len(waiting_jobs(ground.queue)) == len(jobs)
        ground.queue.client.flushall()
    scheduler.until(lambda: set(waiting_jobs(ground.queue)) == set(jobs), "wake-ups")


# ------------------------------------------------------------------------------ outages


def test_each_outage_is_told_under_its_own_name_and_once(ground: Ground) -> None:
    scheduler = ground.scheduler()
    ground.wakes_up(scheduler)

    ground.redis.refuse()
    scheduler.wait_for("event=redis_unavailable")
    assert math.isnan(scheduler.metric('backtest_scheduler_foreign_messages{kind="delayed"}'))
    ground.postgres.refuse()
    assert "Redis" not in scheduler.wait_for("event=postgres_unavailable")
    ground.redis.heal()
    scheduler.wait_for("event=redis_back")
    ground.postgres.heal()
    scheduler.wait_for("event=postgres_back")

    ground.wakes_up(scheduler)
    assert all("Redis: " in line for line in scheduler.lines("redis_unavailable"))
    for event in ("redis_unavailable", "postgres_unavailable", "redis_back", "postgres_back"):
        assert len(scheduler.lines(event)) == 1, scheduler.text()
    for kind in ("redis", "postgres"):
        series = f'backtest_scheduler_dispatch_errors_total{{kind="{kind}"}}'
        assert scheduler.metric(series) > 0
    assert scheduler.metric('backtest_scheduler_dispatch_errors_total{kind="unexpected"}') == 0


def test_a_silent_redis_for_longer_than_the_lease_costs_postgres_nothing(ground: Ground) -> None:
    scheduler = ground.scheduler()
    ground.wakes_up(scheduler)
    scheduler.until(lambda: len(ground.backends()) == 3, "a connection of each duty but retention")
    before = ground.backends()

    ground.redis.blackhole()
    silent_since = time.monotonic()
    scheduler.wait_for("event=redis_unavailable")
    # The sweep goes on meanwhile.
    job_id = ground.submit()
    ground.connection.execute(
        "UPDATE backtest_jobs SET state = 'running', locked_by = 'gone', locked_at = now(),"
        " heartbeat_at = now(), started_at = now(), attempt = 1, stage = 'stage_a',"
        " lease_expires_at = now() - interval '1 s', cancel_requested_at = now(),"
        " next_dispatch_at = NULL WHERE job_id = %s",
        (job_id,),
    )
    scheduler.wait_for("event=swept")
    scheduler.until(
        lambda: time.monotonic() - silent_since > 2 * LEASE_SECONDS, "silence longer than the lease"
    )
    ground.redis.heal()
    scheduler.wait_for("event=redis_back")

    ground.wakes_up(scheduler)
    assert ground.backends() == before
    assert scheduler.lines("postgres_unavailable") == []


def test_stuck_connections_are_given_up_by_their_deadline_and_told(ground: Ground) -> None:
    schedulers = [ground.scheduler(name) for name in ("first", "second")]
    for scheduler in schedulers:
        scheduler.wait_for("event=started")
    ground.wakes_up(schedulers[0])

    ground.postgres.swallow_first()
    for scheduler in schedulers:
        scheduler.wait_for("event=postgres_unavailable")
        before = scheduler.metric(SWEEPS)
        scheduler.until(lambda s=scheduler, b=before: s.metric(SWEEPS) >= b + 2, "end of a wait")
    ground.postgres.heal()
    for scheduler in schedulers:
        scheduler.wait_for("event=postgres_back")
        assert "ignored in rollback" not in scheduler.text()
    ground.wakes_up(schedulers[0])
    for scheduler in schedulers:
        ends_in_time(scheduler)


# ------------------------------------------------------------------------------ the clock


@pytest.mark.parametrize("shift", [-HOUR, HOUR])
def test_nothing_stops_when_the_time_of_day_is_set(ground: Ground, shift: int) -> None:
    file = ground.folder / "shift"
    file.write_text("0")
    scheduler = ground.scheduler(program=(SHIFTED_CLOCK, str(file)))
    ground.wakes_up(scheduler)

    file.write_text(str(shift))
    scheduler.wait_for("event=clock_jumped")
    ground.wakes_up(scheduler)
    for duty in ("dispatch", "sweep", "gauges"):
        series = f'backtest_scheduler_tick_duration_seconds_count{{duty="{duty}"}}'
        before = scheduler.metric(series)
        scheduler.until(lambda s=series, b=before: scheduler.metric(s) > b + 3, f"runs of {duty}")


# ------------------------------------------------------------------------------ the end


def postgres_silent(ground: Ground) -> None:
    ground.postgres.blackhole()


def postgres_stuck(ground: Ground) -> None:
    ground.postgres.swallow_first()


def postgres_refuses(ground: Ground) -> None:
    ground.postgres.refuse()


def redis_silent(ground: Ground) -> None:
    ground.redis.blackhole()


def redis_refuses(ground: Ground) -> None:
    ground.redis.refuse()


def both_silent(ground: Ground) -> None:
    ground.redis.blackhole()
    ground.postgres.blackhole()


def hangs(scheduler: Running) -> bool:
    """Whether no dispatch ends in the time of several."""
    series = 'backtest_scheduler_tick_duration_seconds_count{duty="dispatch"}'
    before = scheduler.metric(series)
    time.sleep(0.5)
    return scheduler.metric(series) == before


Break = Callable[[Ground], None]
STATES = [
    postgres_silent,
    postgres_stuck,
    postgres_refuses,
    redis_silent,
    redis_refuses,
    both_silent,
]


@pytest.mark.parametrize("break_it", STATES)
def test_sigterm_ends_it_in_every_state(ground: Ground, break_it: Break) -> None:
    scheduler = ground.scheduler(lease_seconds=60)  # no deadline ends a wait before
    ground.wakes_up(scheduler)
    break_it(ground)
    scheduler.until(lambda: hangs(scheduler) or "_unavailable" in scheduler.text(), "effect")
    ends_in_time(scheduler)
    assert "event=stopped" in scheduler.text(), "it ended by its last resort"


@pytest.mark.parametrize("break_it", [postgres_silent, postgres_stuck, postgres_refuses])
def test_sigterm_ends_it_while_it_waits_at_boot(ground: Ground, break_it: Break) -> None:
    break_it(ground)
    scheduler = ground.scheduler()
    scheduler.wait_for("waiting for Postgres")
    ends_in_time(scheduler)


@pytest.mark.parametrize("silent", ["redis", "postgres"])
def test_sigterm_ends_a_single_round(ground: Ground, silent: str) -> None:
    ground.redis.blackhole()
    scheduler = ground.scheduler("scheduler", "--once")
    scheduler.until(ground.redis.links, "question to Redis, with which the round begins")
    if silent == "postgres":
        ground.postgres.blackhole()
        ground.redis.heal()
        scheduler.until(ground.postgres.links, "connection for the round")
    scheduler.process.send_signal(signal.SIGTERM)
    assert scheduler.process.wait(END_SECONDS) == 3  # its work was not done


def test_a_single_round_on_a_replaced_database_ends_with_code_1(ground: Ground) -> None:
    ground.redis.blackhole()
    scheduler = ground.scheduler("scheduler", "--once")
    scheduler.until(ground.redis.links, "question to Redis, with which the round begins")
    replace_database(ground.connection)
    ground.redis.heal()
    assert scheduler.process.wait(END_SECONDS) == 1
    assert len(scheduler.lines("database_replaced")) == 1


@pytest.mark.parametrize("break_it", [postgres_silent, postgres_stuck])
def test_a_database_that_falls_silent_at_boot_is_waited_for(
    ground: Ground, break_it: Break
) -> None:
    break_it(ground)
    scheduler = ground.scheduler()
    scheduler.wait_for("waiting for Postgres")
    ground.postgres.heal()
    ground.wakes_up(scheduler)
    assert "Traceback" not in scheduler.text()
