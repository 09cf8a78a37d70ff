"""`python -m benchmarks.queue`: how fast jobs start and how many a worker takes, beside a peer.

Real Postgres and Redis, a real scheduler and real workers. No-op jobs make all statements of a
job's life without a child (`benchmarks.noop_worker`). Everything shares the machine.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

import psycopg

from benchmarks import queue_statements
from benchmarks.noop_worker import COVERAGE, JOB_SECONDS
from benchmarks.queue_stack import NOOP_WORKER, SCHEDULER, WORKER, Program, Stack, stack

SIZES = (1_000, 1_000_000)
LEASE_SECONDS = 3.0


def main() -> int:
    """Run the phases that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=PHASES, default=list(PHASES), help="phases to run"
    )
    parser.add_argument("--jobs", type=int, default=1_000, help="no-op jobs of a drain")
    parser.add_argument("--tiny", type=int, default=100, help="tiny jobs of a drain")
    parser.add_argument("--samples", type=int, default=100, help="submissions to an idle system")
    parser.add_argument("--rounds", type=int, default=3, help="drains and rescues, in turns")
    parser.add_argument("--finished", type=int, nargs="+", default=SIZES, help="jobs in the table")
    options = parser.parse_args()
    begin = time.monotonic()
    with stack() as services:
        for name in options.only:
            print(f"[{time.monotonic() - begin:4.0f} s] {name}", flush=True)
            services.clear()
            PHASES[name](services, options)
    print(f"[{time.monotonic() - begin:4.0f} s] done")
    return 0


def drain(services: Stack, options: argparse.Namespace) -> None:
    """No-op jobs per second with one worker, and the peer's, in turns; what they write."""
    ours, peers, spent = [], [], []
    for _ in range(options.rounds):
        services.clear()
        services.submit(options.jobs, coverage=COVERAGE)
        before = _written(services.conn)
        with services.running(NOOP_WORKER, SCHEDULER) as programs:
            begin = _processor(services, programs)
            services.wait_until_ended()
            end = _processor(services, programs)
        after = _written(services.conn)  # programs that ended have told their counts
        ours.append(services.rate())
        spent.append([1e3 * (b - a) / options.jobs for a, b in zip(begin, end, strict=True)])
        peers.append(_peer(services.dsn, options.jobs))
    print(f"no-op jobs: {_all(ours)} per second, procrastinate {_all(peers)}")
    print(f"  ratio of the medians: {median(ours) / median(peers):.2f}")
    worker, scheduler, postgres = map(median, zip(*spent, strict=True))
    print(
        f"  ms of the processor a job: worker {worker:.2f}, scheduler {scheduler:.2f},"
        f" Postgres {postgres:.2f}"
    )
    wal, updates, hot = (b - a for a, b in zip(before, after, strict=True))
    print(
        f"  a job: {wal / options.jobs:,.0f} bytes of WAL, {updates / options.jobs:.1f} updates"
        f" of its row, {100 * hot / max(1, updates):.0f} % of them HOT",
        flush=True,
    )


def tiny(services: Stack, options: argparse.Namespace) -> None:
    """Tiny jobs per second with one worker: 18 variants on a month of minutes, with a child."""
    services.submit()
    with services.running(WORKER, SCHEDULER) as programs:
        services.wait_until_ended()
        row = services.conn.execute("SELECT state, coverage_json FROM backtest_jobs").fetchone()
        if row is None or row[0] != "succeeded":
            raise SystemExit(f"the first tiny job: {row}")
        services.clear()
        begin = _processor(services, programs)
        services.submit(options.tiny, coverage=row[1])
        services.wait_until_ended()
        worker, _, postgres = (
            1e3 * (b - a) / options.tiny
            for a, b in zip(begin, _processor(services, programs), strict=True)
        )
    print(
        f"tiny jobs: {services.rate():.1f} per second with one worker; ms of the processor a job:"
        f" worker and child {worker:.1f}, Postgres {postgres:.1f}",
        flush=True,
    )


def start(services: Stack, options: argparse.Namespace) -> None:
    """Submit → running on an idle system, by the database's clock."""
    with services.running(SCHEDULER, NOOP_WORKER):
        for _ in range(options.samples):
            services.submit(coverage=COVERAGE)
            services.wait_until_ended()
            time.sleep(random.uniform(0.05, 0.25))  # noqa: S311
    rows = services.conn.execute(
        "SELECT extract(epoch FROM started_at - created_at)::float8 FROM backtest_jobs"
    ).fetchall()
    cuts = quantiles([1e3 * row[0] for row in rows], n=100)
    print(f"submit -> running, idle: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms", flush=True)


