"""Several who want the same shards at the same moment, and a coordinator among them.

As in `test_races`, the first one's transaction is open when the second one comes.
"""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest

from storage import dispatch, jobs, leases, plans, shards
from storage.plan_records import Plan, ShardLease, ShardResult, ShardState
from storage.records import Client, Lease, Stage
from storage.session import Session
from tests.storage.making import SUCCESSOR, claimed, count, expire, fail, reclaimed, session
from tests.storage.sharing import (
    CANDLES,
    ENGINE,
    RESULT,
    coordinated,
    expire_shard,
    finished,
    helped,
    helper,
    new_plan,
    planned,
    states,
)
from tests.storage.test_races import Race, race

__all__ = ["race"]

Conn = psycopg.Connection[Any]
OPEN, RUNNING, DONE, FAILED = ShardState


def coordinating(race: Race, number: int = 3) -> tuple[Lease, Plan]:
    lease = claimed(race.observer)
    return lease, planned(race.observer, lease, number)


# ------------------------------------------------------------------------- many at once

SHARDS = 80
HELPERS = 6


def test_of_many_who_claim_none_gets_the_shard_of_another(database: str, connection: Conn) -> None:
    lease = claimed(connection)
    plan = planned(connection, lease, SHARDS)
    taken: Counter[int] = Counter()
    start = threading.Barrier(HELPERS + 1)

    def work(mine: Session, claim: Callable[[Conn], Any]) -> None:
        mine.run(dispatch.gauges)
        start.wait(timeout=20)
        while found := mine.run_one(claim):
            taken[found.lease.shard] += 1
            result = f"{found.lease.shard} by {found.lease.locked_by}".encode()
            assert mine.run(partial(shards.finish, shard=found.lease, result=result))

    def help_out(number: int) -> None:
        with session(database) as mine:
            work(mine, lambda conn: shards.claim(conn, plan, helper(f"host-{number}-0")))

    def coordinate() -> None:
        with session(database) as mine:
            work(mine, lambda conn: plans.claim(conn, lease, plan).value)  # type: ignore[union-attr]

    with ThreadPoolExecutor(HELPERS + 1) as threads:
        for working in [threads.submit(help_out, number) for number in range(HELPERS)] + [
            threads.submit(coordinate)
        ]:
            working.result(timeout=60)
    assert taken == Counter(range(SHARDS))
    lines = shards.lines(plan.job_id).of(connection)
    assert {line.state for line in lines} == {DONE}
    assert len({line.locked_by for line in lines}) > 1
    for line in lines:
        found = plans.next_result(connection, plan, line.shard - 1)
        assert found == ShardResult(line.shard, f"{line.shard} by {line.locked_by}".encode())


# ------------------------------------------------------------------------- two claims


def test_a_claim_passes_by_the_shard_that_another_one_is_taking(race: Race) -> None:
    _, plan = coordinating(race)
    assert helped(race.first, plan).lease.shard == 0
    other = race.passes(lambda conn: helped(conn, plan, helper("host-2-0")))
    assert other.lease.shard == 1
    race.first.rollback()
    assert helped(race.observer, plan, helper("host-3-0")).lease.shard == 0


def test_of_two_who_take_over_a_shard_one_counts_the_crash(race: Race) -> None:
    _, plan = coordinating(race, 1)
    expire_shard(race.observer, helped(race.observer, plan).lease)
    taken = helped(race.first, plan, helper("host-2-0"))
    assert race.passes(lambda conn: shards.claim(conn, plan, helper("host-3-0"))) is None
    race.first.commit()
    assert (taken.lease.attempt, taken.crash_count) == (2, 1)
    assert race.passes(lambda conn: shards.claim(conn, plan, helper("host-3-0"))) is None


def test_the_coordinator_passes_by_what_a_helper_is_taking(race: Race) -> None:
    lease, plan = coordinating(race)
    helped(race.first, plan)
    assert race.passes(lambda conn: coordinated(conn, lease, plan)).lease.shard == 1


# ------------------------------------------------------------------------- an end and a claim


def began_in_time(race: Race, owner: Conn, plan: Plan) -> None:
    """Have the owner of a shard begin a transaction just before its lease runs out."""
    row = owner.execute("SELECT now()").fetchone()
    assert row is not None
    race.observer.execute(
        "UPDATE backtest_job_shards SET lease_expires_at = %s + interval '1 microsecond'"
        " WHERE job_id = %s AND state = 'running'",
        [row[0], plan.job_id],
    )


