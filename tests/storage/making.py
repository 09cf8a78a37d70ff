"""Jobs in the states that tests start from."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import class_row

from engine.request import VERSION
from storage import jobs, leases, result_texts, results
from storage.records import (
    Claimed,
    Claimer,
    Client,
    Failure,
    Job,
    Lease,
    NewJob,
    Shortlist,
    State,
    TopVariant,
)
from storage.session import Session

OWNER = "host-1-0000000a"
SUCCESSOR = "host-2-0000000b"
UNBOUNDED = 1_000_000
FAILURE = Failure("no_market_data", "There are no candles in that range.", {"symbol": "BTCUSDT"})
SHORTLIST = Shortlist([3, 1, 2], [7, 1, 2], 100, 9, 3, "engine-1", "a" * 64)
COVERAGE = {
    "asked": {"start": "2022-01-01T00:00:00Z", "end": "2023-01-01T00:00:00Z"},
    "traded": {"start": "2022-01-01T00:00:00Z", "end": "2022-02-01T00:00:00Z"},
    "bars_expected": 365,
    "bars_present": 31,
    "undefined": ["тренд"],
    "unsettled": [],
}
OUTCOMES = {
    "tried": 100,
    "eligible": 10,
    "profitable": 3,
    "beat_benchmark": 1,
    "ruined": 0,
    "benchmark_return_pct": 12.5,
    "total_return_pct": {"bins": [[65503, 60], [196772, 40]], "undefined": 0, "infinite": 0},
    "primary": {"metric": "sharpe", "bins": [[196480, 99]], "undefined": 1, "infinite": 0},
}

FIGURES = {"neighbours": {"number": 4, "median_return": -0.9, "worst_return": -67.5}}


@contextmanager
def new_database(server: str, template: str = "template1") -> Iterator[str]:
    """DSN of a database of one's own, a copy of `template`."""
    name = f"own_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        yield make_conninfo(server, dbname=name)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def new_job(**changes: Any) -> NewJob:
    values: dict[str, Any] = {
        "user_id": uuid4(),
        "mode": "template",
        "request_json": {"blocks": [{"name": "trend"}], "top_k": 300},
        "request_hash": "r" * 64,
        "engine_params_hash": "e" * 64,
        "backtest_runtime_config_hash": "c" * 64,
    }
    return NewJob(**(values | changes))


def submitted(conn: psycopg.Connection, **changes: Any) -> Job:
    return jobs.create(conn, new_job(**changes), max_active=UNBOUNDED, client=Client.CLI).job


def claimer(locked_by: str = OWNER, **changes: Any) -> Claimer:
    values: dict[str, Any] = {
        "lease_seconds": 60,
        "max_crashes": 3,
        "engine_version": "engine-1",
        "request_version": VERSION,
    }
    return Claimer(locked_by=locked_by, **(values | changes))


def claim(
    conn: psycopg.Connection, job_id: UUID, *, locked_by: str = OWNER, **changes: Any
) -> Claimed | State | None:
    return leases.try_claim(conn, job_id, claimer(locked_by, **changes))


def claimed(conn: psycopg.Connection, **changes: Any) -> Lease:
    return reclaimed(conn, submitted(conn, **changes).job_id, locked_by=OWNER)


def reclaimed(conn: psycopg.Connection, job_id: UUID, *, locked_by: str = SUCCESSOR) -> Lease:
    taken = claim(conn, job_id, locked_by=locked_by)
    assert isinstance(taken, Claimed)
    return taken.lease


def without_bins(outcomes: dict[str, Any]) -> dict[str, Any]:
    """Outcomes as a job shows them: the counts without the histograms."""
    left = {
        name: {key: value for key, value in outcomes[name].items() if key != "bins"}
        for name in ("total_return_pct", "primary")
    }
    return outcomes | left


def save_shortlist(
    conn: psycopg.Connection, lease: Lease, shortlist: Shortlist = SHORTLIST
) -> bool:
    with conn.transaction():
        return results.save_shortlist(conn, lease, shortlist, OUTCOMES)


def save_snapshot(conn: psycopg.Connection, lease: Lease, rows: Sequence[TopVariant]) -> bool:
    document = result_texts.rows(rows, reports=False)
    with conn.transaction():
        return results.save_snapshot(conn, lease, document)


def answered(*, surfaces: int = 2) -> str:
    """What was asked of a search, as it is stored; the first surface has one axis."""
    return result_texts.answers(
        figures=FIGURES,
        pictures={"splits": {"λ": [0.5, -1.25]}},
        surfaces=[surface(number) for number in range(1, surfaces + 1)],
    )


