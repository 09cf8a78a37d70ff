"""Two who want the same job at the same moment, in both orders and with either end of the first.

The first one's transaction is open when the second one comes. Whether that one waits for the row or
passes it by is looked up in Postgres. What `now()` says is the beginning of a transaction, so an
owner that began in time has a lease to its own mind, while it has run out to everybody else's.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import pytest

from storage import dispatch, jobs, leases, result_texts, results
from storage.records import Beat, Claimed, Client, Lease, Stage, State
from tests.faults.harness import wait_for
from tests.storage.making import (
    OWNER,
    SUCCESSOR,
    claim,
    claimed,
    claimer,
    current,
    event_names,
    expire,
    fail,
    set_crashes,
    stored_rows,
    submitted,
    variants,
)

Conn = psycopg.Connection[Any]
Result = TypeVar("Result")

ROWS = result_texts.rows(variants(2, reports=True), reports=True)
SNAPSHOT = result_texts.rows(variants(3), reports=False)
MAX_CRASHES = 3


class Race:
    """Two transactions, and somebody who watches them."""

    def __init__(self, first: Conn, second: Conn, observer: Conn, threads: ThreadPoolExecutor):
        self.first = first
        self.second = second
        self.observer = observer
        self._threads = threads

    def waits(self, act: Callable[[Conn], Result]) -> Future[Result]:
        """Have the second one act, and see it wait for the first one's lock."""
        pids = self.second.info.backend_pid, self.first.info.backend_pid
        acting = self._threads.submit(act, self.second)

        def blocked() -> bool:
            row = self.observer.execute("SELECT pg_blocking_pids(%s)", [pids[0]]).fetchone()
            return row is not None and pids[1] in row[0]

        wait_for(lambda: blocked() or acting.done(), "the wait for a lock", every=0.001)
        assert blocked(), f"it did not wait: {acting.result()}"
        return acting

    def passes(self, act: Callable[[Conn], Result]) -> Result:
        """Have the second one act; it must not wait for the first one."""
        result = self._threads.submit(act, self.second).result(timeout=20)
        self.second.commit()
        return result

    def ends(self, acting: Future[Result]) -> Result:
        """What the second one got, when the first one is out of its way."""
        result = acting.result(timeout=20)
        self.second.commit()
        return result

    def began_in_time(self, owner: Conn, lease: Lease) -> None:
        """Have an owner begin a transaction just before its lease runs out."""
        row = owner.execute("SELECT now()").fetchone()
        assert row is not None
        self.observer.execute(
            "UPDATE backtest_jobs SET lease_expires_at = %s + interval '1 microsecond'"
            " WHERE job_id = %s",
            [row[0], lease.job_id],
        )


@pytest.fixture
def race(database: str) -> Iterator[Race]:
    # The first one is left first: somebody may still wait for its locks.
    with (
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(database) as second,
        psycopg.connect(database, autocommit=True) as observer,
        psycopg.connect(database) as first,
    ):
        yield Race(first, second, observer, threads)


def take(job_id: UUID, who: str = SUCCESSOR) -> Callable[[Conn], Claimed | State | None]:
    return lambda conn: claim(conn, job_id, locked_by=who, max_crashes=MAX_CRASHES)


def cancel(job_id: UUID) -> Callable[[Conn], State]:
    def act(conn: Conn) -> State:
        job = jobs.cancel(conn, job_id, client=Client.API)
        assert job is not None
        return job.state

    return act


def succeed(lease: Lease) -> Callable[[Conn], State | None]:
    return lambda conn: results.succeed(conn, lease, ROWS)


def snapshot(lease: Lease) -> Callable[[Conn], bool]:
    return lambda conn: results.save_snapshot(conn, lease, SNAPSHOT)


def sweep(conn: Conn) -> list[State]:
    return list(dispatch.sweep(conn, max_crashes=MAX_CRASHES).elements())


def rows(race: Race, lease: Lease) -> int:
    return len(stored_rows(race.observer, lease.job_id))


# ------------------------------------------------------------------------- claim and claim


def test_the_second_claim_passes_by_a_row_that_the_first_one_has(race: Race) -> None:
    job_id = submitted(race.observer).job_id
    assert isinstance(take(job_id, OWNER)(race.first), Claimed)
    assert race.passes(take(job_id)) is None
    race.first.commit()
    assert race.passes(take(job_id)) is None
    assert event_names(race.observer, job_id) == ["queued", "claimed"]
    assert current(race.observer, job_id).locked_by == OWNER


