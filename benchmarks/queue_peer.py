"""The peer: procrastinate, a queue of Postgres alone, with tasks that do nothing.

`python -m benchmarks.queue_peer COUNT` queues tasks in an empty database, and does them.
"""

import os
import subprocess
import sys
from pathlib import Path

import procrastinate
import psycopg
from psycopg.conninfo import make_conninfo

DSN = "BENCHMARK_PEER_DSN"

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ.get(DSN, "")))


@app.task(name="noop")
def noop() -> None:
    """Do nothing."""


def drain(dsn: str, count: int) -> float:
    """Return jobs per second of one worker in a database of its own, from first start to last end.

    Raises CalledProcessError where the worker fails.
    """
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS peer WITH (FORCE)")
        admin.execute("CREATE DATABASE peer")
    own = make_conninfo(dsn, dbname="peer")
    subprocess.run(
        [sys.executable, "-m", "benchmarks.queue_peer", str(count)],
        env=os.environ | {DSN: own},
        cwd=Path(__file__).parents[1],
        check=True,
    )
    with psycopg.connect(own) as conn:
        row = conn.execute(
            "SELECT count(*) FILTER (WHERE type = 'succeeded'),"
            " extract(epoch FROM max(at) FILTER (WHERE type = 'succeeded')"
            "   - min(at) FILTER (WHERE type = 'started'))::float8 FROM procrastinate_events"
        ).fetchone()
    assert row is not None
    return float(row[0] / row[1])


def main(count: int) -> None:
    """Queue so many tasks, and be the worker that does them."""
    with app.open():
        app.schema_manager.apply_schema()
        noop.batch_defer(*({} for _ in range(count)))
    app.run_worker(wait=False)


if __name__ == "__main__":
    main(int(sys.argv[1]))
