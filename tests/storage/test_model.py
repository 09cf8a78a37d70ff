"""The life of jobs, step by step against a plain model: whatever is done in whatever order.

Hypothesis plays users, workers, schedulers and time on the real statements. Every lease that was
ever given is kept and used again, so a stale owner tries each write at every moment. After each
step all of what Postgres stores about the jobs is what the model says.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
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

from storage import dispatch, jobs, leases, results
from storage.records import Beat, Claimed, Client, Due, Lease, Shortlist, Stage, State
from tests.storage.making import (
    COVERAGE,
    FAILURE,
    OUTCOMES,
    claimer,
    expire,
    new_job,
    save_snapshot,
    succeed,
    variants,
)
from tests.storage.model import ENDS, MAX_CRASHES, Model

USERS = [UUID(int=1), UUID(int=2)]
OWNERS = ["host-1-0000000a", "host-2-0000000b"]
MAX_ACTIVE = 2

some = st.integers(0, 1000)


WRITES: dict[str, Callable[[psycopg.Connection, Lease], object]] = {
    "renew": leases.renew,
    "start": lambda conn, lease: leases.start_stage(conn, lease, Stage.STAGE_B, 1),
    "snapshot": lambda conn, lease: save_snapshot(conn, lease, variants(2)),
    "succeed": lambda conn, lease: succeed(conn, lease, variants(2, reports=True)),
    "release": leases.release,
    "claim": lambda conn, lease: leases.try_claim(
        conn, lease.job_id, claimer("host-9-0000000d", max_crashes=MAX_CRASHES)
    ),
}


class Life(RuleBasedStateMachine):
    """Users, workers, schedulers and time."""

    database = ""

    def __init__(self) -> None:
        super().__init__()
        self.conn = psycopg.connect(self.database, autocommit=True)
        self.conn.execute("DELETE FROM backtest_jobs")
        self.jobs: dict[UUID, Model] = {}
        self.leases: list[Lease] = []
        self.marks: list[Due] = []
        self.written = 0

    def teardown(self) -> None:
        self.conn.close()

    def one(self, which: int, among: list[Any]) -> Any:
        return among[which % len(among)]

    def job(self, which: int) -> Model:
        """Any job, though mostly one that lives."""
        living = [job for job in self.jobs.values() if job.active]
        few = living if living and which % 4 else list(self.jobs.values())
        job: Model = self.one(which // 4, few)
        return job

    def lease(self, which: int) -> Lease:
        """Any lease that was given, though mostly the last one of a job that lives."""
        living = [one for one in self.leases if one.job_id in self.jobs]
        living = [one for one in living if self.jobs[one.job_id].active]
        last = list({one.job_id: one for one in living}.values())
        few = [self.leases, last, living, last][which % 4] or self.leases
        lease: Lease = self.one(which // 4, few)
        return lease

    # --------------------------------------------------------------------------- users

    @initialize()
    def begin(self) -> None:
        for user, priority in enumerate((0, 1, 0)):
            self.submit(user, priority, None)
        self.claimed_by(self.job(1), OWNERS[0])

    @rule(user=some, priority=st.integers(-1, 1), key=st.sampled_from([None, None, "k"]))
    def submit(self, user: int, priority: int, key: str | None) -> None:
        user_id = self.one(user, USERS)
        new = new_job(user_id=user_id, priority=priority, idempotency_key=key)
        theirs = [job for job in self.jobs.values() if job.user_id == user_id]
        same = [job for job in theirs if key is not None and job.key == key]
        try:
            with self.conn.transaction():
                made = jobs.create(self.conn, new, max_active=MAX_ACTIVE, client=Client.API)
        except jobs.QuotaExceeded:
            assert not same
            assert sum(job.active for job in theirs) == MAX_ACTIVE
            return
        if same:
            assert (made.job.job_id, made.created) == (same[0].job_id, False)
            return
        assert made.created
        assert sum(job.active for job in theirs) < MAX_ACTIVE
        job = Model(made.job.job_id, user_id, priority, key)
        job.happened("queued", "user")
        self.jobs[job.job_id] = job

    @precondition(lambda self: self.jobs)
    @rule(which=some)
    def cancel(self, which: int) -> None:
        job = self.job(which)
        found = jobs.cancel(self.conn, job.job_id, client=Client.API)
        if job.active and not job.cancel_requested:
            job.cancel_requested = True
            if job.state == "queued":
                job.ends("cancelled", "user")
            else:
                job.happened("cancel_requested", "user")
        assert found is not None
        assert found.state == job.state

    # --------------------------------------------------------------------------- workers

    @precondition(lambda self: self.jobs)
    @rule(which=some, owner=some)
    def claim(self, which: int, owner: int) -> None:
        self.recognise(which, owner)
        self.claimed_by(self.job(which), self.one(owner, OWNERS))

    def claimed_by(self, job: Model, actor: str) -> None:
        who = claimer(actor, max_crashes=MAX_CRASHES)
        taken = leases.try_claim(self.conn, job.job_id, who)
        if not job.free:
            assert taken is None
            return
        crashes, previous = job.crash_count, job.owner
        if job.is_judged(actor, may_claim=True) in ENDS:
            assert taken == job.state
            return
        job.is_claimed(actor)
        assert isinstance(taken, Claimed)
        assert taken.crashed == (job.crash_count > crashes)
        assert previous is None or taken.previous_owner == previous
        assert (taken.lease.locked_by, taken.lease.attempt) == (actor, job.attempt)
        self.leases.append(taken.lease)

    @precondition(lambda self: any(job.alive for job in self.jobs.values()))
    @rule(which=some, owner=some)
    def rescue(self, which: int, owner: int) -> None:
        """The owner vanished, and somebody takes the job over."""
        job: Model = self.one(which, [job for job in self.jobs.values() if job.alive])
        self.lease_runs_out(job)
        self.claimed_by(job, self.one(owner, OWNERS))

    def recognise(self, which: int, owner: int) -> None:
        job, actor = self.job(which), self.one(owner, OWNERS)
        found = leases.recognise(self.conn, job.job_id, claimer(actor))
        mine = job.state == "running" and job.alive and job.owner == actor
        assert (found is not None) == mine
        if found is not None:
            assert (found.lease.locked_by, found.lease.attempt) == (actor, job.attempt)

    @contextmanager
    def owner(self, which: int) -> Iterator[tuple[Lease, Model | None]]:
        """A lease that was given once, and its job where that is still owned by it."""
        lease = self.lease(which)
        job = self.jobs.get(lease.job_id)
        yield lease, job if job is not None and job.is_of(lease) else None

    def leased(self) -> bool:
        return bool(self.leases)

    def renew(self, which: int) -> None:
        with self.owner(which) as (lease, job):
            beat = leases.renew(self.conn, lease)
            assert beat == (None if job is None else Beat(job.cancel_requested))

    def progress(self, which: int, stage: Stage, processed: int) -> None:
        with self.owner(which) as (lease, job):
            beat = leases.progress(self.conn, lease, stage, processed, 9)
            assert beat == (None if job is None else Beat(job.cancel_requested))
            if job is not None:
                job.stage, job.processed, job.total = stage, processed, 9

    def start_stage(self, which: int, stage: Stage) -> None:
        with self.owner(which) as (lease, job):
            beat = leases.start_stage(self.conn, lease, stage, 7)
            assert beat == (None if job is None else Beat(job.cancel_requested))
            if job is not None:
                job.stage, job.processed, job.total = stage, 0, 7
                job.happened("stage_started", lease.locked_by)

    def resume(self, which: int) -> None:
        with self.owner(which) as (lease, job):
            done = leases.resumed_from_shortlist(self.conn, lease, written_by_attempt=1)
            assert done == (job is not None)
            if job is not None:
                job.happened("resumed_from_shortlist", lease.locked_by)

    def save_coverage(self, which: int) -> None:
        with self.owner(which) as (lease, job):
            assert results.save_coverage(self.conn, lease, COVERAGE) == (job is not None)
            if job is not None:
                job.coverage = True

    def save_shortlist(self, which: int) -> None:
        self.written += 1
        found = Shortlist([self.written], [1], 100, 9, 1, "engine-1", "a" * 64)
        with self.owner(which) as (lease, job), self.conn.transaction():
            saved = results.save_shortlist(self.conn, lease, found, OUTCOMES)
            assert saved == (job is not None)
            if job is not None:
                job.shortlist = (self.written, job.attempt)

    def snapshot(self, which: int, count: int) -> None:
        self.written += 1
        found = variants(count, first_key=10 * self.written)
        with self.owner(which) as (lease, job):
            assert save_snapshot(self.conn, lease, found) == (job is not None)
            if job is not None:
                job.rows = [(row.variant_key, False) for row in found]

    def succeed(self, which: int, count: int) -> None:
        self.written += 1
        found = variants(count, reports=True, first_key=10 * self.written)
        with self.owner(which) as (lease, job):
            ended = succeed(self.conn, lease, found)
            if job is not None:
                job.ends("succeeded", lease.locked_by)
                if job.state == "succeeded":
                    job.rows = [(row.variant_key, True) for row in found]
                    job.processed = job.total
            assert ended == (None if job is None else job.state)

    def end(self, which: int, state: str) -> None:
        failure = FAILURE if state == "failed" else None
        with self.owner(which) as (lease, job):
            ended = leases.end(self.conn, lease, State(state), failure)
            if job is not None:
                job.ends(state, lease.locked_by, str(FAILURE.code))
            assert ended == (None if job is None else job.state)

    def release(self, which: int) -> None:
        with self.owner(which) as (lease, job):
            assert leases.release(self.conn, lease) == (job is not None)
            if job is not None:
                job.happened("lease_released", lease.locked_by)
                job.owner, job.alive = None, False

    def own_end(self, which: int) -> None:
        lease = self.lease(which)
        job = self.jobs.get(lease.job_id)
        own = (
            job is not None
            and job.state in ENDS
            and (job.owner, job.attempt) == (lease.locked_by, lease.attempt)
        )
        found = leases.own_end(self.conn, lease)
        assert found == (job.state if job is not None and own else None)

    @precondition(leased)
    @rule(which=some, number=st.integers(0, 3), what=st.integers(0, 17))
    def write(self, which: int, number: int, what: int) -> None:
        """Each owner there has been writes anything; few rules, so that a run has most of them."""
        stage = list(Stage)[number]
        match what:
            case 0:
                self.renew(which)
            case 1 | 2:
                self.progress(which, stage, number)
            case 3 | 4:
                self.start_stage(which, stage)
            case 5:
                self.resume(which)
            case 6:
                self.save_coverage(which)
            case 7:
                self.save_shortlist(which)
            case 8 | 9:
                self.snapshot(which, number)
            case 10 | 14:
                self.succeed(which, number)
            case 11 | 15:
                self.end(which, "failed" if number % 2 else "cancelled")
            case 12 | 16 | 17:
                self.release(which)
            case 13:
                self.own_end(which)

    @precondition(leased)
    @rule(which=some, name=st.sampled_from(sorted(WRITES)))
    def vanish_before_the_commit(self, which: int, name: str) -> None:
        with self.conn.transaction(force_rollback=True):
            WRITES[name](self.conn, self.lease(which))

    # --------------------------------------------------------------------------- schedulers

    def mark_due(self, limit: int, spared: int) -> None:
        waiting = [j.job_id for n, j in enumerate(self.jobs.values()) if spared >> n & 1]
        marked = dispatch.mark_due(self.conn, limit=limit, redispatch_seconds=60, waiting=waiting)
        created = {job_id: number for number, job_id in enumerate(self.jobs)}
        due = [
            job for job in self.jobs.values() if job.due and job.free and job.job_id not in waiting
        ]
        due.sort(key=lambda job: (-job.priority, created[job.job_id]))
        assert [mark.job_id for mark in marked] == [job.job_id for job in due[:limit]]
        for job, mark in zip(due, marked, strict=False):
            job.due = False
            job.dispatch_count += 1
            assert mark.dispatch_count == job.dispatch_count
        self.marks += marked

    def postpone_waiting(self, waits: int) -> None:
        waiting = [j for n, j in enumerate(self.jobs.values()) if waits >> n & 1]
        put_off = [job for job in waiting if job.due and job.free]
        ids = [job.job_id for job in waiting]
        assert dispatch.postpone_waiting(self.conn, ids, redispatch_seconds=60) == len(put_off)
        for job in put_off:
            job.due = False

    def unmark(self, which: int) -> None:
        mark = self.one(which, self.marks)
        job = self.jobs.get(mark.job_id)
        undone = (
            job is not None
            and job.active
            and not job.due
            and job.dispatch_count == mark.dispatch_count
        )
        assert dispatch.unmark(self.conn, [mark]) == undone
        if job is not None and undone:
            job.due = True

    def sweep(self) -> None:
        swept = dispatch.sweep(self.conn, max_crashes=MAX_CRASHES)
        ended = [
            job.state
            for job in self.jobs.values()
            if job.state == "running"
            and not job.alive
            and job.is_judged(dispatch.ACTOR, may_claim=False) in ENDS
        ]
        assert sorted(swept.elements()) == sorted(ended)

    def delete_finished(self, batch: int) -> None:
        old = [job_id for job_id, job in self.jobs.items() if job.old]
        deleted = jobs.delete_finished(self.conn, older_than_days=10, batch=batch)
        assert deleted == min(batch, len(old))
        left = {job_id for (job_id,) in self.conn.execute("SELECT job_id FROM backtest_jobs")}
        assert set(self.jobs) - left <= set(old)
        self.jobs = {job_id: job for job_id, job in self.jobs.items() if job_id in left}

    @rule(what=st.integers(0, 7), number=st.integers(0, 7))
    def schedule(self, what: int, number: int) -> None:
        match what:
            case 0 | 1 | 6:
                self.mark_due(1 + number % 3, number // 2)
            case 2:
                self.postpone_waiting(number)
            case 3 | 7 if self.marks:
                self.unmark(number)
            case 4:
                self.sweep()
            case 5:
                self.delete_finished(1 + number % 3)

    # --------------------------------------------------------------------------- time

    @rule(which=some, what=st.integers(0, 5))
    def time_passes(self, which: int, what: int) -> None:
        living = [job for job in self.jobs.values() if job.alive]
        ended = [job for job in self.jobs.values() if job.state in ENDS]
        marked = [job for job in self.jobs.values() if not job.due]
        if what < 3 and living:
            self.lease_runs_out(self.one(which, living))
        elif what < 5 and marked:
            self.wake_up_is_overdue(self.one(which, marked))
        elif what == 5 and ended:
            self.months_pass(self.one(which, ended))

    def lease_runs_out(self, job: Model) -> None:
        expire(self.conn, job.job_id)
        job.alive = False

    def wake_up_is_overdue(self, job: Model) -> None:
        self.conn.execute(
            "UPDATE backtest_jobs SET next_dispatch_at = now()"
            " WHERE job_id = %s AND next_dispatch_at IS NOT NULL",
            [job.job_id],
        )
        job.due = True

    def months_pass(self, job: Model) -> None:
        self.conn.execute(
            "UPDATE backtest_jobs SET finished_at = finished_at - interval '90 days'"
            " WHERE job_id = %s",
            [job.job_id],
        )
        job.old = True

    # --------------------------------------------------------------------------- the comparison

    @invariant()
    def stored_is_what_the_model_says(self) -> None:
        stored = {
            row[0]: row[1:]
            for row in self.conn.execute(
                "SELECT job_id, state, cancel_requested_at IS NOT NULL, locked_by,"
                " coalesce(lease_expires_at > now(), false), attempt, crash_count, stage,"
                " processed_units, total_units, dispatch_count, last_error_json ->> 'code',"
                " coverage_json IS NOT NULL, finished_at IS NOT NULL,"
                " CASE WHEN state IN ('queued', 'running')"
                "      THEN coalesce(next_dispatch_at <= now(), true) END"
                " FROM backtest_jobs"
            )
        }
        assert stored == {
            job.job_id: (
                job.state,
                job.cancel_requested,
                job.owner,
                job.alive,
                job.attempt,
                job.crash_count,
                job.stage,
                job.processed,
                job.total,
                job.dispatch_count,
                job.code,
                job.coverage,
                job.state in ENDS,
                job.due if job.active else None,
            )
            for job in self.jobs.values()
        }

    @invariant()
    def events_are_those_that_happened_and_nothing_follows_the_end(self) -> None:
        stored: dict[UUID, list[tuple[str, int, str]]] = {job_id: [] for job_id in self.jobs}
        for job_id, *event in self.conn.execute(
            "SELECT job_id, event, attempt, actor FROM backtest_job_events ORDER BY event_id"
        ):
            stored[job_id].append(tuple(event))
        assert stored == {job.job_id: job.events for job in self.jobs.values()}

    @invariant()
    def results_are_those_of_the_last_owner_who_was_one(self) -> None:
        rows: dict[UUID, list[tuple[str, bool]]] = {job_id: [] for job_id in self.jobs}
        for job_id, key, report in self.conn.execute(
            "SELECT job_id, variant_key, report_table_md IS NOT NULL"
            " FROM backtest_job_top_variants ORDER BY job_id, rank"
        ):
            rows[job_id].append((key, report))
        assert rows == {job.job_id: job.rows for job in self.jobs.values()}
        shortlists = {
            job_id: (found, attempt)
            for job_id, found, attempt in self.conn.execute(
                "SELECT job_id, (stage_a_indexes_json ->> 0)::int, attempt"
                " FROM backtest_job_stage_a_shortlist"
            )
        }
        assert shortlists == {j.job_id: j.shortlist for j in self.jobs.values() if j.shortlist}


def test_jobs_do_what_the_model_says(database: str) -> None:
    Life.database = database
    chosen = settings(deadline=None, print_blob=True)
    if settings.get_current_profile_name() != "chaos":
        chosen = settings(chosen, max_examples=60, stateful_step_count=50)
    run_state_machine_as_test(Life, settings=chosen)
