"""Jobs whose stages are planned, and workers that share them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg

from storage import plans, shards
from storage.plan_records import (
    ClaimedShard,
    Helper,
    NewPlan,
    NewShard,
    Plan,
    ShardLease,
    ShardState,
)
from storage.records import Failure, Lease, Stage

ENGINE = "engine-1"
CANDLES = "a" * 64
UNITS = 10
MAX_CRASHES = 3
RESULT = b"\x00found\xff"
FAILURE = Failure("memory_limit_exceeded", "There was not enough memory.", {"limit": 1})


def helper(locked_by: str = "host-7-00000007", **changes: Any) -> Helper:
    return Helper(
        **{"locked_by": locked_by, "engine_identity": ENGINE, "max_crashes": MAX_CRASHES} | changes
    )


def new_plan(number: int = 3, units: int = UNITS, **changes: Any) -> NewPlan:
    listed = [NewShard({"first": units * at, "count": units}, units) for at in range(number)]
    values: dict[str, Any] = {
        "stage": Stage.STAGE_A,
        "plan_id": uuid4(),
        "engine_identity": ENGINE,
        "candles_hash": CANDLES,
        "shards": plans.document(listed),
    }
    return NewPlan(**(values | changes))


def planned(conn: psycopg.Connection, lease: Lease, number: int = 3, **changes: Any) -> Plan:
    with conn.transaction():
        made = plans.plan(conn, lease, new_plan(number, **changes))
    assert made is not None
    return made.value


def helped(conn: psycopg.Connection, plan: Plan, who: Helper | None = None) -> ClaimedShard:
    taken = shards.claim(conn, plan, who or helper())
    assert taken is not None
    return taken


def coordinated(conn: psycopg.Connection, lease: Lease, plan: Plan) -> ClaimedShard:
    taken = plans.claim(conn, lease, plan)
    assert taken is not None
    assert taken.value is not None
    return taken.value


def finished(conn: psycopg.Connection, plan: Plan, number: int, result: bytes = RESULT) -> None:
    """Have a helper compute so many shards."""
    for _ in range(number):
        assert shards.finish(conn, helped(conn, plan).lease, result)


def expire_shard(conn: psycopg.Connection, lease: ShardLease) -> None:
    conn.execute(
        "UPDATE backtest_job_shards SET lease_expires_at = now() - interval '1 second'"
        " WHERE job_id = %s AND stage = %s AND shard = %s AND state = 'running'",
        [lease.job_id, lease.stage, lease.shard],
    )


def states(conn: psycopg.Connection, job_id: UUID) -> list[ShardState]:
    return [line.state for line in shards.lines(job_id).of(conn)]


def everything_planned(conn: psycopg.Connection, job_id: UUID) -> Sequence[Any]:
    """All that is stored about a job and its plans."""
    return [
        conn.execute(
            f"SELECT * FROM {table} WHERE job_id = %s ORDER BY 1, 2, 3", [job_id]
        ).fetchall()
        for table in ("backtest_jobs", "backtest_job_plans", "backtest_job_shards")
    ]