def test_the_second_claim_has_the_job_of_a_first_one_that_never_committed(race: Race) -> None:
    job_id = submitted(race.observer).job_id
    take(job_id, OWNER)(race.first)
    race.first.rollback()
    taken = race.passes(take(job_id))
    assert isinstance(taken, Claimed)
    assert (taken.job.attempt, taken.job.crash_count) == (1, 0)
    assert event_names(race.observer, job_id) == ["queued", "claimed"]


def test_of_two_rescuers_one_counts_the_crash(race: Race) -> None:
    lease = claimed(race.observer)
    expire(race.observer, lease.job_id)
    assert isinstance(take(lease.job_id)(race.first), Claimed)
    assert race.passes(take(lease.job_id, "host-3-0000000c")) is None
    race.first.commit()
    job = current(race.observer, lease.job_id)
    assert (job.attempt, job.crash_count, job.locked_by) == (2, 1, SUCCESSOR)


# ------------------------------------------------------------------------- claim and cancel


def test_a_cancel_that_waited_for_a_claim_asks_its_owner_to_stop(race: Race) -> None:
    job_id = submitted(race.observer).job_id
    take(job_id)(race.first)
    cancelling = race.waits(cancel(job_id))
    race.first.commit()
    assert race.ends(cancelling) is State.RUNNING
    assert event_names(race.observer, job_id) == ["queued", "claimed", "cancel_requested"]


def test_a_cancel_that_waited_for_a_claim_in_vain_ends_the_queued_job(race: Race) -> None:
    job_id = submitted(race.observer).job_id
    take(job_id)(race.first)
    cancelling = race.waits(cancel(job_id))
    race.first.rollback()
    assert race.ends(cancelling) is State.CANCELLED
    assert event_names(race.observer, job_id) == ["queued", "cancelled"]


def test_a_claim_passes_by_a_job_that_is_being_cancelled(race: Race) -> None:
    job_id = submitted(race.observer).job_id
    cancel(job_id)(race.first)
    assert race.passes(take(job_id)) is None
    assert leases.claimable(race.observer, job_id, claimer())  # so the claim is tried again
    race.first.commit()
    assert race.passes(take(job_id)) is None
    assert not leases.claimable(race.observer, job_id, claimer())
    assert event_names(race.observer, job_id) == ["queued", "cancelled"]


def test_a_rescuer_ends_a_job_whose_cancel_came_first(race: Race) -> None:
    lease = claimed(race.observer)
    expire(race.observer, lease.job_id)
    cancel(lease.job_id)(race.first)
    assert race.passes(take(lease.job_id)) is None
    race.first.commit()
    assert race.passes(take(lease.job_id)) is State.CANCELLED
    assert event_names(race.observer, lease.job_id)[-2:] == ["cancel_requested", "cancelled"]


# ------------------------------------------------------------------------- the end and a reclaim


@pytest.mark.parametrize("end", [succeed, lambda lease: lambda conn: fail(conn, lease)])
def test_nobody_takes_a_job_whose_end_is_being_written(
    race: Race, end: Callable[[Lease], Callable[[Conn], State | None]]
) -> None:
    lease = claimed(race.observer)
    race.began_in_time(race.first, lease)
    ended = end(lease)(race.first)
    assert ended is not None
    assert race.passes(take(lease.job_id)) is None
    race.first.commit()
    assert race.passes(take(lease.job_id)) is None
    job = current(race.observer, lease.job_id)
    assert (job.state, job.attempt) == (ended, 1)
    assert event_names(race.observer, lease.job_id) == ["queued", "claimed", str(ended)]


def test_a_job_whose_end_was_never_committed_is_taken_without_any_row(race: Race) -> None:
    lease = claimed(race.observer)
    race.began_in_time(race.first, lease)
    assert succeed(lease)(race.first) is State.SUCCEEDED
    race.first.rollback()
    taken = race.passes(take(lease.job_id))
    assert isinstance(taken, Claimed)
    assert (taken.job.attempt, taken.job.crash_count) == (2, 1)
    assert rows(race, lease) == 0
    assert event_names(race.observer, lease.job_id) == ["queued", "claimed", "reclaimed"]


def test_an_end_that_waited_for_a_reclaim_writes_nothing(race: Race) -> None:
    lease = claimed(race.observer)
    race.began_in_time(race.second, lease)
    assert isinstance(take(lease.job_id)(race.first), Claimed)
    ending = race.waits(succeed(lease))
    race.first.commit()
    assert race.ends(ending) is None
    assert rows(race, lease) == 0
    assert event_names(race.observer, lease.job_id) == ["queued", "claimed", "reclaimed"]


