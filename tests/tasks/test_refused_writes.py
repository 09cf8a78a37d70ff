"""What becomes of a job when Postgres refuses one kind of statement, for a while or for good."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from storage import result_texts
from storage.records import EventName, FailureCode, State
from tasks import claim, refusals, supervisor
from tasks.job_writer import JobWriter
from tasks.refusals import Refusals
from tasks.worker import Worker
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import Stack
from tests.tasks.answering import counted, failure, run

TOO_LARGE = "54000"
DISK_FULL = "53100"
FOR_GOOD = 1_000_000

STATEMENTS = {
    "start_stage": (
        "INSERT ON backtest_job_events",
        "new.event = 'stage_started' AND new.details ->> 'stage' = 'finalizing'",
    ),
    "progress": (
        "UPDATE ON backtest_jobs",
        "new.state = 'running' AND new.processed_units <> old.processed_units"
        " AND new.attempt = old.attempt AND new.stage = old.stage",
    ),
    "save_coverage": ("UPDATE ON backtest_jobs", "new.coverage_json IS NOT NULL"),
    "save_shortlist": ("INSERT ON backtest_job_stage_a_shortlist", "true"),
    "snapshot": ("INSERT ON backtest_job_top_variants", "new.report_table_md IS NULL"),
    "end": ("INSERT ON backtest_job_top_variants", "new.report_table_md IS NOT NULL"),
}


@pytest.fixture
def worker(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """A worker that writes often, so that short jobs meet every statement."""
    monkeypatch.setattr(supervisor, "WRITE_SECONDS", 0.05)
    return replace(worker, jobs=worker.jobs.model_copy(update={"snapshot_seconds": 0.1}))


def job_that_meets(name: str) -> dict[str, Any]:
    """Progress and snapshots are for jobs that take a while."""
    if name in ("progress", "snapshot"):
        return sweep(preselect=2000)
    return small_sweep()


@contextmanager
def refused(
    stack: Stack, where: tuple[str, str], sqlstate: str, times: int, every: int = 1
) -> Iterator[None]:
    """Have Postgres refuse what matches, so many times, or each `every`th time only.

    A sequence counts, for it keeps what is rolled back.
    """
    operation, condition = where
    conn = stack.connection
    conn.execute("CREATE SEQUENCE refusals")
    conn.execute(f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE number bigint := nextval('refusals');
        BEGIN
            IF number <= {times} AND number % {every} = 0 THEN
                RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}';
            END IF;
            RETURN new;
        END $$
    """)
    conn.execute(
        f"CREATE TRIGGER refuse BEFORE {operation}"
        f" FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refuse()"
    )
    try:
        yield
    finally:
        conn.execute("DROP FUNCTION refuse CASCADE")
        conn.execute("DROP SEQUENCE refusals")


def refusals_so_far(stack: Stack) -> int:
    row = stack.connection.execute("SELECT last_value, is_called FROM refusals").fetchone()
    assert row is not None
    return int(row[0]) if row[1] else 0


@pytest.mark.parametrize("name", STATEMENTS)
def test_what_is_refused_for_good_ends_the_job_at_once_with_the_sqlstate(
    stack: Stack, worker: Worker, name: str
) -> None:
    with refused(stack, STATEMENTS[name], TOO_LARGE, FOR_GOOD):
        job = run(stack, worker, job_that_meets(name))
        assert refusals_so_far(stack) == 1

    assert failure(job) == FailureCode.UNEXPECTED_ERROR
    assert job.last_error_json is not None
    assert job.last_error_json["details"] == {
        "statement": name,
        "sqlstate": TOO_LARGE,
        "exception": "ProgramLimitExceeded",
    }
    assert counted(worker) == {"claimed": 1, "unexpected_error": 1}
    assert run(stack, worker).state is State.SUCCEEDED


@pytest.mark.parametrize("name", STATEMENTS)
def test_nobody_notices_a_statement_that_is_refused_for_a_moment(
    stack: Stack, worker: Worker, name: str
) -> None:
    with refused(stack, STATEMENTS[name], DISK_FULL, times=1):
        job = run(stack, worker, job_that_meets(name))
        assert refusals_so_far(stack) >= 1

    assert (job.state, job.attempt) == (State.SUCCEEDED, 1)
    assert stack.events(job.job_id) == [
        EventName.QUEUED,
        EventName.CLAIMED,
        *[EventName.STAGE_STARTED] * 3,
        EventName.SUCCEEDED,
    ]


@pytest.mark.parametrize("name", ["progress", "end"])
def test_what_is_refused_again_and_again_while_others_succeed_is_broken(
    stack: Stack, worker: Worker, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "SECONDS", 0.2)
    with refused(stack, STATEMENTS[name], DISK_FULL, FOR_GOOD):
        job = run(stack, worker, job_that_meets(name))
        assert refusals_so_far(stack) >= refusals.TRIES

    assert failure(job) == FailureCode.UNEXPECTED_ERROR
    assert job.attempt == 1
    assert job.last_error_json is not None
    details = job.last_error_json["details"]
    assert (details["statement"], details["sqlstate"]) == (name, DISK_FULL)


