"""A worker's hold on a shard of somebody's job: claim, beat, result, and the ways it ends.

The lease of a shard is guarded like that of a job (shard, plan, owner, attempt, running, not
expired), and its owner may go on only while the job does: running, no cancel requested. A claim
wants more: an owner of the job whose lease is alive, and no pause of the queue. A write that finds
it otherwise changes nothing and returns False: the shard is lost, whoever computes it is to be
ended, and nothing more is to be written about it but `give_back`. So what is being computed
outlives an owner of the job that vanishes or releases it: the next one adopts the plan.

No function locks the row of the job. Each belongs into one transaction; those that execute one
statement, `claim` and `beat` among them, may have `storage.session.Session.run_one` send it as one
message.
"""

from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from storage import statements
from storage.asking import Ask
from storage.plan_records import (
    ClaimedShard,
    Helper,
    Plan,
    ShardLease,
    ShardLine,
    ShardState,
)
from storage.records import Failure, Stage

_SQL = statements.load("shards")


def offer(conn: psycopg.Connection[Any], job_id: UUID, helper: Helper) -> Plan | None:
    """Look for a plan of a job that this helper may claim shards of."""
    values = helper.values() | {"job_id": job_id}
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SQL["offer"], values).fetchone()
    return None if row is None else Plan(**(row | {"stage": Stage(row["stage"])}))


def claim(conn: psycopg.Connection[Any], plan: Plan, helper: Helper) -> ClaimedShard | None:
    """Take the first shard that is open, or whose owner has vanished; None: there is none.

    Not where the helper is another engine than the plan's. Those that somebody is claiming at the
    same moment are passed by. Asked again after an answer was lost, it gives what the helper has
    already, under a new attempt.
    """
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SQL["claim"], plan.values() | helper.values()).fetchone()
    return None if row is None else claimed(plan, helper.locked_by, row)


def claimed(plan: Plan, locked_by: str, row: dict[str, Any]) -> ClaimedShard:
    """Make a claimed shard of the row that a claim returns."""
    lease = ShardLease(
        plan.job_id, plan.stage, plan.plan_id, row["shard"], locked_by, row["attempt"]
    )
    return ClaimedShard(lease, row["part"], row["total_units"], row["crash_count"])


def beat(conn: psycopg.Connection[Any], shard: ShardLease, processed: int) -> bool:
    """Renew the lease, counted from now, and write how many units are done; False: it is lost."""
    return conn.execute(_SQL["beat"], shard.values() | {"processed": processed}).rowcount == 1


def finish(conn: psycopg.Connection[Any], shard: ShardLease, result: bytes) -> bool:
    """Store what the shard has found; False when it is lost.

    True also where an earlier call has stored it, whose answer was lost. Results are large: not in
    one message, which has them as text. They are stored as they are, and should be compressed.
    """
    return _ended(conn, shard, ShardState.DONE, "finish", {"result": result})


def fail(conn: psycopg.Connection[Any], shard: ShardLease, failure: Failure) -> bool:
    """Leave the shard, whose computation failed, to the coordinator; False when it is lost."""
    values = {
        "code": str(failure.code),
        "message": failure.message,
        "details": Jsonb(failure.details),
    }
    return _ended(conn, shard, ShardState.FAILED, "fail", values)


def give_back(conn: psycopg.Connection[Any], shard: ShardLease) -> bool:
    """Leave the shard to the next who asks, at once; no crash is counted.

    Also where the job does not go on. False when the lease was lost before.
    """
    return conn.execute(_SQL["give_back"], shard.values()).rowcount == 1


def lines(job_id: UUID) -> Ask[list[ShardLine]]:
    """Read the shards of a job by stage and number, without what they are and have found."""

    def made(rows: list[Any]) -> list[ShardLine]:
        return [
            ShardLine(Stage(stage), shard, ShardState(state), *others)
            for stage, shard, state, *others in rows
        ]

    return Ask(_SQL["lines"], {"job_id": job_id}, made)


def _ended(
    conn: psycopg.Connection[Any],
    shard: ShardLease,
    state: ShardState,
    statement: str,
    values: dict[str, Any],
) -> bool:
    if conn.execute(_SQL[statement], shard.values() | values).rowcount == 1:
        return True
    written = conn.execute(_SQL["written"], shard.values() | {"state": state})
    return written.rowcount == 1