def test_nobody_takes_a_shard_whose_result_is_being_written(race: Race) -> None:
    _, plan = coordinating(race, 1)
    held = helped(race.observer, plan).lease
    began_in_time(race, race.first, plan)
    assert shards.finish(race.first, held, RESULT)
    assert race.passes(lambda conn: shards.claim(conn, plan, helper("host-2-0"))) is None
    race.first.commit()
    assert states(race.observer, plan.job_id) == [DONE]


@pytest.mark.parametrize("committed", [True, False])
def test_a_result_that_waited_for_another_claim_is_written_if_that_came_to_nothing(
    race: Race, committed: bool
) -> None:
    _, plan = coordinating(race, 1)
    held = helped(race.observer, plan).lease
    began_in_time(race, race.second, plan)
    helped(race.first, plan, helper("host-2-0"))
    finishing = race.waits(lambda conn: shards.finish(conn, held, RESULT))
    if committed:
        race.first.commit()
    else:
        race.first.rollback()
    assert race.ends(finishing) is not committed
    assert states(race.observer, plan.job_id) == [RUNNING if committed else DONE]


# ------------------------------------------------------------------------- the plan goes


def discard(lease: Lease) -> Callable[[Conn], Any]:
    return lambda conn: plans.discard(conn, lease, Stage.STAGE_A)


def test_a_result_that_waited_for_the_deletion_of_the_plan_is_lost(race: Race) -> None:
    lease, plan = coordinating(race)
    held = helped(race.observer, plan).lease
    assert discard(lease)(race.first)
    finishing = race.waits(lambda conn: shards.finish(conn, held, RESULT))
    race.first.commit()
    assert race.ends(finishing) is False
    assert count(race.observer, "backtest_job_shards") == 0


def test_the_deletion_of_a_plan_waits_for_a_result_and_takes_it_along(race: Race) -> None:
    lease, plan = coordinating(race)
    held = helped(race.observer, plan).lease
    assert shards.finish(race.first, held, RESULT)
    discarding = race.waits(discard(lease))
    race.first.commit()
    assert race.ends(discarding)
    assert count(race.observer, "backtest_job_shards") == 0


def test_a_claim_finds_nothing_of_a_plan_that_is_being_deleted(race: Race) -> None:
    lease, plan = coordinating(race)
    assert discard(lease)(race.first)
    assert race.passes(lambda conn: shards.claim(conn, plan, helper())) is None
    race.first.rollback()
    assert helped(race.observer, plan).lease.shard == 0


# ------------------------------------------------------------------------- the order of locks

HELPING: dict[str, Callable[[Conn, Plan], object]] = {
    "offer": lambda conn, plan: shards.offer(conn, plan.job_id, helper("host-9-0")),
    "claim": lambda conn, plan: shards.claim(conn, plan, helper("host-9-0")),
    "beat": lambda conn, plan: shards.beat(conn, helped(conn, plan).lease, 1),
    "finish": lambda conn, plan: shards.finish(conn, helped(conn, plan).lease, RESULT),
    "give back": lambda conn, plan: shards.give_back(conn, helped(conn, plan).lease),
    "results": plans.next_result,
    "scheduler": lambda conn, _: dispatch.help_wanted(conn, max_crashes=3, limit=1),
}


@pytest.mark.parametrize("act", HELPING.values(), ids=HELPING.keys())
def test_helpers_neither_wait_for_the_job_s_row_nor_lock_it(
    race: Race, act: Callable[[Conn, Plan], object]
) -> None:
    lease, plan = coordinating(race)
    finished(race.observer, plan, 1)
    race.first.execute("SELECT FROM backtest_jobs FOR UPDATE")
    assert race.passes(lambda conn: act(conn, plan))
    race.first.commit()
    assert act(race.first, plan)
    assert race.passes(lambda conn: leases.renew(conn, lease))