def test_an_end_that_waited_for_a_reclaim_in_vain_is_written(race: Race) -> None:
    lease = claimed(race.observer)
    race.began_in_time(race.second, lease)
    take(lease.job_id)(race.first)
    ending = race.waits(succeed(lease))
    race.first.rollback()
    assert race.ends(ending) is State.SUCCEEDED
    assert rows(race, lease) == 2
    assert event_names(race.observer, lease.job_id) == ["queued", "claimed", "succeeded"]


# ------------------------------------------------------------------------- snapshot and reclaim


def test_a_snapshot_that_is_being_written_keeps_the_job(race: Race) -> None:
    lease = claimed(race.observer)
    race.began_in_time(race.first, lease)
    assert snapshot(lease)(race.first)
    assert race.passes(take(lease.job_id)) is None
    race.first.commit()
    assert race.passes(take(lease.job_id)) is None  # it renewed the lease
    assert rows(race, lease) == 3
    assert leases.renew(race.observer, lease) == Beat(cancel_requested=False)


def test_a_snapshot_that_was_never_committed_leaves_the_rows_of_before(race: Race) -> None:
    lease = claimed(race.observer)
    with race.observer.transaction():
        results.save_snapshot(race.observer, lease, result_texts.rows(variants(1), reports=False))
    race.began_in_time(race.first, lease)
    assert snapshot(lease)(race.first)
    race.first.rollback()
    assert isinstance(race.passes(take(lease.job_id)), Claimed)
    assert rows(race, lease) == 1


def test_a_snapshot_that_waited_for_a_reclaim_writes_nothing(race: Race) -> None:
    lease = claimed(race.observer)
    race.began_in_time(race.second, lease)
    take(lease.job_id)(race.first)
    saving = race.waits(snapshot(lease))
    race.first.commit()
    assert race.ends(saving) is False
    assert rows(race, lease) == 0
    assert current(race.observer, lease.job_id).locked_by == SUCCESSOR


def test_a_snapshot_that_waited_for_a_reclaim_in_vain_is_written_and_renews(race: Race) -> None:
    lease = claimed(race.observer)
    race.began_in_time(race.second, lease)
    take(lease.job_id)(race.first)
    saving = race.waits(snapshot(lease))
    race.first.rollback()
    assert race.ends(saving) is True
    assert rows(race, lease) == 3
    assert race.passes(take(lease.job_id)) is None


# ------------------------------------------------------------------------- cancel and the end


def test_a_cancel_that_waited_for_the_end_changes_nothing(race: Race) -> None:
    lease = claimed(race.observer)
    succeed(lease)(race.first)
    cancelling = race.waits(cancel(lease.job_id))
    race.first.commit()
    assert race.ends(cancelling) is State.SUCCEEDED
    assert current(race.observer, lease.job_id).cancel_requested_at is None
    assert rows(race, lease) == 2
    assert event_names(race.observer, lease.job_id) == ["queued", "claimed", "succeeded"]


def test_a_cancel_that_waited_for_the_end_in_vain_is_accepted(race: Race) -> None:
    lease = claimed(race.observer)
    succeed(lease)(race.first)
    cancelling = race.waits(cancel(lease.job_id))
    race.first.rollback()
    assert race.ends(cancelling) is State.RUNNING
    assert leases.renew(race.observer, lease) == Beat(cancel_requested=True)


def test_an_end_that_waited_for_a_cancel_is_cancelled_without_a_row(race: Race) -> None:
    lease = claimed(race.observer)
    cancel(lease.job_id)(race.first)
    ending = race.waits(succeed(lease))
    race.first.commit()
    assert race.ends(ending) is State.CANCELLED
    assert rows(race, lease) == 0


def test_a_cancel_between_the_rows_and_the_end_waits(race: Race) -> None:
    """The guard comes first and locks the row, so nobody gets between the steps of an end."""
    lease = claimed(race.observer)
    assert leases.renew(race.first, lease) == Beat(cancel_requested=False)
    cancelling = race.waits(cancel(lease.job_id))
    assert leases.end(race.first, lease, State.SUCCEEDED) is State.SUCCEEDED
    race.first.commit()
    assert race.ends(cancelling) is State.SUCCEEDED


# ------------------------------------------------------------------------- the sweep


def out_of_crashes(race: Race) -> Lease:
    lease = claimed(race.observer)
    leases.start_stage(race.observer, lease, Stage.STAGE_B)
    set_crashes(race.observer, lease.job_id, MAX_CRASHES)
    return lease


