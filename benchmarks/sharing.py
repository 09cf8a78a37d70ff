"""`python -m benchmarks.sharing`: one job on several workers, and what others notice of it.

Real Postgres and Redis, a real scheduler and real workers of one thread each, on a year of
15-minute bars. The job is the reference sweep with so many times as many thresholds (`--times`).

speedup: the job with one worker, with one that shares with nobody, and with two, in turns.
latency: how long tiny jobs wait for a worker while two share the job, and while they are idle.
rescue: the owner is killed in the middle of stage A; which shards are computed again.
size: the job at several sizes on two workers: seconds, rows, peak memory of each process, and what
Postgres has of it: transactions and log written per second, connections.
"""

import argparse
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import UUID

import psutil

from benchmarks.grids import explicit, rsi, sma, steps
from benchmarks.queue_stack import SCHEDULER, WORKER, Program, Stack, stack, until

ALONE = 1e9  # seconds of a shard: no stage takes so long
YEAR_DAYS = 366 + 30
SECONDS = 3600


def main() -> int:
    """Run the phases that are asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sharing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=PHASES, default=list(PHASES))
    parser.add_argument("--times", type=int, default=20, help="the reference sweep, so many times")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=60, help="tiny jobs")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 166], help="of `size`")
    options = parser.parse_args()
    begin = time.monotonic()
    with stack(YEAR_DAYS) as services:
        for name in options.only:
            print(f"[{time.monotonic() - begin:4.0f} s] {name}", flush=True)
            PHASES[name](services, options)
    print(f"[{time.monotonic() - begin:4.0f} s] done")
    return 0


def reference(times: int) -> dict[str, Any]:
    """Return the request of the reference sweep, 601 328 base variants, `times` over."""
    shorts = explicit(round(30 + 15 * place / (2 * times), 6) for place in range(2 * times))
    return {
        "time_range": {"start": "2024-01-01", "end": "2025-01-01"},
        "template": {
            "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
            "timeframe": "15m",
            "indicator_grids": [
                sma(steps(5, 200)),
                rsi(steps(3, 120), steps(55, 79, 2), shorts),
            ],
            "risk_grid": {"sl": steps(1, 5), "tp": explicit((1, 2, 3, 4, 6, 8)), "tsl": None},
        },
        "preselect": 20_000,
        "top_k": 300,
        "top_trades_n": 3,
        "ranking": {"primary_metric": "total_return_pct", "min_trades": 100},
    }


def speedup(services: Stack, options: argparse.Namespace) -> None:
    """Seconds of the job from claim to success, in turns."""
    ways: dict[str, tuple[int, dict[str, Any]]] = {
        "alone": (1, {"shard_seconds": ALONE}),
        "one worker": (1, {}),
        "two workers": (2, {}),
    }
    found: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(options.rounds):
        for way, (workers, changes) in ways.items():
            services.clear()
            with _running(services, workers, **changes):
                services.submit(request=reference(options.times))
                services.wait_until_ended(SECONDS)
            found[way].append(1 / services.rate())
        seconds = {way: times[-1] for way, times in found.items()}
        ratio = seconds["one worker"] / seconds["two workers"]
        cells = ", ".join(f"{way} {second:.1f} s" for way, second in seconds.items())
        print(f"  {turn + 1}: {cells}; two workers {ratio:.2f} x one", flush=True)
    middle = {way: median(times) for way, times in found.items()}
    pairs = zip(found["one worker"], found["two workers"], strict=True)
    print(f"  medians: {', '.join(f'{way} {second:.1f} s' for way, second in middle.items())}")
    print(f"  two workers against one, median of pairs: {median(a / b for a, b in pairs):.2f} x")


def latency(services: Stack, options: argparse.Namespace) -> None:
    """Seconds from submission to claim of tiny jobs, with a large job beside them and without."""
    for beside in (False, True):
        services.clear()
        with _running(services, 2):
            if beside:
                (large,) = services.submit(request=reference(10 * options.times))
                _until_done(services, large, shards=2)
            waits = []
            for _ in range(options.samples):
                (job,) = services.submit()
                until(lambda job=job: _claimed(services, job), "the claim", 300)  # type: ignore[misc]
                waits.append(_wait(services, job))
                time.sleep(0.3)
        cuts = quantiles(waits, n=20)
        name = "a large job beside" if beside else "nothing beside"
        print(
            f"  {name}: median {median(waits):.3f} s, p95 {cuts[18]:.3f} s, most {max(waits):.3f} s"
        )


def rescue(services: Stack, options: argparse.Namespace) -> None:
    """Kill the owner of a job in the middle of stage A, and count what is computed again."""
    services.clear()
    with _running(services, 2, lease_seconds=6.0, heartbeat_seconds=2.0) as workers:
        (job,) = services.submit(request=reference(options.times))
        _until_done(services, job, shards=4)
        done, planned = _shards(services, job, "done"), _shards(services, job)
        owner = services.conn.execute("SELECT locked_by FROM backtest_jobs").fetchone()
        assert owner is not None
        pid = int(str(owner[0]).rsplit("-", 2)[1])
        os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        again: set[int] = set()

        def all_done() -> bool:
            rows = services.conn.execute(
                "SELECT shard FROM backtest_job_shards WHERE stage = 'stage_a' AND attempt > 1"
            )
            again.update(shard for (shard,) in rows)
            return _shards(services, job, "done") == planned or not _shards(services, job)

        until(all_done, "the end of stage A", SECONDS)
        services.wait_until_ended(SECONDS)
        left = sum(worker.process.poll() is None for worker in workers)
    print(
        f"  killed with {done} of {planned} shards done; computed again: {len(again)}; {left} left"
    )


def size(services: Stack, options: argparse.Namespace) -> None:
    """Seconds, peak memory and rows of the job at several sizes on two workers."""
    for times in options.sizes:
        services.clear()
        with _running(services, 2) as workers, _peaks(workers) as peaks:
            begin = time.monotonic()
            written = _written(services)
            (job,) = services.submit(request=reference(times))
            most = connections = 0

            def ended(job: UUID = job) -> bool:
                nonlocal most, connections
                most = max(most, _shards(services, job))
                connections = max(connections, _connections(services))
                time.sleep(0.2)
                active = "SELECT FROM backtest_jobs WHERE state IN ('queued', 'running')"
                return services.conn.execute(active).fetchone() is None

            until(ended, "the end of the job", SECONDS)
            seconds = time.monotonic() - begin
            commits, log = (b - a for a, b in zip(written, _written(services), strict=True))
        listed = ", ".join(f"{mebibytes:.0f}" for mebibytes in sorted(peaks.values(), reverse=True))
        rows = services.conn.execute(
            "SELECT count(*), max(processed_units) FROM backtest_jobs AS job"
            " JOIN backtest_job_top_variants USING (job_id)"
        ).fetchone()
        assert rows is not None
        variants = 300_664 * 2 * times
        print(
            f"  {variants:,} variants: {seconds:.0f} s, {most} shards, {rows[0]} rows; "
            f"peaks of all processes, MiB: {listed}\n"
            f"    Postgres: {commits / seconds:.0f} transactions a second, "
            f"{log / 2**20 / seconds:.2f} MiB of log a second, {connections} connections",
            flush=True,
        )


def _written(services: Stack) -> tuple[int, int]:
    """Return how many transactions there were, and how many bytes of log."""
    row = services.conn.execute(
        "SELECT xact_commit, pg_current_wal_lsn() - '0/0'::pg_lsn"
        " FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _connections(services: Stack) -> int:
    """Return how many connections others have to the database."""
    row = services.conn.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def _running(services: Stack, workers: int, **changes: Any) -> Iterator[list[Program]]:
    commands = (SCHEDULER, *[WORKER] * workers)
    settings = {"parallel_workers": 1, "max_active_jobs_per_user": 10} | changes
    with services.running(*commands, **settings) as programs:
        yield programs[1:]


@contextmanager
def _peaks(workers: list[Program]) -> Iterator[dict[int, float]]:
    """Watch how much memory, shared pages included, each process of the workers has at most."""
    peaks: dict[int, float] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            for worker in workers:
                with suppress(psutil.Error):
                    leader = psutil.Process(worker.process.pid)
                    for process in (leader, *leader.children(recursive=True)):
                        with suppress(psutil.Error, OSError, LookupError):
                            peaks[process.pid] = _peak(process.pid)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        over.set()
        watcher.join()


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _until_done(services: Stack, job: UUID, *, shards: int) -> None:
    until(lambda: _shards(services, job, "done") >= shards, f"{shards} shards done", 300)


def _shards(services: Stack, job: UUID, state: str | None = None) -> int:
    row = services.conn.execute(
        "SELECT count(*) FROM backtest_job_shards"
        " WHERE job_id = %(job)s AND state = coalesce(%(state)s, state)",
        {"job": job, "state": state},
    ).fetchone()
    assert row is not None
    return int(row[0])


def _claimed(services: Stack, job: UUID) -> bool:
    found = "SELECT FROM backtest_job_events WHERE job_id = %s AND event = 'claimed'"
    return services.conn.execute(found, (job,)).fetchone() is not None


def _wait(services: Stack, job: UUID) -> float:
    row = services.conn.execute(
        "SELECT extract(epoch FROM max(at) FILTER (WHERE event = 'claimed')"
        "   - min(at) FILTER (WHERE event = 'queued'))::float8"
        " FROM backtest_job_events WHERE job_id = %s",
        (job,),
    ).fetchone()
    assert row is not None
    return float(row[0])


PHASES: dict[str, Callable[[Stack, argparse.Namespace], None]] = {
    "speedup": speedup,
    "latency": latency,
    "rescue": rescue,
    "size": size,
}

if __name__ == "__main__":
    raise SystemExit(main())
