"""What statements of the queue take by the number of finished jobs, and marking a long queue."""

from collections.abc import Callable
from contextlib import suppress
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import psycopg

from benchmarks import many_jobs
from engine.metric_names import METRICS
from engine.request import VERSION
from storage import dispatch, jobs, leases, lists
from storage.records import Claimer, State
from storage.session import Session

WINDOW, BATCH, REDISPATCH_SECONDS = 32, 100, 30.0
QUEUED = 100

_COPIES = """
INSERT INTO backtest_jobs (
    user_id, mode, request_json, request_hash, engine_params_hash, backtest_runtime_config_hash
)
SELECT gen_random_uuid(), mode, request_json, request_hash, engine_params_hash,
       backtest_runtime_config_hash
FROM backtest_jobs CROSS JOIN generate_series(1, %s)
WHERE job_id = %s
"""


class _Undo(Exception):
    """Rolls a transaction back."""


def copies(conn: psycopg.Connection[Any], job_id: UUID, count: int) -> None:
    """Queue so many more jobs like this one."""
    conn.execute(_COPIES, (count, job_id))
    conn.execute("ANALYZE backtest_jobs")


def marking(dsn: str) -> tuple[int, float]:
    """Mark all queued jobs as the dispatcher does; returns how many, and the seconds it took."""
    session = _session(dsn)
    marked, begin = 0, perf_counter()

    def mark(conn: psycopg.Connection[Any]) -> int:
        return len(dispatch.mark_due(conn, limit=BATCH, redispatch_seconds=REDISPATCH_SECONDS))

    while batch := session.run(mark):
        marked += batch
    seconds = perf_counter() - begin
    session.close()
    return marked, seconds


def by_finished(
    dsn: str, conn: psycopg.Connection[Any], job_id: UUID, sizes: tuple[int, ...], repeats: int
) -> dict[str, list[float]]:
    """Return the median milliseconds of each statement at each number of finished jobs.

    `job_id` is a queued job, whose request all others have. Nothing that is measured is kept.
    """
    copies(conn, job_id, QUEUED - 1)
    job = jobs.get(conn, job_id)
    assert job is not None
    user, there = uuid4(), 0
    row = {"metrics_json": dict.fromkeys(METRICS, 12.345678901234567), "payload_json": {}}
    claimer = Claimer("host-1-0000000a", 60, 3, "engine", VERSION)
    statements: dict[str, Callable[[psycopg.Connection[Any]], object]] = {
        "claim": lambda c: leases.try_claim(c, job_id, claimer),
        "dispatch": lambda c: dispatch.mark_due(
            c, limit=WINDOW, redispatch_seconds=REDISPATCH_SECONDS
        ),
        "sweep": lambda c: dispatch.sweep(c, max_crashes=3),
        "gauges": dispatch.gauges,
        "list": lambda c: lists.page(c, user),
        "list, failed": lambda c: lists.page(c, user, state=State.FAILED),
    }
    found: dict[str, list[float]] = {name: [] for name in statements}
    session = _session(dsn)
    for size in sizes:
        user = uuid4()  # the lists are those of the last one, who has nearly all jobs
        many_jobs.load(dsn, user, job.request_json, row, jobs=size - there)
        there = size
        for name, statement in statements.items():
            found[name].append(1e3 * median(_time(session, statement) for _ in range(repeats)))
    session.close()
    return found


def _time(session: Session, statement: Callable[[psycopg.Connection[Any]], object]) -> float:
    seconds = 0.0

    def timed(conn: psycopg.Connection[Any]) -> None:
        nonlocal seconds
        begin = perf_counter()
        statement(conn)
        seconds = perf_counter() - begin
        raise _Undo

    with suppress(_Undo):
        session.run(timed)
    return seconds


def _session(dsn: str) -> Session:
    return Session(dsn, application_name="benchmark", lock_seconds=5, statement_seconds=60)
