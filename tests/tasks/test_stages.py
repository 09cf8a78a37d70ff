"""A job whose stages are shared, by the worker that owns it: planned, computed, merged, adopted."""

import os
import signal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from storage import plans, shards
from storage.plan_records import ClaimedShard, Helper, Plan, ShardState
from storage.records import EventName, Failure, FailureCode, Job, Stage, State
from tasks import compute, identity, runner, serving, supervisor
from tasks.messages import Assignment, Divided
from tasks.parent import Parent
from tasks.worker import Worker
from tests.faults.harness import Stack, wait_for
from tests.storage.sharing import expire_shard
from tests.tasks.answering import answering, counted, run
from tests.tasks.sharing import (
    Slow,
    Witness,
    computed_alone,
    shared_in,
    shared_sweep,
    sharing,
    with_children,
)

Rows = list[tuple[str, ...]]


def plans_left(stack: Stack, job_id: UUID) -> int:
    row = stack.connection.execute(
        "SELECT count(*) FROM backtest_job_plans WHERE job_id = %s", (job_id,)
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("shard_seconds", [0.002, 0.005, 0.01])
def test_one_worker_computes_a_shared_job_as_it_would_compute_it_alone(
    stack: Stack, worker: Worker, alone: Rows, witness: Witness, shard_seconds: float
) -> None:
    job = run(stack, sharing(worker, shard_seconds), shared_sweep())
    assert job.state is State.SUCCEEDED, job.last_error_json
    assert stack.stored_bytes(job.job_id) == alone
    assert witness.none_twice(job.job_id)
    assert (job.processed_units, job.total_units) == (60, 60)
    assert stack.events(job.job_id) == [
        EventName.QUEUED,
        EventName.CLAIMED,
        *[EventName.STAGE_STARTED] * 3,
        EventName.SUCCEEDED,
    ]
    assert plans_left(stack, job.job_id) == 0


def test_a_small_job_asks_for_no_plan(
    stack: Stack, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("plan", "adopt", "claim", "discard", "tally"):
        monkeypatch.delattr(plans, name)
    assert run(stack, worker).state is State.SUCCEEDED


# ------------------------------------------------------------------------- when the child dies


def dies_in_the_fifth_part(pipe: Any, assignment: Assignment) -> None:
    """Of whichever stage it begins with."""
    ordered, left = serving.run, [5]

    def run(*args: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return ordered(*args)

    serving.run = run
    compute.main(pipe, assignment)


def dies_in_the_last_part(pipe: Any, assignment: Assignment) -> None:
    """So there is nothing left for anybody but what it died of."""
    ordered, sent, left = serving.run, Parent.send, [0]

    def send(parent: Parent, message: Any) -> None:
        if isinstance(message, Divided):
            left[0] = len(message.pieces)
        sent(parent, message)

    def run(*args: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return ordered(*args)

    serving.run, Parent.send = run, send  # type: ignore[method-assign]
    compute.main(pipe, assignment)


def fails_in_the_fifth_part(pipe: Any, assignment: Assignment) -> None:
    ordered, left = serving.run, [5]

    def run(*args: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise MemoryError
        return ordered(*args)

    serving.run = run
    compute.main(pipe, assignment)


def forked(worker: Worker, *targets: Any) -> Worker:
    return with_children(sharing(worker), *targets)


@pytest.mark.parametrize("dies", [dies_in_the_fifth_part, dies_in_the_last_part])
def test_a_child_that_takes_the_place_of_a_dead_one_goes_on_with_what_is_done(
    stack: Stack, worker: Worker, alone: Rows, witness: Witness, dies: Any
) -> None:
    with capture_logs() as lines:
        job = run(stack, forked(worker, dies, compute.main), shared_sweep())
    assert (job.state, job.attempt) == (State.SUCCEEDED, 1)
    assert stack.stored_bytes(job.job_id) == alone
    assert witness.none_twice(job.job_id)
    assert [line["event"] for line in lines if line["event"].startswith("plan_")] == [
        *("plan_made", "plan_adopted", "plan_made"),
    ]


def test_what_fails_in_the_coordinator_s_own_child_fails_the_job(
    stack: Stack, worker: Worker
) -> None:
    job = run(stack, forked(worker, fails_in_the_fifth_part), shared_sweep())
    assert job.state is State.FAILED
    assert job.last_error_json is not None
    assert job.last_error_json["code"] == FailureCode.MEMORY_LIMIT_EXCEEDED


# ------------------------------------------------------------------------- with a helper by hand

HELPER = Helper("host-9-00000009", identity.ENGINE, max_crashes=3)


class ByHand:
    """A helper that computes nothing: it takes a shard of a stage, and does as it is told."""

    def __init__(self, stack: Stack, job_id: UUID, stage: Stage) -> None:
        self._stack = stack
        self._conn = stack.connection
        self.plan: Plan = wait_for(lambda: self._offered(job_id, stage), f"a plan of {stage}")
        self.taken: ClaimedShard = wait_for(self._claimed, "a shard")

    def _offered(self, job_id: UUID, stage: Stage) -> Plan | None:
        plan = shards.offer(self._conn, job_id, HELPER)
        return plan if plan is not None and plan.stage is stage else None

    def _claimed(self) -> ClaimedShard | None:
        return shards.claim(self._conn, self.plan, HELPER)

    def until_the_others_are_done(self) -> None:
        wait_for(
            lambda: plans.tally(self._conn, self.plan).done == self.plan.shards - 1,
            "the end of all other shards",
            every=0.05,
        )
        assert self._stack.job(self.plan.job_id).state is State.RUNNING


every_stage = pytest.mark.parametrize("stage", [Stage.STAGE_A, Stage.STAGE_B, Stage.VALIDATION])


@every_stage
@pytest.mark.parametrize("end", ["fails", "gives back", "vanishes"])
def test_a_shard_that_a_helper_leaves_is_computed_by_the_coordinator(
    stack: Stack, worker: Worker, witness: Witness, stage: Stage, end: str
) -> None:
    alone = computed_alone(stack, worker, stage)
    job_id = stack.submit(shared_in(stage))
    with answering(sharing(worker), runner.run, job_id) as answered:
        helper = ByHand(stack, job_id, stage)
        helper.until_the_others_are_done()
        held = helper.taken.lease
        match end:
            case "fails":
                failure = Failure(FailureCode.UNEXPECTED_ERROR, "It cannot be done here.", {})
                assert shards.fail(stack.connection, held, failure)
            case "gives back":
                assert shards.give_back(stack.connection, held)
            case "vanishes":
                expire_shard(stack.connection, held)
        answered.result(60)
    assert stack.job(job_id).state is State.SUCCEEDED
    assert stack.stored_bytes(job_id) == alone
    assert witness.none_twice(job_id, stage)


BASES = 6 * 60 * 13 * 3


@pytest.mark.parametrize(
    ("stage", "units"),
    [
        (Stage.STAGE_A, BASES),
        (Stage.VALIDATION, 5 + 3 + BASES + 3 * BASES),  # rows, replays, records, draws
    ],
)
def test_progress_is_the_sum_over_all_shards_and_what_was_done_before(
    stack: Stack, worker: Worker, stage: Stage, units: int
) -> None:
    job_id = stack.submit(shared_in(stage))
    with answering(sharing(worker), runner.run, job_id):
        helper = ByHand(stack, job_id, stage)
        helper.until_the_others_are_done()
        half = helper.taken.total_units // 2
        assert shards.beat(stack.connection, helper.taken.lease, half)
        left = helper.taken.total_units - half

        def summed() -> bool:
            job = stack.job(job_id)
            return (job.processed_units, job.total_units) == (units - left, units)

        wait_for(summed, "the sum", every=0.05)


def test_a_stage_b_that_waits_for_others_shows_what_it_has(
    stack: Stack, worker: Worker, alone: Rows
) -> None:
    job_id = stack.submit(shared_sweep())
    eager = sharing(worker, snapshot_seconds=0.05)
    with answering(eager, runner.run, job_id) as answered:
        helper = ByHand(stack, job_id, Stage.STAGE_B)
        helper.until_the_others_are_done()
        rows = wait_for(lambda: stack.rows(job_id), "a snapshot", every=0.05)
        assert [row.rank for row in rows] == list(range(1, len(rows) + 1))
        assert all(row.report_table_md is None for row in rows)
        assert shards.give_back(stack.connection, helper.taken.lease)
        answered.result(60)
    assert stack.stored_bytes(job_id) == alone


def test_a_coordinator_whose_shard_was_taken_over_leaves_it_to_the_other(
    stack: Stack, worker: Worker, alone: Rows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervisor, "WRITE_SECONDS", 0.02)
    job_id = stack.submit(shared_sweep())
    conn = stack.connection
    slow = Slow(tmp_path)
    with capture_logs() as lines, answering(forked(worker, slow.target), runner.run, job_id) as end:
        plan = wait_for(lambda: shards.offer(conn, job_id, HELPER), "a plan")
        wait_for(lambda: plans.tally(conn, plan).running, "a shard of the coordinator", every=0.05)
        with conn.transaction():  # between two of its beats
            conn.execute(
                "UPDATE backtest_job_shards SET lease_expires_at = now() - interval '1 minute'"
                " WHERE job_id = %s AND state = 'running'",
                (job_id,),
            )
            theirs = shards.claim(conn, plan, HELPER)
        assert theirs is not None
        assert (theirs.lease.shard, theirs.crash_count) == (0, 1)
        wait_for(
            lambda: any(line["event"] == "shard_lost" for line in lines), "its loss", every=0.05
        )
        assert shards.give_back(conn, theirs.lease)
        slow.open()
        end.result(60)
    assert stack.stored_bytes(job_id) == alone


# ------------------------------------------------------------------------- from owner to owner


@every_stage
def test_who_comes_next_computes_what_is_not_done(
    stack: Stack, worker: Worker, witness: Witness, stage: Stage
) -> None:
    alone = computed_alone(stack, worker, stage)
    job_id = stack.submit(shared_in(stage))
    with answering(sharing(worker), runner.run, job_id) as answered:
        helper = ByHand(stack, job_id, stage)
        wait_for(lambda: plans.tally(stack.connection, helper.plan).done >= 2, "two shards")
        worker.stopping.set()
        answered.result(60)
    assert_released(stack, job_id, helper)
    assert shards.give_back(stack.connection, helper.taken.lease)
    before = witness.ends(job_id, stage)

    worker.stopping.clear()
    runner.run(job_id, sharing(worker, 1e9))  # which would divide nothing by itself
    ended = stack.job(job_id)
    assert (ended.state, ended.attempt, ended.crash_count) == (State.SUCCEEDED, 2, 0)
    assert stack.stored_bytes(job_id) == alone
    done = witness.ends(job_id, stage)
    assert done[: len(before)] == before
    assert sorted(shard for shard, _ in done) == list(range(helper.plan.shards))
    assert plans_left(stack, job_id) == 0


def assert_released(stack: Stack, job_id: UUID, helper: ByHand) -> None:
    job: Job = stack.job(job_id)
    assert (job.state, job.locked_by) == (State.RUNNING, None)
    states = {
        line.shard: line.state
        for line in shards.lines(job_id).of(stack.connection)
        if line.stage is helper.plan.stage
    }
    assert states.pop(helper.taken.lease.shard) is ShardState.RUNNING
    assert ShardState.RUNNING not in states.values()


def test_a_plan_of_other_candles_is_made_anew(
    stack: Stack, worker: Worker, alone: Rows, witness: Witness
) -> None:
    job_id = stack.submit(shared_sweep())
    with answering(sharing(worker), runner.run, job_id) as answered:
        helper = ByHand(stack, job_id, Stage.STAGE_A)
        wait_for(lambda: plans.tally(stack.connection, helper.plan).done >= 2, "two shards")
        worker.stopping.set()
        answered.result(60)
    conn = stack.connection
    with conn.transaction():  # as if it had been made before an import
        conn.execute("ALTER TABLE backtest_job_plans DISABLE TRIGGER backtest_job_plans_stay")
        conn.execute("UPDATE backtest_job_plans SET candles_hash = repeat('0', 64)")
        conn.execute("ALTER TABLE backtest_job_plans ENABLE TRIGGER backtest_job_plans_stay")

    worker.stopping.clear()
    runner.run(job_id, sharing(worker))
    assert stack.stored_bytes(job_id) == alone
    assert len(witness.ends(job_id, "stage_a")) > helper.plan.shards


def test_a_cancelled_job_ends_in_the_middle_of_a_shared_stage(stack: Stack, worker: Worker) -> None:
    job_id = stack.submit(shared_sweep())
    with answering(sharing(worker), runner.run, job_id) as answered:
        ByHand(stack, job_id, Stage.STAGE_B)
        stack.connection.execute(
            "UPDATE backtest_jobs SET cancel_requested_at = now() WHERE job_id = %s", (job_id,)
        )
        answered.result(60)
    assert stack.job(job_id).state is State.CANCELLED
    assert counted(worker) == {"claimed": 1, "cancelled": 1}
