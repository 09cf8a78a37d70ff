"""A table of jobs as years of use leave it: one user's million, and the best variants of some."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
WITH_ROWS = 1_000  # so many of the latest jobs have top variants
ROWS = 300

_JOBS = """
INSERT INTO backtest_jobs (
    user_id, mode, state, created_at, updated_at, started_at, finished_at, next_dispatch_at,
    request_json, request_hash, engine_params_hash, backtest_runtime_config_hash, name,
    name_folded
)
SELECT %(user)s, 'template', state, at, at + interval '1 minute', at,
       CASE WHEN state <> 'queued' THEN at + interval '1 minute' END,
       CASE WHEN state = 'queued' THEN at END,
       jsonb_set(%(request)s, '{template,instrument_id,symbol}',
                 to_jsonb((%(symbols)s::text[])[1 + n %% %(kinds)s])),
       md5(n::text) || md5(n::text), repeat('0', 64), repeat('0', 64),
       CASE WHEN n %% 3 = 0 THEN 'sweep ' || n END, CASE WHEN n %% 3 = 0 THEN 'sweep ' || n END
FROM (
    SELECT n, %(end)s::timestamptz - n * interval '1 minute' AS at,
           CASE WHEN n < 2 THEN 'queued' WHEN n %% 100 = 7 THEN 'failed'
                WHEN n %% 100 = 9 THEN 'cancelled' ELSE 'succeeded' END AS state
    FROM generate_series(0, %(jobs)s - 1) AS n
) AS numbered
"""

_ROWS = """
INSERT INTO backtest_job_top_variants (
    job_id, rank, variant_key, indicator_variant_key, variant_index, total_return_pct, metrics_json,
    payload_json
)
SELECT job_id, rank, md5(job_id::text || rank) || md5(rank::text), md5(rank::text) || md5('b'),
       rank, 100.0 / rank, %(metrics)s, %(payload)s
FROM (
    SELECT job_id FROM backtest_jobs
    WHERE user_id = %(user)s AND state = 'succeeded'
    ORDER BY created_at DESC LIMIT %(with_rows)s
) AS latest
CROSS JOIN generate_series(1, %(rows)s) AS rank
"""


def load(
    dsn: str, user: UUID, request: Mapping[str, Any], row: Mapping[str, Any], *, jobs: int
) -> None:
    """Write `jobs` jobs of `user` with this effective request, and top variants like `row`.

    `row` has `metrics_json` and `payload_json`.
    """
    values = {
        "user": user,
        "request": Jsonb(dict(request)),
        "symbols": list(SYMBOLS),
        "kinds": len(SYMBOLS),
        "end": datetime.now(UTC) - timedelta(minutes=1),
        "jobs": jobs,
        "with_rows": min(jobs, WITH_ROWS),
        "rows": ROWS,
        "metrics": Jsonb(row["metrics_json"]),
        "payload": Jsonb(row["payload_json"]),
    }
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(_JOBS, values)
        conn.execute(_ROWS, values)
        conn.execute("VACUUM ANALYZE")


def jobs_with_rows(dsn: str, user: UUID, count: int) -> list[UUID]:
    """Return the ids of the latest jobs that have top variants."""
    with psycopg.connect(dsn) as conn:
        found = conn.execute(
            "SELECT job_id FROM backtest_jobs WHERE user_id = %s AND state = 'succeeded'"
            " ORDER BY created_at DESC LIMIT %s",
            (user, count),
        )
        return [row[0] for row in found]


def places(dsn: str, user: UUID, count: int) -> list[tuple[datetime, UUID]]:
    """Return places all over the list, in no order."""
    with psycopg.connect(dsn) as conn:
        return conn.execute(
            "SELECT created_at, job_id FROM backtest_jobs WHERE user_id = %s"
            " ORDER BY hashtext(job_id::text) LIMIT %s",
            (user, count),
        ).fetchall()