def surface(number: int) -> dict[str, Any]:
    """A surface as the engine makes it: what it lies over is named in it."""
    x = {"axis": "trend fast", "block": "trend", "values": [5, 10]}
    y = {} if number == 1 else {"y": {"axis": f"slow {number}", "block": None, "values": [1]}}
    return {"metric": "sharpe", "x": x, **y, "best": [0.1 + 0.2, None]}


def succeed(
    conn: psycopg.Connection,
    lease: Lease,
    rows: Sequence[TopVariant],
    answers: str | None = None,
) -> State | None:
    document = result_texts.rows(rows, reports=True)
    with conn.transaction():
        return results.succeed(conn, lease, document, answers)


def fail(conn: psycopg.Connection, lease: Lease) -> State | None:
    return leases.end(conn, lease, State.FAILED, FAILURE)


def cancelled(conn: psycopg.Connection, lease: Lease) -> State | None:
    return leases.end(conn, lease, State.CANCELLED)


def stored_rows(conn: psycopg.Connection, job_id: UUID) -> list[TopVariant]:
    """The top variants of a job, by rank, with everything that they have."""
    with conn.cursor(row_factory=class_row(TopVariant)) as cursor:
        return cursor.execute(
            "SELECT rank, variant_key, indicator_variant_key, variant_index, total_return_pct,"
            " metrics_json, payload_json, report_table_md, twins, trades_json, equity_json,"
            " trades_omitted, test_metrics_json, test_trades_json, test_equity_json, beside_json"
            " FROM backtest_job_top_variants WHERE job_id = %s ORDER BY rank",
            (job_id,),
        ).fetchall()


@contextmanager
def session(dsn: str, **changes: Any) -> Iterator[Session]:
    """A session with limits that no healthy statement meets."""
    values: dict[str, Any] = {
        "application_name": "test",
        "lock_seconds": 20,
        "statement_seconds": 20,
    }
    made = Session(dsn, **(values | changes))
    try:
        yield made
    finally:
        made.close()


def wait_for_a_blocked_session(conn: psycopg.Connection) -> None:
    for _ in range(2000):
        row = conn.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
        ).fetchone()
        if row is not None and row[0]:
            return
        conn.execute("SELECT pg_sleep(0.005)")
    raise AssertionError("nothing is blocked")


def expire(conn: psycopg.Connection, job_id: UUID) -> None:
    conn.execute(
        "UPDATE backtest_jobs SET lease_expires_at = now() - interval '1 second' WHERE job_id = %s",
        [job_id],
    )


def set_crashes(conn: psycopg.Connection, job_id: UUID, crash_count: int) -> None:
    conn.execute(
        "UPDATE backtest_jobs SET crash_count = %s WHERE job_id = %s", [crash_count, job_id]
    )


def count(conn: psycopg.Connection, table: str) -> int:
    row = conn.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def current(conn: psycopg.Connection, job_id: UUID) -> Job:
    job = jobs.get(conn, job_id)
    assert job is not None
    return job


def event_names(conn: psycopg.Connection, job_id: UUID) -> list[str]:
    return [str(event.event) for event in jobs.events(job_id).of(conn)]


def variants(
    count: int, *, reports: bool = False, tested: bool = False, first_key: int = 0
) -> list[TopVariant]:
    """So many rows; `tested`: also of bars that they were not chosen on, and of neighbours."""
    return [
        TopVariant(
            rank=rank,
            variant_key=f"key-{first_key + rank}",
            indicator_variant_key=f"indicator-{rank}",
            variant_index=first_key + rank,
            total_return_pct=100 / (3 * rank),
            metrics_json={"total_return_pct": 100 / (3 * rank), "profit_factor": None},
            payload_json={"blocks": [{"fast": rank}]},
            report_table_md=f"| {rank} |" if reports else None,
            twins=count + rank,
            trades_json=[{"id": 1}] if reports and rank == 1 else None,
            equity_json=[[0, 10000.0]] if reports and rank == 1 else None,
            test_metrics_json={"total_return_pct": -rank} if tested else None,
            test_trades_json=[{"id": 2}] if tested and rank == 1 else None,
            test_equity_json=[[1, 9000.0]] if tested and rank == 1 else None,
            beside_json={"number": rank, "variants": [{"axis": "fast"}]} if tested else None,
        )
        for rank in range(1, count + 1)
    ]
