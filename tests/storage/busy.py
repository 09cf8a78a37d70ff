"""A database of very many finished jobs, many waiting ones and a few running."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg

from tests.storage.making import claimed, new_database, save_shortlist, save_snapshot, variants
from tests.storage.sharing import finished, planned

FINISHED = int(os.environ.get("BACKTEST_FINISHED_JOBS", "20000"))
"""`make chaos` asks for a million."""

WAITING = 10_000
RUNNING = 20
SHARDS = 200
"""Of the stage that a running job is in."""

USER = uuid4()
OTHER = uuid4()


@contextmanager
def busy_database(server: str, template: str) -> Iterator[psycopg.Connection]:
    """Half of the finished jobs are USER's, like all that wait."""
    with new_database(server, template) as dsn, psycopg.connect(dsn, autocommit=True) as conn:
        insert = (
            "INSERT INTO backtest_jobs (user_id, mode, state, request_json, request_hash,"
            " engine_params_hash, backtest_runtime_config_hash, idempotency_key,"
            " created_at, finished_at)"
            " SELECT %(user)s, 'template', %(state)s, '{}', 'r' || n, 'e', 'c',"
            " gen_random_uuid()::text, at, CASE %(state)s WHEN 'queued' THEN NULL ELSE at END"
            " FROM (SELECT n, now() - n * interval '1 minute' AS at"
            "       FROM generate_series(1, %(count)s) AS n)"
        )
        # Triggers would notify of each event, and look each job of one up.
        conn.execute("SET session_replication_role = replica")
        for user, state, count in (
            (USER, "succeeded", FINISHED // 2),
            (USER, "queued", WAITING),
            (OTHER, "succeeded", FINISHED // 2),
        ):
            conn.execute(insert, {"user": user, "state": state, "count": count})
        conn.execute(
            "INSERT INTO backtest_job_events (job_id, event, attempt, actor)"
            " SELECT job_id, 'claimed', 1, 'o' FROM backtest_jobs"
        )
        conn.execute(
            "UPDATE backtest_jobs SET name = 'Sweep', name_folded = 'sweep',"
            """ request_json = '{"template": {"instrument_id": {"symbol": "BTCUSDT"}}}'"""
            " WHERE get_byte(uuid_send(job_id), 0) < 100"
        )
        conn.execute("SET session_replication_role = origin")
        for _ in range(RUNNING):
            lease = claimed(conn)
            save_shortlist(conn, lease)
            save_snapshot(conn, lease, variants(50))
            finished(conn, planned(conn, lease, SHARDS), 10)
        conn.execute("VACUUM ANALYZE")
        yield conn
