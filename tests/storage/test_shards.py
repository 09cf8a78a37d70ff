"""The lease of a shard: one worker has it, and whoever lost it writes nothing more."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from storage import jobs, leases, plans, shards, switches
from storage.plan_records import Plan, ShardLease, ShardLine, ShardState
from storage.records import Client, Lease, Stage
from tests.storage.making import claim, claimed, current, expire, reclaimed, submitted, succeed
from tests.storage.sharing import (
    FAILURE,
    MAX_CRASHES,
    RESULT,
    UNITS,
    everything_planned,
    expire_shard,
    finished,
    helped,
    helper,
    planned,
    states,
)

Conn = psycopg.Connection[Any]
Write = Callable[[Conn, ShardLease], bool]
OPEN, RUNNING, DONE, FAILED = ShardState

WRITES: dict[str, Write] = {
    "beat": lambda conn, shard: shards.beat(conn, shard, UNITS // 2),
    "finish": lambda conn, shard: shards.finish(conn, shard, RESULT),
    "fail": lambda conn, shard: shards.fail(conn, shard, FAILURE),
    "give back": shards.give_back,
}
every_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
while_the_job_goes_on = pytest.mark.parametrize(
    "write", [WRITES[name] for name in ("beat", "finish", "fail")], ids=["beat", "finish", "fail"]
)


@pytest.fixture
def lease(connection: Conn) -> Lease:
    return claimed(connection)


@pytest.fixture
def plan(connection: Conn, lease: Lease) -> Plan:
    return planned(connection, lease)


def row(conn: Conn, shard: ShardLease, columns: str) -> tuple[Any, ...]:
    found = conn.execute(
        f"SELECT {columns} FROM backtest_job_shards"
        " WHERE job_id = %s AND stage = %s AND shard = %s",
        [shard.job_id, shard.stage, shard.shard],
    ).fetchone()
    assert found is not None
    return found


# --- the claim


def test_shards_are_claimed_in_their_order(connection: Conn, plan: Plan) -> None:
    taken = [helped(connection, plan, helper(f"host-{number}-0")) for number in range(3)]
    assert [(one.lease.shard, one.lease.attempt) for one in taken] == [(0, 1), (1, 1), (2, 1)]
    assert [one.part for one in taken] == [
        {"first": 0, "count": 10},
        {"first": 10, "count": 10},
        {"first": 20, "count": 10},
    ]
    assert {one.total_units for one in taken} == {UNITS}
    assert shards.claim(connection, plan, helper("host-9-0")) is None
    assert states(connection, plan.job_id) == [RUNNING] * 3


def test_a_claim_lasts_ten_seconds_of_the_database_clock(connection: Conn, plan: Plan) -> None:
    held = helped(connection, plan).lease
    columns = "lease_expires_at - heartbeat_at, heartbeat_at = updated_at, locked_by"
    assert row(connection, held, columns) == (timedelta(seconds=10), True, held.locked_by)


def test_an_expired_shard_is_claimed_with_one_crash_more(connection: Conn, plan: Plan) -> None:
    vanished = helped(connection, plan)
    shards.beat(connection, vanished.lease, 7)
    expire_shard(connection, vanished.lease)
    taken = helped(connection, plan, helper("host-2-0"))
    assert (taken.lease.shard, taken.lease.attempt, taken.crash_count) == (0, 2, 1)
    assert row(connection, taken.lease, "processed_units") == (0,)


def test_a_shard_that_took_its_owners_down_too_often_is_not_for_helpers(
    connection: Conn, plan: Plan
) -> None:
    for number in range(1 + MAX_CRASHES):
        expire_shard(connection, helped(connection, plan, helper(f"host-{number}-0")).lease)
    others = [helped(connection, plan, helper(f"host-8{at}-0")).lease.shard for at in (1, 2)]
    assert others == [1, 2]
    assert shards.claim(connection, plan, helper("host-9-0")) is None


def test_a_shard_that_was_given_back_is_free_at_once_without_a_crash(
    connection: Conn, plan: Plan
) -> None:
    held = helped(connection, plan).lease
    shards.beat(connection, held, 7)
    assert shards.give_back(connection, held)
    assert row(connection, held, "state, locked_by, processed_units") == ("open", None, 0)
    taken = helped(connection, plan, helper("host-2-0"))
    assert (taken.lease.shard, taken.lease.attempt, taken.crash_count) == (0, 2, 0)


def test_failed_and_finished_shards_are_not_for_helpers(connection: Conn, lease: Lease) -> None:
    plan = planned(connection, lease, 2)
    finished(connection, plan, 1)
    assert shards.fail(connection, helped(connection, plan).lease, FAILURE)
    assert states(connection, plan.job_id) == [DONE, FAILED]
    assert shards.claim(connection, plan, helper("host-2-0")) is None


def test_a_claim_whose_answer_was_lost_is_given_again(connection: Conn, plan: Plan) -> None:
    lost = helped(connection, plan)
    again = helped(connection, plan)
    assert (again.lease.shard, again.lease.attempt, again.crash_count) == (0, 2, 0)
    assert not shards.beat(connection, lost.lease, 1)
    assert shards.beat(connection, again.lease, 1)
    expire_shard(connection, again.lease)
    after_a_pause = helped(connection, plan)
    assert (after_a_pause.lease.shard, after_a_pause.crash_count) == (0, 0)


def released(conn: Conn, lease: Lease) -> None:
    assert leases.release(conn, lease)


def cancelled(conn: Conn, lease: Lease) -> None:
    jobs.cancel(conn, lease.job_id, client=Client.CLI)


def ended(conn: Conn, lease: Lease) -> None:
    succeed(conn, lease, [])


def vanished(conn: Conn, lease: Lease) -> None:
    expire(conn, lease.job_id)


def paused(conn: Conn, _lease: Lease) -> None:
    switches.pause(conn, by="root@host", reason=None)


WITHOUT_OWNER = [vanished, released]
ENDS = [cancelled, ended]


@pytest.mark.parametrize("end", [*WITHOUT_OWNER, *ENDS, paused])
def test_no_shard_is_to_be_had_of_a_job_that_does_not_go_on(
    connection: Conn, lease: Lease, plan: Plan, end: Callable[[Conn, Lease], None]
) -> None:
    assert shards.offer(connection, lease.job_id, helper()) == plan
    end(connection, lease)
    assert shards.offer(connection, lease.job_id, helper()) is None
    assert shards.claim(connection, plan, helper()) is None


def test_a_worker_of_another_engine_does_not_help(connection: Conn, plan: Plan) -> None:
    other = helper(engine_identity="engine-2")
    assert shards.offer(connection, plan.job_id, other) is None
    assert shards.claim(connection, plan, other) is None


def test_nobody_helps_with_a_plan_that_the_job_s_owner_cannot_use(
    connection: Conn, plan: Plan
) -> None:
    expire(connection, plan.job_id)
    assert claim(connection, plan.job_id, locked_by="host-2-0", engine_version="engine-2")
    for engine in (plan.engine_identity, "engine-2"):
        mine = helper(engine_identity=engine)
        assert shards.offer(connection, plan.job_id, mine) is None
        assert shards.claim(connection, plan, mine) is None


def test_a_shard_of_a_plan_that_was_replaced_is_not_to_be_had(
    connection: Conn, lease: Lease, plan: Plan
) -> None:
    plans.discard(connection, lease, plan.stage)
    newer = planned(connection, lease)
    assert shards.claim(connection, plan, helper()) is None
    assert shards.offer(connection, lease.job_id, helper()) == newer


def test_an_offer_is_of_a_plan_with_something_to_do(connection: Conn, lease: Lease) -> None:
    first = planned(connection, lease, 1, stage=Stage.STAGE_B)
    second = planned(connection, lease, 1, stage=Stage.VALIDATION)
    assert shards.offer(connection, lease.job_id, helper()) == first
    held = helped(connection, first).lease
    assert shards.offer(connection, lease.job_id, helper("host-2-0")) == second
    expire_shard(connection, held)
    assert shards.offer(connection, lease.job_id, helper("host-2-0")) == first
    assert shards.offer(connection, submitted(connection).job_id, helper()) is None


# --- the guard


@every_write
def test_a_helper_that_was_paused_past_its_lease_writes_nothing(
    connection: Conn, plan: Plan, write: Write
) -> None:
    held = helped(connection, plan).lease
    expire_shard(connection, held)
    before = everything_planned(connection, plan.job_id)
    assert not write(connection, held)
    assert everything_planned(connection, plan.job_id) == before


@every_write
def test_a_helper_that_was_paused_writes_nothing_over_its_successor(
    connection: Conn, plan: Plan, write: Write
) -> None:
    stale = helped(connection, plan).lease
    expire_shard(connection, stale)
    taken = helped(connection, plan, helper("host-2-0")).lease
    for pretended in (stale, replace(stale, attempt=taken.attempt)):
        before = everything_planned(connection, plan.job_id)
        assert not write(connection, pretended)
        assert everything_planned(connection, plan.job_id) == before


@every_write
def test_an_earlier_attempt_of_the_same_helper_writes_nothing(
    connection: Conn, plan: Plan, write: Write
) -> None:
    stale = helped(connection, plan).lease
    expire_shard(connection, stale)
    helped(connection, plan)
    before = everything_planned(connection, plan.job_id)
    assert not write(connection, stale)
    assert everything_planned(connection, plan.job_id) == before


@every_write
def test_nothing_is_written_into_another_plan(
    connection: Conn, lease: Lease, plan: Plan, write: Write
) -> None:
    stale = helped(connection, plan).lease
    plans.discard(connection, lease, plan.stage)
    helped(connection, planned(connection, lease))
    before = everything_planned(connection, plan.job_id)
    assert not write(connection, stale)
    assert everything_planned(connection, plan.job_id) == before


@while_the_job_goes_on
@pytest.mark.parametrize("end", [*WITHOUT_OWNER, paused])
def test_what_is_being_computed_outlives_the_owner_of_the_job(
    connection: Conn, lease: Lease, plan: Plan, end: Callable[[Conn, Lease], None], write: Write
) -> None:
    held = helped(connection, plan).lease
    end(connection, lease)
    assert write(connection, held)


@while_the_job_goes_on
@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_written_about_a_job_that_does_not_go_on(
    connection: Conn, lease: Lease, plan: Plan, end: Callable[[Conn, Lease], None], write: Write
) -> None:
    held = helped(connection, plan).lease
    end(connection, lease)
    before = everything_planned(connection, plan.job_id)
    assert not write(connection, held)
    assert everything_planned(connection, plan.job_id) == before


@pytest.mark.parametrize("end", [*WITHOUT_OWNER, *ENDS, paused])
def test_a_shard_is_given_back_whatever_became_of_the_job(
    connection: Conn, lease: Lease, plan: Plan, end: Callable[[Conn, Lease], None]
) -> None:
    held = helped(connection, plan).lease
    end(connection, lease)
    assert shards.give_back(connection, held)
    assert states(connection, plan.job_id) == [OPEN] * 3


@every_write
def test_its_owner_writes_about_a_shard_and_nothing_else(
    connection: Conn, plan: Plan, write: Write
) -> None:
    held = helped(connection, plan).lease
    job, stored, pieces = everything_planned(connection, plan.job_id)
    assert write(connection, held)
    job_now, stored_now, pieces_now = everything_planned(connection, plan.job_id)
    assert (job_now, stored_now, pieces_now[1:]) == (job, stored, pieces[1:])
    assert pieces_now[0] != pieces[0]


@every_write
def test_a_helper_writes_on_while_the_job_changes_its_owner(
    connection: Conn, lease: Lease, plan: Plan, write: Write
) -> None:
    held = helped(connection, plan).lease
    expire(connection, lease.job_id)
    reclaimed(connection, lease.job_id)
    assert write(connection, held)


# --- beats and ends


def test_a_beat_renews_the_lease_and_writes_how_far_the_shard_is(
    connection: Conn, plan: Plan
) -> None:
    held = helped(connection, plan).lease
    connection.execute(
        "UPDATE backtest_job_shards SET lease_expires_at = now() + interval '1 second'"
        " WHERE state = 'running'"
    )
    assert shards.beat(connection, held, 7)
    columns = "processed_units, lease_expires_at - heartbeat_at, heartbeat_at = updated_at"
    assert row(connection, held, columns) == (7, timedelta(seconds=10), True)


def test_no_beat_shortens_a_lease(connection: Conn, plan: Plan) -> None:
    held = helped(connection, plan).lease
    connection.execute(
        "UPDATE backtest_job_shards SET lease_expires_at = now() + interval '1 hour'"
        " WHERE state = 'running'"
    )
    before = row(connection, held, "lease_expires_at")
    shards.beat(connection, held, 7)
    assert row(connection, held, "lease_expires_at") == before


def test_a_result_is_stored_as_it_is(connection: Conn, plan: Plan) -> None:
    held = helped(connection, plan).lease
    result = bytes(range(256)) * 20
    assert shards.finish(connection, held, result)
    columns = "state, result, processed_units, lease_expires_at, locked_by"
    assert row(connection, held, columns) == ("done", result, UNITS, None, held.locked_by)
    (sizes,) = connection.execute(
        "SELECT array_agg(pg_column_size(result)) FROM backtest_job_shards WHERE state = 'done'"
    ).fetchall()
    assert sizes == ([len(result)],)  # nobody tried to compress it again


def test_a_failure_is_stored_with_its_code_message_and_details(
    connection: Conn, plan: Plan
) -> None:
    held = helped(connection, plan).lease
    shards.beat(connection, held, 7)
    assert shards.fail(connection, held, FAILURE)
    error = {
        "code": "memory_limit_exceeded",
        "message": FAILURE.message,
        "details": {"limit": 1},
    }
    assert row(connection, held, "state, error, processed_units") == ("failed", error, 0)


@pytest.mark.parametrize("name", ["finish", "fail"])
def test_an_end_whose_answer_was_lost_is_recognised(
    connection: Conn, plan: Plan, name: str
) -> None:
    held = helped(connection, plan).lease
    assert WRITES[name](connection, held)
    before = everything_planned(connection, plan.job_id)
    assert WRITES[name](connection, held)
    assert not WRITES[name](connection, replace(held, attempt=held.attempt + 1))
    assert not WRITES[name](connection, replace(held, plan_id=uuid4()))
    assert everything_planned(connection, plan.job_id) == before


# --- what others see


def test_shards_are_listed_by_stage_and_number(connection: Conn, lease: Lease) -> None:
    later = planned(connection, lease, 1, stage=Stage.STAGE_B)
    plan = planned(connection, lease, 2)
    shards.beat(connection, helped(connection, plan, helper("host-2-0")).lease, 4)
    finished(connection, later, 1)
    assert shards.lines(lease.job_id).of(connection) == [
        ShardLine(Stage.STAGE_A, 0, RUNNING, "host-2-0", 4, UNITS),
        ShardLine(Stage.STAGE_A, 1, OPEN, None, 0, UNITS),
        ShardLine(Stage.STAGE_B, 0, DONE, helper().locked_by, UNITS, UNITS),
    ]


def test_a_helper_changes_nothing_about_the_job(connection: Conn, lease: Lease, plan: Plan) -> None:
    before = current(connection, lease.job_id)
    finished(connection, plan, 3)
    assert current(connection, lease.job_id) == before