@pytest.mark.parametrize("name", ["progress", "any_stage"])
def test_what_succeeds_in_between_is_never_broken(
    stack: Stack, worker: Worker, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "SECONDS", 0.0)
    monkeypatch.setattr(refusals, "TRIES", 2)
    any_stage = ("INSERT ON backtest_job_events", "new.event = 'stage_started'")
    where = STATEMENTS.get(name, any_stage)
    with refused(stack, where, DISK_FULL, FOR_GOOD, every=2):
        job = run(stack, worker, job_that_meets("progress"))
        assert refusals_so_far(stack) >= 4, "refused less than twice"
    assert (job.state, job.attempt) == (State.SUCCEEDED, 1)


def test_a_failure_whose_text_is_refused_is_written_without_it(
    stack: Stack, worker: Worker
) -> None:
    document = small_sweep()
    document["time_range"] = {"start": "2030-01-01T00:00:00Z", "end": "2030-02-01T00:00:00Z"}
    text_of_the_failure = (
        "UPDATE ON backtest_jobs",
        "new.last_error_json ->> 'code' = 'no_market_data'",
    )
    with refused(stack, text_of_the_failure, "22P05", FOR_GOOD):
        job = run(stack, worker, document)

    assert failure(job) == FailureCode.UNEXPECTED_ERROR
    assert job.last_error_json is not None
    assert job.last_error_json["details"] == {"code": "no_market_data"}


def test_an_end_that_is_refused_for_good_leaves_the_job_and_the_worker_goes_on(
    stack: Stack, worker: Worker
) -> None:
    any_end = ("UPDATE ON backtest_jobs", "new.state IN ('succeeded', 'failed')")
    with refused(stack, any_end, TOO_LARGE, FOR_GOOD), capture_logs() as lines:
        job = run(stack, worker)

    assert job.state is State.RUNNING  # until its lease runs out
    assert [line["event"] for line in lines if line["log_level"] == "error"][-1] == "end_refused"
    assert run(stack, worker).state is State.SUCCEEDED


def test_a_claim_that_is_refused_for_good_drops_the_message(stack: Stack, worker: Worker) -> None:
    any_claim = ("UPDATE ON backtest_jobs", "new.attempt > old.attempt")
    with refused(stack, any_claim, TOO_LARGE, FOR_GOOD), capture_logs() as lines:
        job = run(stack, worker)

    assert job.state is State.QUEUED
    assert [(line["event"], line["sqlstate"]) for line in lines] == [("claim_refused", TOO_LARGE)]


def test_a_snapshot_that_was_refused_is_saved_at_the_next_occasion_though_nothing_changed(
    stack: Stack, worker: Worker
) -> None:
    rows = stack.rows(run(stack, worker).job_id)
    taken = claim.take(stack.submit(small_sweep()), worker)
    assert taken is not None
    writer = JobWriter(worker, *taken)
    with refused(stack, STATEMENTS["snapshot"], DISK_FULL, times=1):
        writer.save_snapshot(result_texts.rows(rows, reports=False))
        assert stack.rows(writer.lease.job_id) == []
        writer.save_snapshot(None)

    assert [row.variant_key for row in stack.rows(writer.lease.job_id)] == [
        row.variant_key for row in rows
    ]


def test_a_snapshot_that_was_saved_is_not_written_again(stack: Stack, worker: Worker) -> None:
    def written_at() -> list[object]:
        return stack.connection.execute(
            "SELECT updated_at FROM backtest_job_top_variants WHERE job_id = %s",
            (writer.lease.job_id,),
        ).fetchall()

    rows = stack.rows(run(stack, worker).job_id)
    taken = claim.take(stack.submit(small_sweep()), worker)
    assert taken is not None
    writer = JobWriter(worker, *taken)
    writer.save_snapshot(result_texts.rows(rows, reports=False))
    before = written_at()
    writer.save_snapshot(None)
    assert written_at() == before


def test_the_final_write_may_take_longer_than_other_statements(
    stack: Stack, worker: Worker
) -> None:
    patient = worker.jobs.model_copy(update={"lease_seconds": 30.0})
    conn = stack.connection
    conn.execute("""
        CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END $$
    """)
    conn.execute("""
        CREATE TRIGGER take_long AFTER INSERT ON backtest_job_top_variants
        FOR EACH STATEMENT EXECUTE FUNCTION take_long()
    """)
    try:  # the session's own limit is a second
        job = run(stack, replace(worker, jobs=patient))
    finally:
        conn.execute("DROP FUNCTION take_long CASCADE")
    assert (job.state, job.attempt) == (State.SUCCEEDED, 1)
    assert stack.events(job.job_id).count(EventName.SUCCEEDED) == 1


def test_refusals_of_everything_are_no_statements_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "SECONDS", 0.0)
    kept = Refusals()
    assert not any(kept.too_many("end", others_succeeded_at=0.0) for _ in range(100))


def test_many_refusals_in_a_moment_break_nothing() -> None:
    kept = Refusals()
    assert not any(kept.too_many("end", others_succeeded_at=float("inf")) for _ in range(100))


def test_a_success_forgets_earlier_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "SECONDS", 0.0)
    kept, later = Refusals(), float("inf")
    for _ in range(refusals.TRIES - 1):
        assert not kept.too_many("end", later)
    kept.succeeded("end")
    for _ in range(refusals.TRIES - 1):
        assert not kept.too_many("end", later)
    assert not kept.too_many("progress", later)
    assert kept.too_many("end", later)
