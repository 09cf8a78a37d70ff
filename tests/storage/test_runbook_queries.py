"""The operator's queries, word for word as the runbook prints them."""

import psycopg

from storage.records import Shortlist
from tests.storage.making import (
    claimed,
    expire,
    save_shortlist,
    submitted,
    succeed,
    variants,
)

RUNNING = """
SELECT
  job_id,
  state,
  stage,
  processed_units,
  total_units,
  locked_by,
  lease_expires_at,
  attempt,
  updated_at
FROM backtest_jobs
WHERE state = 'running'
ORDER BY lease_expires_at ASC, created_at ASC, job_id ASC;
"""

SHORTLIST = """
SELECT job_id, stage_a_variants_total, risk_total, preselect_used, updated_at
FROM backtest_job_stage_a_shortlist
WHERE job_id = '00000000-0000-0000-0000-000000000000';
"""

TOP = """
SELECT job_id, rank, variant_key, report_table_md, trades_json, updated_at
FROM backtest_job_top_variants
WHERE job_id = '00000000-0000-0000-0000-000000000000'
ORDER BY rank ASC, variant_key ASC;
"""

LEASE = """
SELECT
  job_id,
  state,
  locked_by,
  lease_expires_at,
  attempt,
  updated_at
FROM backtest_jobs
WHERE job_id = '00000000-0000-0000-0000-000000000000';
"""

NO_JOB = "00000000-0000-0000-0000-000000000000"


def test_running_jobs_are_listed_with_the_oldest_lease_first(
    connection: psycopg.Connection,
) -> None:
    alive, expired = claimed(connection), claimed(connection)
    submitted(connection)
    expire(connection, expired.job_id)
    rows = connection.execute(RUNNING).fetchall()
    assert [row[0] for row in rows] == [expired.job_id, alive.job_id]
    assert rows[0][1:6] == ("running", "stage_a", 0, 0, expired.locked_by)


def test_the_shortlist_of_a_job_is_shown(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    shortlist = Shortlist([1, 2], [1, 5], 1000, 12, 2, "engine-1", "a" * 64)
    save_shortlist(connection, lease, shortlist)
    (row,) = connection.execute(SHORTLIST.replace(NO_JOB, str(lease.job_id))).fetchall()
    assert row[:4] == (lease.job_id, 1000, 12, 2)


def test_the_top_of_a_job_is_shown_by_rank(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    succeed(connection, lease, variants(3, reports=True))
    rows = connection.execute(TOP.replace(NO_JOB, str(lease.job_id))).fetchall()
    assert [row[1:4] for row in rows] == [
        (1, "key-1", "| 1 |"),
        (2, "key-2", "| 2 |"),
        (3, "key-3", "| 3 |"),
    ]


def test_the_lease_of_a_job_is_shown(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    (row,) = connection.execute(LEASE.replace(NO_JOB, str(lease.job_id))).fetchall()
    assert row[:3] == (lease.job_id, "running", lease.locked_by)


def test_an_unknown_job_shows_no_rows(connection: psycopg.Connection) -> None:
    for query in (SHORTLIST, TOP, LEASE):
        assert connection.execute(query).fetchall() == []
