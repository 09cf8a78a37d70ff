"""A job that is shared, step by step against a plain model: whatever is done in whatever order.

Hypothesis plays coordinators, helpers, users, schedulers and time, as in `test_model`. Every lease
that was ever given, of a job or of a shard, is kept and used again, and so is every plan.
"""

from typing import TypeVar
from uuid import UUID

import psycopg
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from storage import dispatch, jobs, leases, plans, shards
from storage.plan_records import ClaimedShard, Granted, Plan, ShardLease, Tally
from storage.records import Beat, Claimed, Client, Lease, Stage
from tests.storage.making import claim, expire, submitted
from tests.storage.shard_model import MAX_CRASHES, UNITS, JobModel, PlanModel, ShardModel
from tests.storage.sharing import FAILURE, expire_shard, helper, new_plan

Thing = TypeVar("Thing")

HELPERS = ["host-1-0", "host-2-0"]
OWNERS = ["owner-1-0", "owner-2-0"]
ENGINES = ["engine-1", "engine-1", "engine-2"]
CANDLES = ["a" * 64, "a" * 64, "b" * 64]
STAGES = [Stage.STAGE_A, Stage.VALIDATION]

some = st.integers(0, 1000)


class Sharing(RuleBasedStateMachine):
    """One job after the other."""

    database = ""

    def __init__(self) -> None:
        super().__init__()
        self.conn = psycopg.connect(self.database, autocommit=True)
        self.conn.execute("DELETE FROM backtest_jobs")
        self.jobs: list[JobModel] = []
        self.leases: list[Lease] = []
        self.plans: list[Plan] = []
        self.held: list[ShardLease] = []
        self.written = 0

    def teardown(self) -> None:
        self.conn.close()

    def one(self, which: int, among: list[Thing]) -> Thing:
        """Any, though mostly the last."""
        few = (among, among[-3:], among[-1:], among[-1:])[which % 4]
        return few[which // 4 % len(few)]

    @property
    def job(self) -> JobModel:
        return self.jobs[-1]

    def of(self, job_id: UUID) -> JobModel:
        return next(job for job in self.jobs if job.job_id == job_id)

    # --------------------------------------------------------------------------- owners

    @initialize()
    def begin(self) -> None:
        self.submit()
        self.plan(3, 0, 2)

    def submit(self) -> None:
        job = submitted(self.conn)
        taken = claim(self.conn, job.job_id, locked_by=OWNERS[0], engine_version=ENGINES[0])
        assert isinstance(taken, Claimed)
        self.leases.append(taken.lease)
        self.jobs.append(JobModel(job.job_id, ENGINES[0], OWNERS[0]))

    @rule(what=st.integers(0, 9), which=some, other=some, number=st.integers(0, 2))
    def coordinate(self, what: int, which: int, other: int, number: int) -> None:
        """What changes plans; few rules, so that a run has most of what happens to shards."""
        match what:
            case 0 | 1:
                self.owner_changes(other, ENGINES[number])
            case 2 | 3:
                self.adopt(which, other, CANDLES[number])
            case 4:
                self.discard(which, other)
            case _:
                self.plan(which, other, 1 + number)

    def owner_changes(self, owner: int, engine: str) -> None:
        """The last one vanished, or released the job; where it has ended, there is another."""
        job, who = self.job, self.one(owner, OWNERS)
        if job.alive and not job.ended:
            expire(self.conn, job.job_id)
        taken = claim(
            self.conn, job.job_id, locked_by=who, engine_version=engine, max_crashes=10_000
        )
        if isinstance(taken, Claimed):
            job.owner, job.alive, job.engine = who, True, engine
            job.attempt += 1
            self.leases.append(taken.lease)
            return
        assert job.ended or job.cancel_requested
        job.alive, job.ended = False, True
        self.submit()

    def plan(self, which: int, stage: int, number: int) -> None:
        lease, at = self.one(which, self.leases), self.one(stage, STAGES)
        job = self.of(lease.job_id)
        new = new_plan(number, UNITS, stage=at, engine_identity=job.engine)
        there = job.plans.get(at)
        try:
            with self.conn.transaction():
                answer = plans.plan(self.conn, lease, new)
        except plans.PlannedAlready:
            assert job.is_of(lease)
            assert there is not None
            return
        assert (answer is not None) == (job.is_of(lease) and there is None)
        if answer is not None:
            assert answer.cancel_requested == job.cancel_requested
            job.plans[at] = PlanModel(
                new, answer.value, [ShardModel(number) for number in range(number)]
            )
            self.plans.append(answer.value)

    def adopt(self, which: int, stage: int, candles: str) -> None:
        lease, at = self.one(which, self.leases), self.one(stage, STAGES)
        job = self.of(lease.job_id)
        answer = plans.adopt(self.conn, lease, at, engine_identity=job.engine, candles_hash=candles)
        if not job.is_of(lease):
            assert answer is None
            return
        for other, plan in list(job.plans.items()):
            if not plan.goes_with(job.engine, candles):
                del job.plans[other]
        left = job.plans.get(at)
        assert answer == Granted(job.cancel_requested, left and left.stored)

    def discard(self, which: int, stage: int) -> None:
        lease, at = self.one(which, self.leases), self.one(stage, STAGES)
        job = self.of(lease.job_id)
        answer = plans.discard(self.conn, lease, at)
        assert answer == (Beat(job.cancel_requested) if job.is_of(lease) else None)
        if answer is not None:
            job.plans.pop(at, None)

    # --------------------------------------------------------------------------- claims

    def shards_of(self, plan: Plan) -> list[ShardModel]:
        there = self.of(plan.job_id).plans.get(plan.stage)
        return there.shards if there and there.stored.plan_id == plan.plan_id else []

    def is_given(self, taken: ClaimedShard | None, free: list[ShardModel], who: str) -> None:
        """The first of those that are free, under a new attempt."""
        assert (taken is None) == (not free)
        if taken is not None:
            free[0].is_claimed(who)
            lease = taken.lease
            assert (lease.shard, lease.attempt, lease.locked_by, taken.crash_count) == (
                *(free[0].number, free[0].attempt, who, free[0].crash_count),
            )
            self.held.append(lease)

    @precondition(lambda self: self.plans)
    @rule(which=some, name=some, what=st.integers(0, 7))
    def helper_claims(self, which: int, name: int, what: int) -> None:
        plan, who = self.one(which, self.plans), HELPERS[name % len(HELPERS)]
        job = self.of(plan.job_id)
        engine = job.engine if what < 6 else self.one(name, ENGINES)
        mine = helper(who, engine_identity=engine, max_crashes=MAX_CRASHES)
        if what == 7:
            with self.conn.transaction(force_rollback=True):
                shards.claim(self.conn, plan, mine)
            return
        alike = job.goes_on and job.engine == engine == plan.engine_identity
        free = [one for one in self.shards_of(plan) if alike and one.free_for(who)]
        self.is_given(shards.claim(self.conn, plan, mine), free, who)

    @precondition(lambda self: self.held)
    @rule(which=some, name=some)
    def somebody_takes_over(self, which: int, name: int) -> None:
        """The owner of a shard vanished, and a helper asks for it."""
        lease = self.one(which, self.held)
        self.shard_runs_out(lease)
        (at,) = [at for at, plan in enumerate(self.plans) if plan.plan_id == lease.plan_id]
        self.helper_claims(4 * at, name, 0)

    @precondition(lambda self: self.plans)
    @rule(which=some, plan=some)
    def coordinator_claims(self, which: int, plan: int) -> None:
        lease, of = self.one(which, self.leases), self.one(plan, self.plans)
        job = self.of(lease.job_id)
        answer = plans.claim(self.conn, lease, of)
        if not job.is_of(lease):
            assert answer is None
            return
        assert answer is not None
        who = lease.locked_by
        mine = self.shards_of(of) if of.job_id == job.job_id else []
        self.is_given(answer.value, [s for s in mine if s.free_for_coordinator(who)], who)

    # --------------------------------------------------------------------------- writes

    @precondition(lambda self: self.held)
    @rule(which=some, what=st.integers(0, 3), number=st.integers(0, UNITS))
    def helper_writes(self, which: int, what: int, number: int) -> None:
        lease = self.one(which, self.held)
        job = self.of(lease.job_id)
        shard = job.shard(lease)
        mine = shard is not None and shard.is_of(lease)
        match what:
            case 0:
                answer = shards.beat(self.conn, lease, number)
                self.beats(shard, answer, mine and job.wants_results, number)
            case 1:
                self.finishes(lease, shard, mine and job.wants_results)
            case 2:
                answer = shards.fail(self.conn, lease, FAILURE)
                again = shard is not None and shard.was_ended_by(lease, "failed")
                assert answer == ((mine and job.wants_results) or again)
                if shard is not None and answer and not again:
                    shard.goes("failed")
            case 3:
                self.gives_back(lease, shard, mine)

    def beats(self, shard: ShardModel | None, answer: bool, mine: bool, number: int) -> None:
        assert answer == mine
        if shard is not None and mine:
            shard.processed = number

    def finishes(self, lease: ShardLease, shard: ShardModel | None, mine: bool) -> None:
        self.written += 1
        result = str(self.written).encode()
        again = shard is not None and shard.was_ended_by(lease, "done")
        assert shards.finish(self.conn, lease, result) == (mine or again)
        if shard is not None and mine:
            shard.goes("done", UNITS)
            shard.result = result

    def gives_back(self, lease: ShardLease, shard: ShardModel | None, mine: bool) -> None:
        assert shards.give_back(self.conn, lease) == mine
        if shard is not None and mine:
            shard.goes("open")

    @precondition(lambda self: self.held)
    @rule(which=some, shard=some, number=st.integers(0, UNITS))
    def coordinator_beats(self, which: int, shard: int, number: int) -> None:
        lease, own = self.one(which, self.leases), self.one(shard, self.held)
        job = self.of(lease.job_id)
        plan = next(one for one in self.plans if one.plan_id == own.plan_id)
        with self.conn.transaction():
            answer = plans.beat(self.conn, lease, plan, own, number)
        if not job.is_of(lease):
            assert answer is None
            return
        assert answer is not None
        assert answer.cancel_requested == job.cancel_requested
        theirs = self.of(own.job_id)
        there = theirs.shard(own)
        mine = there is not None and there.is_of(own) and theirs.wants_results
        self.beats(there, answer.value, mine, number)

    # --------------------------------------------------------------------------- others, and time

    @rule(which=some, what=st.integers(0, 9))
    def time_passes(self, which: int, what: int) -> None:
        job = self.job
        if what < 6 and self.held:
            self.shard_runs_out(self.one(which, self.held))
        elif what == 6 and not job.ended:
            expire(self.conn, job.job_id)
            job.alive = False
        elif what == 7:
            lease = self.leases[-1]
            assert leases.release(self.conn, lease) == job.is_of(lease)
            job.owner, job.alive = None, False
        elif what == 8:
            jobs.cancel(self.conn, job.job_id, client=Client.API)
            job.cancel_requested = not job.ended
        elif what == 9:
            left = sum(len(one.plans) for one in self.jobs if one.ended)
            assert dispatch.sweep_plans(self.conn, batch=100) == left
            for ended in self.jobs:
                if ended.ended:
                    ended.plans.clear()

    def shard_runs_out(self, lease: ShardLease) -> None:
        shard = self.of(lease.job_id).shard(lease)
        if shard is not None and shard.state == "running":
            expire_shard(self.conn, lease)
            shard.alive = False

    # --------------------------------------------------------------------------- the comparison

    @invariant()
    def stored_is_what_the_model_says(self) -> None:
        stored = {
            row[:3]: row[3:]
            for row in self.conn.execute(
                "SELECT job_id, plan_id, shard, state, locked_by,"
                " coalesce(lease_expires_at > now(), false), attempt, crash_count,"
                " processed_units, result"
                " FROM backtest_job_shards"
            )
        }
        assert stored == {
            (job.job_id, plan.stored.plan_id, shard.number): (
                *(shard.state, shard.owner, shard.alive, shard.attempt),
                *(shard.crash_count, shard.processed, shard.result),
            )
            for job in self.jobs
            for plan in job.plans.values()
            for shard in plan.shards
        }

    @invariant()
    def who_looks_sees_the_same(self) -> None:
        job = self.job
        for plan in job.plans.values():
            said = [shard.state for shard in plan.shards]
            assert plans.tally(self.conn, plan.stored) == Tally(
                *(said.count(state) for state in ("open", "running", "done", "failed")),
                expired=sum(shard.expired for shard in plan.shards),
                processed_units=sum(shard.processed for shard in plan.shards),
                total_units=UNITS * len(plan.shards),
            )
        useful = [plan for plan in job.plans.values() if plan.new.engine_identity == job.engine]
        free = sum(shard.free for plan in useful for shard in plan.shards)
        workers = 1 + sum(
            shard.alive and shard.owner != job.owner for plan in useful for shard in plan.shards
        )
        wanted = dispatch.help_wanted(self.conn, max_crashes=MAX_CRASHES, limit=10)
        assert [(one.job_id, one.workers, one.free_shards) for one in wanted] == (
            [(job.job_id, workers, free)] if job.goes_on and free else []
        )
        offered = shards.offer(
            self.conn,
            job.job_id,
            helper("host-9-0", engine_identity=job.engine, max_crashes=MAX_CRASHES),
        )
        assert (offered is not None) == bool(wanted)


def test_a_shared_job_does_what_the_model_says(database: str) -> None:
    Sharing.database = database
    chosen = settings(deadline=None, print_blob=True)
    if settings.get_current_profile_name() != "chaos":
        chosen = settings(chosen, max_examples=30, stateful_step_count=50)
    run_state_machine_as_test(Sharing, settings=chosen)