def held(services: Stack, options: argparse.Namespace) -> None:  # noqa: ARG001
    """Print what a job writes per second while it computes, with the settings as shipped."""
    written = []
    for seconds in (0, 20):
        services.clear()
        services.submit(coverage=COVERAGE)
        services.conn.execute("CHECKPOINT")
        before = _written(services.conn)
        with services.running(SCHEDULER, NOOP_WORKER, environ={JOB_SECONDS: str(seconds)}):
            services.wait_until_ended()
        after = _written(services.conn)
        written.append([b - a for a, b in zip(before, after, strict=True)])
    wal, updates, hot = ((b - a) / seconds for a, b in zip(*written, strict=True))
    print(
        f"a job-second: {wal:,.0f} bytes of WAL, {updates:.2f} updates of its row,"
        f" {100 * hot / updates:.0f} % of them HOT",
        flush=True,
    )


def rescue(services: Stack, options: argparse.Namespace) -> None:
    """From SIGKILL of a worker and all its processes to the next claim of its job."""
    changes = {"lease_seconds": LEASE_SECONDS, "heartbeat_seconds": LEASE_SECONDS / 3}
    seconds = []
    for _ in range(options.rounds):
        services.clear()
        with services.running(
            SCHEDULER, NOOP_WORKER, NOOP_WORKER, environ={JOB_SECONDS: "2"}, **changes
        ) as (_, *workers):
            services.submit(coverage=COVERAGE)
            pid = _owner(services)
            victim = next(w for w in workers if os.getsid(pid) == w.process.pid)
            killed_at = services.conn.execute("SELECT clock_timestamp()").fetchone()
            victim.kill()
            services.wait_until_ended()
        rescued = services.conn.execute(
            "SELECT extract(epoch FROM at - %s)::float8 FROM backtest_job_events"
            " WHERE event = 'reclaimed'",
            killed_at,
        ).fetchone()
        assert rescued is not None
        seconds.append(rescued[0])
    print(f"rescue after SIGKILL, lease {LEASE_SECONDS:g} s: {_all(seconds)} s", flush=True)


def _owner(services: Stack) -> int:
    """Wait until the job is owned; returns the process id of the owner."""
    owner = "SELECT locked_by FROM backtest_jobs WHERE state = 'running'"
    while (row := services.conn.execute(owner).fetchone()) is None:
        time.sleep(0.01)
    return int(row[0].rsplit("-", 2)[1])


def mark(services: Stack, options: argparse.Namespace) -> None:
    """Mark a queue of 10 000 jobs."""
    for _ in range(options.rounds):
        services.clear()
        (job_id,) = services.submit()
        queue_statements.copies(services.conn, job_id, 9_999)
        marked, seconds = queue_statements.marking(services.dsn)
        print(f"marked {marked:,} queued jobs in {seconds:.2f} s", flush=True)


def statements(services: Stack, options: argparse.Namespace) -> None:
    """Statements of the queue by the number of finished jobs."""
    (job_id,) = services.submit()
    sizes = tuple(options.finished)
    found = queue_statements.by_finished(services.dsn, services.conn, job_id, sizes, repeats=50)
    print("ms at finished jobs" + "".join(f"{size:>12,}" for size in sizes))
    for name, times in found.items():
        print(f"  {name:<17}" + "".join(f"{ms:>12.2f}" for ms in times), flush=True)


def _peer(dsn: str, count: int) -> float:
    try:
        from benchmarks import queue_peer
    except ImportError as error:
        print(f"  skipped: {error}")
        return float("nan")
    return queue_peer.drain(dsn, count)


def _processor(services: Stack, programs: list[Program]) -> list[float]:
    """Return the seconds of the processor that each program, and then Postgres, has used."""
    return [*(program.cpu_seconds() for program in programs), services.postgres_seconds()]


def _written(conn: psycopg.Connection[Any]) -> tuple[float, float, float]:
    """Return bytes of WAL, updates of jobs and how many of them were HOT, since ever."""
    row = conn.execute(
        "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, n_tup_upd, n_tup_hot_upd"
        " FROM pg_stat_user_tables WHERE relname = 'backtest_jobs'"
    ).fetchone()
    assert row is not None
    return float(row[0]), float(row[1]), float(row[2])


def _all(values: list[float]) -> str:
    return f"{median(values):.1f} ({', '.join(f'{value:.1f}' for value in values)})"


PHASES: dict[str, Callable[[Stack, argparse.Namespace], None]] = {
    phase.__name__: phase for phase in (drain, tiny, start, held, rescue, mark, statements)
}

if __name__ == "__main__":
    sys.exit(main())
