"""INTERIM until the branch `storage` has these."""

from typing import Any
from uuid import UUID


def alike(conn: Any, user_id: UUID, request_hash: str) -> UUID | None:
    """Return the newest succeeded job with this hash."""
    row = conn.execute(
        "SELECT job_id FROM backtest_jobs WHERE user_id = %s AND request_hash = %s"
        " AND state = 'succeeded' ORDER BY created_at DESC LIMIT 1",
        [user_id, request_hash],
    ).fetchone()
    return None if row is None else row[0]


def candles_hash(conn: Any, job_id: UUID) -> str | None:
    """Return the hash."""
    row = conn.execute(
        "SELECT candles_hash FROM backtest_job_stage_a_shortlist WHERE job_id = %s", [job_id]
    ).fetchone()
    return None if row is None else row[0]