COORDINATING: dict[str, Callable[[Conn, Lease, Plan], object]] = {
    "plan": lambda conn, lease, _: plans.plan(conn, lease, new_plan(stage=Stage.STAGE_B)),
    "adopt": lambda conn, lease, plan: plans.adopt(
        conn, lease, plan.stage, engine_identity=ENGINE, candles_hash="b" * 64
    ),
    "claim": plans.claim,
    "progress": plans.progress,
    "beat": lambda conn, lease, plan: plans.beat(conn, lease, plan, own(lease, plan), 1),
    "finish": lambda conn, lease, plan: plans.finish(conn, lease, own(lease, plan), RESULT),
    "give back": lambda conn, lease, plan: plans.give_back(conn, lease, own(lease, plan)),
    "discard": lambda conn, lease, plan: plans.discard(conn, lease, plan.stage),
}


def own(lease: Lease, plan: Plan) -> ShardLease:
    """What the coordinator has of the first shard once it has claimed it."""
    return ShardLease(plan.job_id, plan.stage, plan.plan_id, 0, lease.locked_by, 1)


@pytest.mark.parametrize("act", COORDINATING.values(), ids=COORDINATING.keys())
def test_a_coordinator_that_waits_for_the_job_s_row_has_locked_no_shard(
    race: Race, act: Callable[[Conn, Lease, Plan], object]
) -> None:
    lease, plan = coordinating(race)
    coordinated(race.observer, lease, plan)
    race.first.execute("SELECT FROM backtest_jobs FOR UPDATE")
    acting = race.waits(lambda conn: act(conn, lease, plan))
    for table in ("backtest_job_plans", "backtest_job_shards"):
        race.observer.execute(f"SELECT FROM {table} FOR UPDATE NOWAIT")
    race.first.commit()
    assert race.ends(acting)


def test_a_claim_that_waited_for_a_reclaim_of_the_job_takes_no_shard(race: Race) -> None:
    stale, plan = coordinating(race)
    race.began_in_time(race.second, stale)
    reclaimed(race.first, stale.job_id, locked_by=SUCCESSOR)
    claiming = race.waits(lambda conn: plans.claim(conn, stale, plan))
    race.first.commit()
    assert race.ends(claiming) is None
    assert states(race.observer, plan.job_id) == [OPEN] * 3


def test_a_plan_that_waited_for_a_reclaim_of_the_job_is_not_made(race: Race) -> None:
    stale = claimed(race.observer)
    race.began_in_time(race.second, stale)
    reclaimed(race.first, stale.job_id, locked_by=SUCCESSOR)
    planning = race.waits(lambda conn: plans.plan(conn, stale, new_plan()))
    race.first.commit()
    assert race.ends(planning) is None
    assert count(race.observer, "backtest_job_plans") == 0


def test_a_plan_that_was_being_made_when_its_answer_was_lost_is_made_once(race: Race) -> None:
    """The connection is gone, and the server commits what it had been sent."""
    lease, new = claimed(race.observer), new_plan()
    first = plans.plan(race.first, lease, new)
    planning = race.waits(lambda conn: plans.plan(conn, lease, new))
    race.first.commit()
    assert race.ends(planning) == first


def test_the_coordinator_that_adopts_a_plan_has_what_the_one_before_wrote_last(
    race: Race,
) -> None:
    lease, plan = coordinating(race)
    race.began_in_time(race.first, lease)
    taken = coordinated(race.first, lease, plan)
    race.first.commit()  # and renewed the lease
    expire(race.observer, lease.job_id)
    successor = reclaimed(race.observer, lease.job_id)
    answer = plans.adopt(
        race.observer, successor, plan.stage, engine_identity=ENGINE, candles_hash=CANDLES
    )
    assert answer is not None
    assert answer.value == plan
    assert states(race.observer, plan.job_id) == [RUNNING, OPEN, OPEN]
    assert shards.give_back(race.observer, taken.lease)


# ------------------------------------------------------------------------- the end of the job


def test_a_cancel_waits_for_no_helper_and_stops_them_all(race: Race) -> None:
    lease, plan = coordinating(race)
    held = helped(race.observer, plan).lease
    assert shards.beat(race.first, held, 3)
    race.passes(lambda conn: jobs.cancel(conn, lease.job_id, client=Client.API))
    race.first.commit()
    assert not shards.beat(race.observer, held, 4)


def test_the_end_of_a_job_waits_for_no_helper(race: Race) -> None:
    lease, plan = coordinating(race)
    assert shards.finish(race.first, helped(race.observer, plan).lease, RESULT)
    assert race.passes(lambda conn: fail(conn, lease))
    sweeping = race.waits(lambda conn: dispatch.sweep_plans(conn, batch=10))
    race.first.commit()
    assert race.ends(sweeping) == 1
