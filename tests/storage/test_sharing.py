"""How the stage of a job is shared, as whoever looks at the job is told."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import psycopg
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from storage import leases, plans, statements, watching
from storage.plan_records import Plan, ShardState
from storage.records import Lease, Stage
from storage.sharing import Run, Share, Sharing
from tests.storage.making import OWNER, claimed, fail, reclaimed, submitted
from tests.storage.sharing import (
    UNITS,
    coordinated,
    expire_shard,
    finished,
    helped,
    helper,
    planned,
)
from tests.storage.test_plans import nodes

Conn = psycopg.Connection[Any]
OPEN, RUNNING, DONE, FAILED = ShardState
OTHER = helper().locked_by


def seen(conn: Conn, lease: Lease) -> Sharing | None:
    (job,) = watching.look(conn, {lease.job_id: 0}, []).jobs
    assert watching.watched([lease.job_id]).of(conn) == [job]
    return job.sharing


def started(conn: Conn) -> Lease:
    lease = claimed(conn)
    leases.start_stage(conn, lease, Stage.STAGE_A, UNITS)
    return lease


def test_a_shared_stage_tells_what_is_done_and_who_computes_what(connection: Conn) -> None:
    lease = started(connection)
    plan = planned(connection, lease, 6)
    finished(connection, plan, 2)
    own = coordinated(connection, lease, plan)
    plans.beat(connection, lease, plan, own.lease, 4)
    gone = helped(connection, plan, helper("host-8-00000008"))
    helped(connection, plan)
    expire_shard(connection, gone.lease)
    sharing = seen(connection, lease)
    assert sharing is not None
    assert sharing.stage is Stage.STAGE_A
    assert sharing.strip == [
        *(Run(DONE, None, 2), Run(RUNNING, OWNER, 1), Run(OPEN, None, 1)),
        *(Run(RUNNING, OTHER, 1), Run(OPEN, None, 1)),
    ]
    assert sorted(sharing.shares) == [Share(OWNER, 1, 0), Share(OTHER, 1, 2)]
    assert sharing.states == {OPEN: 2, RUNNING: 2, DONE: 2, FAILED: 0}
    assert (sharing.processed_units, sharing.total_units) == (2 * UNITS + 4, 6 * UNITS)


def test_only_the_plan_of_the_stage_that_a_running_job_is_in_is_told(connection: Conn) -> None:
    lease = started(connection)
    assert seen(connection, lease) is None
    planned(connection, lease)
    planned(connection, lease, 4, stage=Stage.STAGE_B)
    first = seen(connection, lease)
    leases.start_stage(connection, lease, Stage.STAGE_B, UNITS)
    second = seen(connection, lease)
    assert first is not None
    assert second is not None
    assert (first.strip, second.strip) == ([Run(OPEN, None, 3)], [Run(OPEN, None, 4)])
    assert first.shares == second.shares == []
    leases.start_stage(connection, lease, Stage.FINALIZING, 1)
    assert seen(connection, lease) is None
    leases.start_stage(connection, lease, Stage.STAGE_A, 1)
    fail(connection, lease)  # its plans stay until the scheduler sweeps
    assert seen(connection, lease) is None


def test_a_job_between_two_owners_is_still_shared(connection: Conn) -> None:
    lease = started(connection)
    plan = planned(connection, lease, 2)
    helped(connection, plan)
    leases.release(connection, lease)
    sharing = seen(connection, lease)
    assert sharing is not None
    assert sharing.strip == [Run(RUNNING, OTHER, 1), Run(OPEN, None, 1)]
    assert seen(connection, reclaimed(connection, lease.job_id)) == sharing


def test_where_a_job_has_no_plan_no_shard_is_read(connection: Conn) -> None:
    planned(connection, started(connection), 2000)
    connection.execute("ANALYZE")  # from now on a plan of somebody else seems to be all there is
    row = connection.execute(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {statements.load('watching')['watched']}",
        {"job_ids": [started(connection).job_id]},
    ).fetchone()
    assert row is not None
    scans = [
        node["Actual Loops"]
        for node in nodes(row[0][0]["Plan"])
        if node.get("Relation Name") == "backtest_job_shards"
    ]
    assert scans == [0]


def test_a_job_that_is_queued_is_not_shared(connection: Conn) -> None:
    (job,) = watching.watched([submitted(connection).job_id]).of(connection)
    assert job.sharing is None


Drawn = tuple[ShardState, str, bool]
"""State, who has the shard or had it, whether the lease of a running one has run out."""

by_two = [(RUNNING, OWNER, False), (RUNNING, OTHER, False)]
ended = [(RUNNING, OTHER, True), (DONE, OWNER, False), (DONE, OTHER, False), (FAILED, OTHER, False)]
drawn = st.sampled_from([*by_two, *by_two, *by_two, *ended, (OPEN, "", False)])


def write(conn: Conn, plan: Plan, shards: Sequence[Drawn]) -> None:
    conn.cursor().executemany(
        "UPDATE backtest_job_shards SET state = 'running', locked_by = %s,"
        " lease_expires_at = now() + %s * interval '10 s' WHERE job_id = %s AND shard = %s",
        [
            (owner, -1 if late else 1, plan.job_id, number)
            for number, (state, owner, late) in enumerate(shards)
            if state is not OPEN
        ],
    )
    conn.cursor().executemany(
        "UPDATE backtest_job_shards SET state = %(state)s, lease_expires_at = NULL,"
        " processed_units = CASE %(state)s WHEN 'done' THEN total_units ELSE 0 END,"
        " result = CASE %(state)s WHEN 'done' THEN ''::bytea END,"
        " error = CASE %(state)s WHEN 'failed' THEN"
        """ '{"code": "", "message": "", "details": {}}'::jsonb END"""
        " WHERE job_id = %(job_id)s AND shard = %(shard)s",
        [
            {"state": state, "job_id": plan.job_id, "shard": number}
            for number, (state, _, _) in enumerate(shards)
            if state in (DONE, FAILED)
        ],
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(shards=st.lists(drawn, min_size=1, max_size=30))
@example(shards=[by_two[0], by_two[1], by_two[0]])
def test_runs_and_shares_are_those_of_the_shards_one_by_one(
    connection: Conn, shards: list[Drawn]
) -> None:
    lease = started(connection)
    write(connection, planned(connection, lease, len(shards)), shards)
    sharing = seen(connection, lease)
    assert sharing is not None
    states = [OPEN if state is RUNNING and late else state for state, _, late in shards]
    owners = [owner for _, owner, _ in shards]
    shown = [
        (state, owner if state is RUNNING else None)
        for state, owner in zip(states, owners, strict=True)
    ]
    assert sharing.strip == [Run(*key, len(list(run))) for key, run in groupby(shown)]
    assert sharing.states == {state: states.count(state) for state in ShardState}
    counted = Counter(zip(owners, states, strict=True))
    assert sorted(sharing.shares) == sorted(
        Share(owner, counted[owner, RUNNING], counted[owner, DONE])
        for owner in set(owners)
        if counted[owner, RUNNING] or counted[owner, DONE]
    )
    assert sharing.processed_units == UNITS * states.count(DONE)
    assert sharing.total_units == UNITS * len(shards)


def test_ten_thousand_shards_are_few_runs(connection: Conn) -> None:
    lease = started(connection)
    plan = planned(connection, lease, 10_000)
    finished(connection, plan, 3)
    helped(connection, plan)
    sharing = seen(connection, lease)
    assert sharing is not None
    assert [run.length for run in sharing.strip] == [3, 1, 9_996]
