"""Plans of a job's stages: made, adopted and deleted by whoever owns the job, nobody else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from storage import jobs, plans, result_texts, results, shards
from storage.plan_records import (
    ClaimedShard,
    Granted,
    NewShard,
    Plan,
    ShardResult,
    ShardState,
    Tally,
)
from storage.records import Beat, Client, Lease, Stage, State
from tests.storage.making import (
    OUTCOMES,
    SHORTLIST,
    claimed,
    count,
    current,
    expire,
    reclaimed,
    session,
    succeed,
    variants,
)
from tests.storage.sharing import (
    CANDLES,
    ENGINE,
    FAILURE,
    MAX_CRASHES,
    RESULT,
    UNITS,
    coordinated,
    everything_planned,
    expire_shard,
    finished,
    helped,
    helper,
    new_plan,
    planned,
    states,
)

Conn = psycopg.Connection[Any]
OPEN, RUNNING, DONE, FAILED = ShardState


def adopt(conn: Conn, lease: Lease, stage: Stage = Stage.STAGE_A, **changes: str) -> Plan | None:
    answer = plans.adopt(
        conn, lease, stage, **{"engine_identity": ENGINE, "candles_hash": CANDLES} | changes
    )
    assert answer is not None
    return answer.value


class Coordinator:
    """The owner of a job with a plan of three shards, of which it has the first."""

    def __init__(self, conn: Conn) -> None:
        self.conn = conn
        self.lease = claimed(conn)
        self.plan = planned(conn, self.lease)
        self.own = coordinated(conn, self.lease, self.plan).lease

    def everything(self) -> object:
        return everything_planned(self.conn, self.lease.job_id)


def test_a_new_plan_is_told_to_the_scheduler_and_its_repetition_is_not(
    database: str, connection: Conn
) -> None:
    lease, new = claimed(connection), new_plan()
    with psycopg.connect(database, autocommit=True) as listening:
        listening.execute("LISTEN backtest_jobs")
        for _ in range(2):
            with connection.transaction():
                assert plans.plan(connection, lease, new) is not None
        connection.execute("NOTIFY backtest_jobs, 'end'")
        told = []
        while "end" not in told:
            told += [n.payload for n in listening.notifies(timeout=20, stop_after=1)]
    assert told == [str(lease.job_id), "end"]


@pytest.fixture
def coordinator(connection: Conn) -> Coordinator:
    return Coordinator(connection)


def in_one_transaction(
    write: Callable[[Coordinator], Beat | None],
) -> Callable[[Coordinator], Beat | None]:
    def act(coordinator: Coordinator) -> Beat | None:
        with coordinator.conn.transaction():
            return write(coordinator)

    return act


# Each is done by `Coordinator`; `plan` makes one of another stage.
WRITES: dict[str, Callable[[Coordinator], Beat | None]] = {
    "plan": lambda it: plans.plan(it.conn, it.lease, new_plan(2, stage=Stage.STAGE_B)),
    "adopt": lambda it: plans.adopt(
        it.conn, it.lease, Stage.STAGE_A, engine_identity="engine-2", candles_hash=CANDLES
    ),
    "claim": lambda it: plans.claim(it.conn, it.lease, it.plan),
    "progress": lambda it: plans.progress(it.conn, it.lease, it.plan),
    "beat": lambda it: plans.beat(it.conn, it.lease, it.plan, it.own, 7),
    "finish": lambda it: plans.finish(it.conn, it.lease, it.own, RESULT),
    "give back": lambda it: plans.give_back(it.conn, it.lease, it.own),
    "discard": lambda it: plans.discard(it.conn, it.lease, Stage.STAGE_A),
}
every_write = pytest.mark.parametrize(
    "write", [in_one_transaction(write) for write in WRITES.values()], ids=WRITES.keys()
)


# --- the guard


@every_write
def test_the_owner_of_the_job_writes_and_renews_its_lease(
    coordinator: Coordinator, write: Callable[[Coordinator], Beat | None]
) -> None:
    coordinator.lease = replace(coordinator.lease, seconds=90)
    answer = write(coordinator)
    assert answer is not None
    assert not answer.cancel_requested
    job = current(coordinator.conn, coordinator.lease.job_id)
    assert job.lease_expires_at is not None
    assert job.heartbeat_at is not None
    assert job.lease_expires_at - job.heartbeat_at == timedelta(seconds=90)


@every_write
def test_a_coordinator_whose_lease_ran_out_writes_nothing(
    coordinator: Coordinator, write: Callable[[Coordinator], Beat | None]
) -> None:
    expire(coordinator.conn, coordinator.lease.job_id)
    before = coordinator.everything()
    assert write(coordinator) is None
    assert coordinator.everything() == before


@every_write
def test_a_coordinator_writes_nothing_over_its_successor(
    coordinator: Coordinator, write: Callable[[Coordinator], Beat | None]
) -> None:
    expire(coordinator.conn, coordinator.lease.job_id)
    reclaimed(coordinator.conn, coordinator.lease.job_id)
    before = coordinator.everything()
    assert write(coordinator) is None
    assert coordinator.everything() == before


@every_write
def test_nobody_plans_for_a_job_that_has_ended(
    coordinator: Coordinator, write: Callable[[Coordinator], Beat | None]
) -> None:
    assert succeed(coordinator.conn, coordinator.lease, []) is State.SUCCEEDED
    before = coordinator.everything()
    assert write(coordinator) is None
    assert coordinator.everything() == before


@every_write
def test_every_answer_brings_the_request_to_cancel(
    coordinator: Coordinator, write: Callable[[Coordinator], Beat | None]
) -> None:
    jobs.cancel(coordinator.conn, coordinator.lease.job_id, client=Client.CLI)
    answer = write(coordinator)
    assert answer is not None
    assert answer.cancel_requested


# --- plans


def test_a_plan_is_stored_with_all_its_shards(connection: Conn) -> None:
    lease = claimed(connection)
    listed = [NewShard({"at": number, "имя": "λ"}, 2**40 + number) for number in range(5)]
    new = new_plan(shards=plans.document(iter(listed)))
    with connection.transaction():
        answer = plans.plan(connection, lease, new)
    assert answer is not None
    made = answer.value
    assert (made.job_id, made.stage, made.plan_id, made.shards) == (
        *(lease.job_id, "stage_a", new.plan_id, 5),
    )
    taken = [coordinated(connection, lease, made) for _ in range(1)]
    assert taken == [
        ClaimedShard(taken[0].lease, {"at": 0, "имя": "λ"}, 2**40, 0),
    ]
    stored = connection.execute(
        "SELECT shard, plan_id, part, total_units FROM backtest_job_shards ORDER BY shard"
    ).fetchall()
    assert stored == [
        (number, new.plan_id, shard.part, shard.units) for number, shard in enumerate(listed)
    ]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_part_is_json(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        plans.document([NewShard({"edge": number}, 1)])


def test_a_plan_whose_answer_was_lost_is_made_once(connection: Conn) -> None:
    lease, new = claimed(connection), new_plan()
    answers = []
    for _ in range(2):
        with connection.transaction():
            answers.append(plans.plan(connection, lease, new))
    assert answers[0] == answers[1]
    assert states(connection, lease.job_id) == [OPEN] * 3


def test_a_second_plan_of_a_stage_is_refused(coordinator: Coordinator) -> None:
    before = coordinator.everything()
    with pytest.raises(plans.PlannedAlready, match=str(coordinator.plan.plan_id)):
        planned(coordinator.conn, coordinator.lease)
    assert coordinator.everything() == before


def test_a_plan_without_shards_is_refused(connection: Conn) -> None:
    lease = claimed(connection)
    with pytest.raises(psycopg.errors.CheckViolation):
        planned(connection, lease, 0)


def test_two_stages_have_plans_of_their_own(connection: Conn) -> None:
    lease = claimed(connection)
    first = planned(connection, lease, 2, stage=Stage.STAGE_B)
    second = planned(connection, lease, 1, stage=Stage.VALIDATION)
    finished(connection, second, 1, b"validated")
    finished(connection, first, 1, b"scored")
    assert plans.next_result(connection, first) == ShardResult(0, b"scored")
    assert plans.next_result(connection, second) == ShardResult(0, b"validated")
    assert plans.tally(connection, first).done == plans.tally(connection, second).done == 1
    assert plans.discard(connection, lease, Stage.VALIDATION) == Beat(cancel_requested=False)
    assert adopt(connection, lease, Stage.STAGE_B) == first
    assert adopt(connection, lease, Stage.VALIDATION) is None


# --- adoption


def test_a_new_coordinator_adopts_the_plan_with_all_that_is_done_and_running(
    connection: Conn,
) -> None:
    lease = claimed(connection)
    plan = planned(connection, lease, 4)
    finished(connection, plan, 1)
    helping = helped(connection, plan).lease
    own = coordinated(connection, lease, plan).lease
    expire(connection, lease.job_id)
    _, before_plans, before_shards = everything_planned(connection, lease.job_id)

    successor = reclaimed(connection, lease.job_id)
    assert adopt(connection, successor) == plan
    _, after_plans, after_shards = everything_planned(connection, lease.job_id)
    assert (after_plans, after_shards) == (before_plans, before_shards)
    assert shards.finish(connection, helping, RESULT)
    expire_shard(connection, own)
    rescued = coordinated(connection, successor, plan)
    assert (rescued.lease.shard, rescued.lease.attempt, rescued.crash_count) == (2, 2, 1)


@pytest.mark.parametrize(
    "mine", [{"engine_identity": "engine-2"}, {"candles_hash": "b" * 64}], ids=str
)
def test_a_plan_of_another_engine_or_of_other_candles_is_deleted_in_whatever_stage(
    coordinator: Coordinator, mine: dict[str, str]
) -> None:
    conn, lease = coordinator.conn, coordinator.lease
    planned(conn, lease, 2, stage=Stage.STAGE_B)
    kept = planned(conn, lease, 2, stage=Stage.VALIDATION, **mine)
    elsewhere = planned(conn, claimed(conn))
    assert adopt(conn, lease, Stage.STAGE_A, **mine) is None
    stored = conn.execute("SELECT plan_id FROM backtest_job_plans").fetchall()
    assert {plan_id for (plan_id,) in stored} == {kept.plan_id, elsewhere.plan_id}
    assert adopt(conn, lease, Stage.VALIDATION, **mine) == kept
    planned(conn, lease)  # there is room for another


def test_a_job_without_plans_has_none_to_adopt(connection: Conn) -> None:
    assert adopt(connection, claimed(connection)) is None


# --- the coordinator's own shards


def test_the_coordinator_claims_in_its_own_name_whatever_is_left(connection: Conn) -> None:
    lease = claimed(connection)
    plan = planned(connection, lease, 4)
    for number in range(MAX_CRASHES + 1):
        expire_shard(connection, helped(connection, plan, helper(f"host-{number}-0")).lease)
    shards.fail(connection, helped(connection, plan, helper("host-8-0")).lease, FAILURE)
    helped(connection, plan, helper("host-9-0"))
    taken = []
    for _ in range(3):
        taken.append(coordinated(connection, lease, plan))
        assert plans.finish(connection, lease, taken[-1].lease, RESULT) == Granted(False, True)
    assert [(one.lease.shard, one.lease.attempt, one.crash_count) for one in taken] == [
        (0, 2 + MAX_CRASHES, 1 + MAX_CRASHES),
        (1, 2, 0),
        (3, 1, 0),
    ]
    assert {one.lease.locked_by for one in taken} == {lease.locked_by}
    assert plans.claim(connection, lease, plan) == Granted(False, None)
    assert states(connection, plan.job_id) == [DONE, DONE, RUNNING, DONE]


def test_a_claim_of_the_coordinator_whose_answer_was_lost_is_given_again(
    coordinator: Coordinator,
) -> None:
    again = coordinated(coordinator.conn, coordinator.lease, coordinator.plan)
    assert (again.lease.shard, again.lease.attempt, again.crash_count) == (0, 2, 0)


def test_a_coordinator_learns_that_its_shard_was_taken(coordinator: Coordinator) -> None:
    conn, own = coordinator.conn, coordinator.own
    expire_shard(conn, own)
    taken = helped(conn, coordinator.plan)
    assert taken.lease.shard == own.shard
    for name in ("beat", "finish", "give back"):
        assert in_one_transaction(WRITES[name])(coordinator) == Granted(False, False)
    assert shards.finish(conn, taken.lease, RESULT)


def test_a_coordinator_has_no_part_in_the_plan_of_another_job(coordinator: Coordinator) -> None:
    conn, lease = coordinator.conn, coordinator.lease
    theirs = claimed(conn)
    plan = planned(conn, theirs)
    before = everything_planned(conn, theirs.job_id)
    assert plans.claim(conn, lease, plan) == Granted(False, None)
    assert plans.progress(conn, lease, plan) is not None
    assert everything_planned(conn, theirs.job_id) == before


def test_a_shard_that_the_coordinator_gives_back_is_open(coordinator: Coordinator) -> None:
    assert in_one_transaction(WRITES["give back"])(coordinator) == Granted(False, True)
    assert states(coordinator.conn, coordinator.lease.job_id) == [OPEN] * 3


# --- progress, results, the end


def test_the_progress_of_a_job_is_the_sum_over_its_shards(coordinator: Coordinator) -> None:
    conn, lease, plan = coordinator.conn, coordinator.lease, coordinator.plan
    planned(conn, lease, 5, stage=Stage.STAGE_B)
    finished(conn, plan, 1)
    shards.beat(conn, helped(conn, plan).lease, 4)
    shards.beat(conn, coordinator.own, 3)
    assert plans.progress(conn, lease, plan) == Beat(cancel_requested=False)
    job = current(conn, lease.job_id)
    assert (job.stage, job.processed_units, job.total_units) == ("stage_a", 17, 3 * UNITS)
    assert job.progress_updated_at == job.heartbeat_at


def test_what_was_done_before_a_stage_was_shared_counts(coordinator: Coordinator) -> None:
    conn, lease, plan = coordinator.conn, coordinator.lease, coordinator.plan
    assert plans.progress(conn, lease, plan, before=2**40) is not None
    job = current(conn, lease.job_id)
    assert (job.processed_units, job.total_units) == (2**40, 2**40 + 3 * UNITS)
    assert plans.beat(conn, lease, plan, coordinator.own, 3, before=5) is not None
    plans.progress(conn, lease, plan, before=5)
    assert current(conn, lease.job_id).processed_units == 8


def test_shards_are_counted_by_state(connection: Conn) -> None:
    lease = claimed(connection)
    plan = planned(connection, lease, 7)
    planned(connection, lease, 2, stage=Stage.STAGE_B)
    finished(connection, plan, 2)
    shards.fail(connection, helped(connection, plan).lease, FAILURE)
    shards.beat(connection, helped(connection, plan, helper("host-1-0")).lease, 4)
    expire_shard(connection, helped(connection, plan, helper("host-2-0")).lease)
    counted = plans.tally(connection, plan)
    assert counted == Tally(
        open=2, running=2, done=2, failed=1, expired=1, processed_units=24, total_units=70
    )
    assert not counted.complete


@pytest.mark.parametrize(
    ("counts", "complete", "claimable"),
    [
        ({"done": 3}, True, False),
        ({"done": 2, "running": 1}, False, False),
        ({"done": 2, "running": 1, "expired": 1}, False, True),
        ({"done": 2, "failed": 1}, False, True),
        ({"done": 2, "open": 1}, False, True),
    ],
    ids=str,
)
def test_a_plan_is_complete_when_all_is_done(
    counts: dict[str, int], complete: bool, claimable: bool
) -> None:
    none = dict.fromkeys(("open", "running", "done", "failed", "expired"), 0)
    counted = Tally(**none | counts, processed_units=0, total_units=0)
    assert (counted.complete, counted.claimable) == (complete, claimable)


def test_results_are_read_one_at_a_time_in_the_order_of_shards(connection: Conn) -> None:
    lease = claimed(connection)
    plan = planned(connection, lease, 4)
    held = [helped(connection, plan, helper(f"host-{number}-0")).lease for number in range(4)]
    for number in (3, 0, 2):
        shards.finish(connection, held[number], bytes([number]))
    read = [plans.next_result(connection, plan)]
    while read[-1] is not None:
        read.append(plans.next_result(connection, plan, read[-1].shard))
    assert read == [*(ShardResult(number, bytes([number])) for number in (0, 2, 3)), None]
    assert plans.next_result(connection, replace(plan, plan_id=uuid4())) is None


def test_what_a_plan_was_merged_to_is_written_as_the_plan_goes(
    coordinator: Coordinator,
) -> None:
    conn, lease = coordinator.conn, coordinator.lease

    def write(then: Callable[[], object]) -> None:
        with conn.transaction():
            assert plans.discard(conn, lease, Stage.STAGE_A)
            assert results.save_shortlist(conn, lease, SHORTLIST, OUTCOMES)
            then()

    with pytest.raises(ZeroDivisionError):
        write(lambda: 1 / 0)
    assert states(conn, lease.job_id) == [RUNNING, OPEN, OPEN]
    assert results.shortlist(conn, lease.job_id) is None
    write(lambda: None)
    assert states(conn, lease.job_id) == []
    assert results.shortlist(conn, lease.job_id) is not None


def test_the_end_of_a_job_takes_its_plans_with_it(coordinator: Coordinator) -> None:
    conn, lease = coordinator.conn, coordinator.lease
    planned(conn, lease, 2, stage=Stage.STAGE_B)
    document = result_texts.rows(variants(2, reports=True), reports=True)
    with conn.transaction():
        assert plans.discard(conn, lease, *Stage)
        assert results.succeed(conn, lease, document) is State.SUCCEEDED
    assert count(conn, "backtest_job_plans") == count(conn, "backtest_job_shards") == 0


# --- how it travels


def test_small_writes_travel_as_one_message_and_a_result_by_itself(
    database: str, connection: Conn
) -> None:
    lease, new = claimed(connection), new_plan()
    with session(database) as mine:
        made = mine.run(lambda conn: plans.plan(conn, lease, new), joined=True)
        assert made is not None
        plan = made.value
        ours = {"engine_identity": ENGINE, "candles_hash": CANDLES}
        adopted = mine.run_one(lambda conn: plans.adopt(conn, lease, plan.stage, **ours))
        assert adopted == made
        taken = mine.run_one(lambda conn: plans.claim(conn, lease, plan))
        assert taken is not None
        assert taken.value is not None
        own = taken.value.lease
        for act in (
            lambda conn: plans.beat(conn, lease, plan, own, 3),
            lambda conn: plans.finish(conn, lease, own, RESULT),
        ):
            assert mine.run(act, joined=True) == Granted(False, True)
        assert mine.run_one(lambda conn: shards.offer(conn, lease.job_id, helper())) == plan
        held = mine.run_one(lambda conn: helped(conn, plan)).lease
        assert mine.run_one(lambda conn: shards.beat(conn, held, 4))
        assert mine.run_one(lambda conn: plans.progress(conn, lease, plan))
        assert mine.run_one(lambda conn: plans.tally(conn, plan)).processed_units == UNITS + 4
        assert mine.run_one(lambda conn: shards.give_back(conn, held))
        assert mine.run(lambda conn: plans.next_result(conn, plan)) == (0, RESULT)
        assert mine.run_one(lambda conn: plans.discard(conn, lease, *Stage))
    assert count(connection, "backtest_job_shards") == 0
