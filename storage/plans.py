"""What the owner of a job does with stages that several workers compute: it is their coordinator.

A plan divides a stage into shards, which anybody claims; their results are merged by the
coordinator alone. Every write here is guarded by the lease of the job, renews it, and returns None
where it is lost, as those of `storage.leases` do. The job's row is locked first, shards after it.
Helpers never lock the job's row (`storage.shards`), so nobody waits in a circle.

Each function belongs into one transaction. `claim`, `adopt`, `progress` and `discard` execute one
statement. A write that is sent again after its answer was lost does no harm: a plan is made once,
and a claim finds what it has got.
"""

import json
from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from storage import leases, shards, statements
from storage.plan_records import (
    SHARD_LEASE_SECONDS,
    ClaimedShard,
    Granted,
    NewPlan,
    NewShard,
    Plan,
    ShardLease,
    ShardResult,
    Tally,
)
from storage.records import Beat, Lease, Stage

_SQL = statements.load("plans")


class PlannedAlready(Exception):
    """The stage has another plan, which was neither adopted nor discarded."""


def document(shards: Iterable[NewShard]) -> str:
    """Write the shards of a plan, from number 0 on, as the JSON text that `plan` sends.

    Raises ValueError for NaN and infinity, which are no JSON.
    """
    listed = [{"part": shard.part, "units": shard.units} for shard in shards]
    return json.dumps(listed, allow_nan=False, ensure_ascii=False)


def plan(conn: psycopg.Connection[Any], lease: Lease, new: NewPlan) -> Granted[Plan] | None:
    """Store a plan and all its shards, which are open then; two statements.

    Raises PlannedAlready where the stage has another plan: `adopt` comes first.
    """
    values = lease.values() | {
        "stage": new.stage,
        "plan_id": new.plan_id,
        "engine_identity": new.engine_identity,
        "candles_hash": new.candles_hash,
        "shards": new.shards,
    }
    row = conn.execute(_SQL["plan"], values).fetchone()
    if row is None:
        return None
    with conn.cursor(row_factory=dict_row) as cursor:
        stored = cursor.execute(_SQL["planned"], values).fetchone()
    assert stored is not None
    made = _plan(stored)
    if made.plan_id != new.plan_id:
        raise PlannedAlready(f"{new.stage} of job {lease.job_id} has the plan {made.plan_id}")
    return Granted(row[0], made)


def adopt(
    conn: psycopg.Connection[Any],
    lease: Lease,
    stage: Stage,
    *,
    engine_identity: str,
    candles_hash: str,
) -> Granted[Plan | None] | None:
    """Return the stage's plan as it is, with all that is done and running of it.

    Plans of the job that were made by another engine, or from other candles, are deleted, whatever
    their stage; the answer has no plan where none is left.
    """
    values = lease.values() | {
        "stage": stage,
        "engine_identity": engine_identity,
        "candles_hash": candles_hash,
    }
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SQL["adopt"], values).fetchone()
    if row is None:
        return None
    cancel_requested = row.pop("cancel_requested")
    return Granted(cancel_requested, None if row["plan_id"] is None else _plan(row))


def claim(
    conn: psycopg.Connection[Any], lease: Lease, plan: Plan
) -> Granted[ClaimedShard | None] | None:
    """Take the first shard that nobody has, however often its owners vanished, or that failed.

    It is held in the name of the job's owner, who has one at a time. The answer has none where all
    are done or in somebody's hands; `tally` tells without writing anything.
    """
    values = plan.values() | lease.values()
    values |= {"actor": lease.locked_by, "shard_lease_seconds": SHARD_LEASE_SECONDS}
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SQL["claim"], values).fetchone()
    if row is None:
        return None
    cancel_requested = row.pop("cancel_requested")
    found = None if row["shard"] is None else shards.claimed(plan, lease.locked_by, row)
    return Granted(cancel_requested, found)


def progress(
    conn: psycopg.Connection[Any], lease: Lease, plan: Plan, *, before: int = 0
) -> Beat | None:
    """Write how far the stage is: the sum over all shards, which may fall after a crash.

    So many units of the stage were done `before`, and are in no shard.
    """
    values = plan.values() | lease.values() | {"before": before}
    row = conn.execute(_SQL["progress"], values).fetchone()
    return None if row is None else Beat(cancel_requested=row[0])


def beat(
    conn: psycopg.Connection[Any],
    lease: Lease,
    plan: Plan,
    own: ShardLease,
    processed: int,
    *,
    before: int = 0,
) -> Granted[bool] | None:
    """Write `progress`, and how far the coordinator's own shard is, whose lease is renewed.

    The answer says whether it is still its own: where it is not, its child computes in vain.
    """
    answer = progress(conn, lease, plan, before=before)
    if answer is None:
        return None
    return Granted(answer.cancel_requested, shards.beat(conn, own, processed))


def finish(
    conn: psycopg.Connection[Any], lease: Lease, own: ShardLease, result: bytes
) -> Granted[bool] | None:
    """Store what the coordinator's own shard has found, as `storage.shards.finish`."""
    answer = leases.renew(conn, lease)
    if answer is None:
        return None
    return Granted(answer.cancel_requested, shards.finish(conn, own, result))


def give_back(conn: psycopg.Connection[Any], lease: Lease, own: ShardLease) -> Granted[bool] | None:
    """Give the coordinator's own shard back, before it releases the job."""
    answer = leases.renew(conn, lease)
    if answer is None:
        return None
    return Granted(answer.cancel_requested, shards.give_back(conn, own))


def tally(conn: psycopg.Connection[Any], plan: Plan) -> Tally:
    """Count the shards of a plan by state, and add up their units."""
    with conn.cursor(row_factory=class_row(Tally)) as cursor:
        row = cursor.execute(_SQL["tally"], plan.values()).fetchone()
    assert row is not None
    return row


def next_result(conn: psycopg.Connection[Any], plan: Plan, after: int = -1) -> ShardResult | None:
    """Read the result of the first shard after number `after` that is done; None: there is none.

    One at a time, so that memory does not grow with their number, and each in a transaction of its
    own, which does not stay open while the result is merged.
    """
    with conn.cursor(binary=True) as cursor:
        row = cursor.execute(_SQL["next_result"], plan.values() | {"after": after}).fetchone()
    return None if row is None else ShardResult(*row)


def discard(conn: psycopg.Connection[Any], lease: Lease, *stages: Stage) -> Beat | None:
    """Delete the plans of these stages with their shards and results.

    In the transaction that writes what they were merged to, before that: the last write of a job
    ends its lease.
    """
    row = conn.execute(_SQL["discard"], lease.values() | {"stages": list(stages)}).fetchone()
    return None if row is None else Beat(cancel_requested=row[0])


def _plan(row: dict[str, Any]) -> Plan:
    return Plan(**(row | {"stage": Stage(row["stage"])}))