def test_the_sweep_passes_by_an_owner_that_is_just_renewing(race: Race) -> None:
    lease = out_of_crashes(race)
    race.began_in_time(race.first, lease)
    assert leases.renew(race.first, lease) is not None
    assert race.passes(sweep) == []
    race.first.commit()
    assert race.passes(sweep) == []
    assert current(race.observer, lease.job_id).state is State.RUNNING


def test_a_heartbeat_that_waited_for_the_sweep_has_lost_the_lease(race: Race) -> None:
    lease = out_of_crashes(race)
    race.began_in_time(race.second, lease)
    assert sweep(race.first) == [State.FAILED]
    beating = race.waits(lambda conn: leases.renew(conn, lease))
    race.first.commit()
    assert race.ends(beating) is None
    assert event_names(race.observer, lease.job_id)[-1] == "failed"


def test_a_heartbeat_that_waited_for_the_sweep_in_vain_keeps_the_lease(race: Race) -> None:
    lease = out_of_crashes(race)
    race.began_in_time(race.second, lease)
    sweep(race.first)
    beating = race.waits(lambda conn: leases.renew(conn, lease))
    race.first.rollback()
    assert race.ends(beating) == Beat(cancel_requested=False)
    assert race.passes(sweep) == []


@pytest.mark.parametrize("cancelled", [True, False])
def test_the_sweep_passes_by_a_release_and_fails_no_released_job(
    race: Race, cancelled: bool
) -> None:
    lease = out_of_crashes(race)
    if cancelled:
        cancel(lease.job_id)(race.observer)
    race.began_in_time(race.first, lease)
    assert leases.release(race.first, lease)
    assert race.passes(sweep) == []
    race.first.commit()
    assert race.passes(sweep) == ([State.CANCELLED] if cancelled else [])
    assert current(race.observer, lease.job_id).crash_count == MAX_CRASHES


def test_a_release_that_waited_for_the_sweep_changes_nothing(race: Race) -> None:
    lease = out_of_crashes(race)
    race.began_in_time(race.second, lease)
    assert sweep(race.first) == [State.FAILED]
    releasing = race.waits(lambda conn: leases.release(conn, lease))
    race.first.commit()
    assert race.ends(releasing) is False
    job = current(race.observer, lease.job_id)
    assert (job.state, job.locked_by) == ("failed", OWNER)


def test_of_a_sweep_and_a_rescuer_one_gives_the_job_up(race: Race) -> None:
    lease = out_of_crashes(race)
    expire(race.observer, lease.job_id)
    assert sweep(race.first) == [State.FAILED]
    assert race.passes(take(lease.job_id)) is None
    race.first.commit()
    assert race.passes(take(lease.job_id)) is None
    assert event_names(race.observer, lease.job_id).count("failed") == 1
    assert current(race.observer, lease.job_id).crash_count == MAX_CRASHES + 1


# ------------------------------------------------------------------------- wake-ups


def mark(conn: Conn) -> list[UUID]:
    return [due.job_id for due in dispatch.mark_due(conn, limit=9, redispatch_seconds=60)]


def test_two_schedulers_do_not_mark_the_same_job(race: Race) -> None:
    job_id = submitted(race.observer).job_id
    assert mark(race.first) == [job_id]
    assert race.passes(mark) == []
    race.first.commit()
    assert race.passes(mark) == []
    assert current(race.observer, job_id).dispatch_count == 1


def test_a_claim_passes_by_a_row_that_is_being_marked_and_is_tried_again(race: Race) -> None:
    job_id = submitted(race.observer).job_id
    assert mark(race.first) == [job_id]
    assert race.passes(take(job_id)) is None
    assert leases.claimable(race.observer, job_id, claimer())
    race.first.commit()
    assert isinstance(race.passes(take(job_id)), Claimed)


def test_a_mark_passes_by_a_claim(race: Race) -> None:
    job_id = submitted(race.observer).job_id
    take(job_id)(race.first)
    assert race.passes(mark) == []
    race.first.commit()
    assert race.passes(mark) == []
    assert current(race.observer, job_id).dispatch_count == 0


def test_a_mark_is_not_undone_behind_the_back_of_a_claim(race: Race) -> None:
    submitted(race.observer)
    (due,) = dispatch.mark_due(race.observer, limit=1, redispatch_seconds=60)
    take(due.job_id)(race.first)
    assert race.passes(lambda conn: dispatch.unmark(conn, [due])) == 0
    race.first.commit()
    assert race.passes(lambda conn: dispatch.unmark(conn, [due])) == 0
    assert current(race.observer, due.job_id).next_dispatch_at is None
