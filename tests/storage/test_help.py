"""What the scheduler sees of shared jobs: who wants help, and which plans nobody needs any more."""

from typing import Any

import psycopg

from storage import dispatch, jobs, leases, switches
from storage.plan_records import HelpWanted
from storage.records import Client, Lease, Stage
from tests.storage.making import (
    cancelled,
    claimed,
    current,
    expire,
    fail,
    set_crashes,
    submitted,
    succeed,
)
from tests.storage.sharing import (
    MAX_CRASHES,
    coordinated,
    expire_shard,
    finished,
    helped,
    helper,
    planned,
)

Conn = psycopg.Connection[Any]


def test_plans_of_jobs_that_have_ended_are_swept(connection: Conn) -> None:
    def given_up(conn: Conn, lease: Lease) -> None:
        set_crashes(conn, lease.job_id, MAX_CRASHES)
        expire(conn, lease.job_id)
        assert dispatch.sweep(conn, max_crashes=MAX_CRASHES)

    for end in (fail, cancelled, lambda conn, lease: succeed(conn, lease, []), given_up):
        lease = claimed(connection)
        for stage in (Stage.STAGE_A, Stage.STAGE_B):
            finished(connection, planned(connection, lease, 2, stage=stage), 1)
        end(connection, lease)
    goes_on, released, asked = (planned(connection, claimed(connection)) for _ in range(3))
    expire(connection, released.job_id)
    jobs.cancel(connection, asked.job_id, client=Client.CLI)
    assert [dispatch.sweep_plans(connection, batch=5) for _ in range(3)] == [5, 3, 0]
    left = connection.execute("SELECT DISTINCT job_id FROM backtest_job_shards").fetchall()
    assert {job_id for (job_id,) in left} == {goes_on.job_id, released.job_id, asked.job_id}


def test_only_one_connection_sweeps_plans_at_a_time(database: str, connection: Conn) -> None:
    for _ in range(2):
        lease = claimed(connection)
        planned(connection, lease)
        fail(connection, lease)
    with psycopg.connect(database) as other:
        assert dispatch.sweep_plans(other, batch=1) == 1
        assert dispatch.sweep_plans(connection, batch=1) == 0
        other.commit()
    assert dispatch.sweep_plans(connection, batch=2) == 1


def wanted(conn: Conn, limit: int = 10) -> list[HelpWanted]:
    return dispatch.help_wanted(conn, max_crashes=MAX_CRASHES, limit=limit)


def test_help_is_wanted_first_where_the_fewest_work(connection: Conn) -> None:
    crowded, alone, urgent = (
        planned(connection, claimed(connection, priority=priority), 6) for priority in (5, 0, 1)
    )
    for number in range(3):
        helped(connection, crowded, helper(f"host-{number}-0"))
    expire_shard(connection, helped(connection, crowded, helper("host-4-0")).lease)
    assert [(one.job_id, one.workers, one.free_shards) for one in wanted(connection)] == [
        (urgent.job_id, 1, 6),
        (alone.job_id, 1, 6),
        (crowded.job_id, 4, 3),
    ]
    assert [one.job_id for one in wanted(connection, limit=1)] == [urgent.job_id]
    owners = {one.job_id: one.user_id for one in wanted(connection)}
    assert owners[alone.job_id] == current(connection, alone.job_id).user_id


def test_the_owner_of_a_job_counts_once_whatever_it_does(connection: Conn) -> None:
    lease = claimed(connection)
    plan = planned(connection, lease)
    coordinated(connection, lease, plan)
    (one,) = wanted(connection)
    assert (one.workers, one.free_shards) == (1, 2)


def test_the_plans_of_a_job_count_together(connection: Conn) -> None:
    lease = claimed(connection)
    helped(connection, planned(connection, lease), helper("host-4-0"))
    later = planned(connection, lease, 5, stage=Stage.STAGE_B)
    helped(connection, later, helper("host-5-0"))
    (one,) = wanted(connection)
    assert (one.workers, one.free_shards) == (3, 6)


def test_no_help_is_wanted_while_the_queue_is_paused(connection: Conn) -> None:
    planned(connection, claimed(connection))
    switches.pause(connection, by="root@host", reason=None)
    assert wanted(connection) == []
    switches.resume(connection, by="root@host")
    assert len(wanted(connection)) == 1


def test_no_help_is_wanted_where_none_can_be_given(connection: Conn) -> None:
    submitted(connection)
    claimed(connection)
    all_done = planned(connection, claimed(connection))
    finished(connection, all_done, 3)
    for end in (
        lambda lease: expire(connection, lease.job_id),
        lambda lease: leases.release(connection, lease),
        lambda lease: jobs.cancel(connection, lease.job_id, client=Client.CLI),
        lambda lease: fail(connection, lease),
    ):
        lease = claimed(connection)
        planned(connection, lease)
        end(lease)
    planned(connection, claimed(connection), engine_identity="engine-2")
    hopeless = planned(connection, claimed(connection), 1)
    for number in range(1 + MAX_CRASHES):
        expire_shard(connection, helped(connection, hopeless, helper(f"host-{number}-0")).lease)
    assert wanted(connection) == []
