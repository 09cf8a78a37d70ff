"""The grants in the runbook are enough for everything that programs do, and none is too many."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from storage import (
    dispatch,
    jobs,
    leases,
    lists,
    plans,
    readiness,
    result_texts,
    results,
    schema,
    shards,
    strategies,
    switches,
    watching,
)
from storage.records import Claimed, Client, Stage, State
from storage.session import Session
from storage.strategies import NewStrategy
from tests.faults.harness import wait_for
from tests.grants import ROLE, RUNBOOK, listed, runtime_role, single
from tests.storage.making import (
    COVERAGE,
    FAILURE,
    OUTCOMES,
    SHORTLIST,
    SUCCESSOR,
    answered,
    claimer,
    expire,
    new_job,
    session,
    stored_rows,
    variants,
)
from tests.storage.sharing import CANDLES, ENGINE, RESULT, helped, helper, new_plan
from tests.storage.test_listener import listening


@pytest.fixture
def runtime_dsn(database: str) -> Iterator[str]:
    with runtime_role(database) as dsn:
        yield dsn


@pytest.fixture
def mine(runtime_dsn: str) -> Iterator[Session]:
    with session(runtime_dsn, on_connect=schema.check) as made:
        yield made


def everything(mine: Session, owner: psycopg.Connection) -> None:
    """What the programs do with jobs. The owner of the tables only makes time pass."""
    with_strategies(mine)
    with_switches(mine)
    mine.run(schema.namespace)
    mine.run(dispatch.gauges)
    wanted = new_job(idempotency_key="once", name="Sweep")
    job = mine.run(partial(jobs.create, new_job=wanted, max_active=3, client=Client.CLI)).job
    again = mine.run(partial(jobs.create, new_job=wanted, max_active=3, client=Client.CLI))
    assert again.job.job_id == job.job_id
    assert mine.run(partial(jobs.get, job_id=job.job_id))
    for state in (None, State.QUEUED):
        assert mine.run(partial(lists.page, user_id=job.user_id, state=state, q="Swe")).items
    assert mine.run(lists.counts(job.user_id).of)[State.QUEUED].number == 1
    seen = mine.run(partial(watching.look, after={job.job_id: 0}, user_ids=[job.user_id]))
    assert len(seen.jobs) == len(seen.events) == len(seen.lines) == 1
    assert mine.run(
        partial(jobs.describe, user_id=job.user_id, job_id=job.job_id, changes={"note": "why"})
    )
    mine.run(partial(dispatch.postpone_waiting, waiting=[job.job_id], redispatch_seconds=0))
    dues = mine.run(partial(dispatch.mark_due, limit=5, redispatch_seconds=5))
    assert mine.run(partial(dispatch.unmark, dues=dues)) == 1

    lease = claimed(mine, job)
    assert mine.run(partial(leases.recognise, job_id=job.job_id, claimer=claimer()))
    mine.run(partial(leases.start_stage, lease=lease, stage=Stage.STAGE_A))
    mine.run(partial(leases.progress, lease=lease, stage=Stage.STAGE_A, processed=1, total=2))
    for _ in range(2):
        assert mine.run(partial(results.save_coverage, lease=lease, coverage=COVERAGE))
        save_shortlist = partial(results.save_shortlist, shortlist=SHORTLIST, outcomes=OUTCOMES)
        assert mine.run(partial(save_shortlist, lease=lease))
    assert mine.run(partial(results.shortlist, job_id=job.job_id))
    assert mine.run(results.outcomes(job.job_id).of)
    with_plans(mine, lease)
    snapshot = result_texts.rows(variants(2), reports=False)
    for _ in range(2):
        assert mine.run(partial(results.save_snapshot, lease=lease, rows=snapshot))
    assert mine.run(partial(leases.release, lease=lease))

    lease = claimed(mine, job)
    mine.run(partial(leases.resumed_from_shortlist, lease=lease, written_by_attempt=1))
    assert mine.run(partial(leases.renew, lease=lease))
    expire(owner, job.job_id)
    lease = claimed(mine, job, SUCCESSOR)
    final = result_texts.rows(variants(2, reports=True), reports=True)
    succeed = partial(results.succeed, lease=lease, rows=final, found=answered())
    assert mine.run(succeed) is State.SUCCEEDED
    assert mine.run(partial(leases.own_end, lease=lease)) is State.SUCCEEDED
    assert len(mine.run(partial(stored_rows, job_id=job.job_id))) == 2
    assert len(mine.run(results.outline(job.job_id).of)) == 2
    assert mine.run(results.figures(job.job_id).of)
    assert mine.run(results.validation(job.job_id).of)
    assert mine.run(results.surface(job.job_id, 2).of)
    assert mine.run(jobs.events(job.job_id).of)

    failing = claimed(mine, created(mine))
    mine.run(partial(leases.end, lease=failing, state=State.FAILED, failure=FAILURE))
    swept = claimed(mine, created(mine))
    assert mine.run(partial(jobs.cancel, job_id=swept.job_id, client=Client.CLI))
    again = mine.run(partial(results.variant, job_id=job.job_id, variant_key="key-1"))
    assert again is not None
    expire(owner, swept.job_id)
    assert mine.run(partial(dispatch.sweep, max_crashes=3)) == {State.CANCELLED: 1}
    assert mine.run(partial(dispatch.sweep_plans, batch=10)) == 1

    owner.execute("UPDATE backtest_jobs SET finished_at = now() - interval '9 days'")
    assert mine.run(partial(jobs.delete_finished, older_than_days=7, batch=10)) == 3
    assert mine.run(jobs.events(job.job_id).of) == []
    assert mine.run(partial(stored_rows, job_id=job.job_id)) == []


def with_plans(mine: Session, lease: leases.Lease) -> None:
    """What they do to share a job."""
    plan = mine.run(partial(plans.plan, lease=lease, new=new_plan())).value
    ours = {"engine_identity": ENGINE, "candles_hash": CANDLES}
    assert mine.run(partial(plans.adopt, lease=lease, stage=plan.stage, **ours)).value == plan
    assert mine.run(partial(dispatch.help_wanted, max_crashes=3, limit=1))
    assert mine.run(partial(shards.offer, job_id=lease.job_id, helper=helper())) == plan
    held = mine.run(partial(helped, plan=plan)).lease
    assert mine.run(partial(shards.beat, shard=held, processed=1))
    assert mine.run(partial(shards.finish, shard=held, result=RESULT))
    held = mine.run(partial(helped, plan=plan)).lease
    assert mine.run(partial(shards.fail, shard=held, failure=FAILURE))
    own = mine.run(partial(plans.claim, lease=lease, plan=plan)).value.lease
    assert mine.run(partial(plans.beat, lease=lease, plan=plan, own=own, processed=1)).value
    assert mine.run(partial(plans.give_back, lease=lease, own=own)).value
    assert mine.run(partial(plans.tally, plan=plan)).open == 2
    assert mine.run(partial(plans.next_result, plan=plan)) == (0, RESULT)
    assert len(mine.run(shards.lines(lease.job_id).of)) == 3
    assert mine.run(lambda conn: plans.discard(conn, lease, plan.stage))
    assert mine.run(partial(plans.plan, lease=lease, new=new_plan()))


def with_strategies(mine: Session) -> None:
    """What they do with saved strategies."""
    user_id = uuid4()
    saved = mine.run(partial(strategies.create, user_id=user_id, new=NewStrategy("s", {})))
    same = {"user_id": user_id, "strategy_id": saved.strategy_id}
    assert mine.run(partial(strategies.update, **same, new=NewStrategy("t", {})))
    assert mine.run(partial(strategies.get, **same))
    assert mine.run(partial(strategies.page, user_id=user_id)).items
    assert mine.run(partial(strategies.delete, **same))


def with_switches(mine: Session) -> None:
    """What operators do; the second pause finds a row."""
    for _ in range(2):
        assert mine.run(partial(switches.pause, by="operator", reason="why"))
        assert mine.run(switches.paused().of) is not None
        assert mine.run(partial(switches.resume, by="operator"))


def created(mine: Session) -> jobs.Job:
    return mine.run(partial(jobs.create, new_job=new_job(), max_active=3, client=Client.CLI)).job


def claimed(mine: Session, job: jobs.Job, owner: str = "host-1-0000000a") -> leases.Lease:
    taken = leases.claim(mine, job.job_id, claimer(owner))
    assert isinstance(taken, Claimed)
    return taken.lease


def test_the_listed_grants_are_enough(mine: Session, connection: psycopg.Connection) -> None:
    everything(mine, connection)


@pytest.mark.parametrize(("privilege", "table"), single())
def test_with_one_grant_less_something_fails(
    mine: Session,
    runtime_dsn: str,
    connection: psycopg.Connection,
    privilege: str,
    table: str,
) -> None:
    role = sql.Identifier(str(conninfo_to_dict(runtime_dsn)["user"]))
    revoke = sql.SQL("REVOKE {} ON {} FROM {}")
    connection.execute(revoke.format(sql.SQL(privilege), sql.Identifier(table), role))
    with pytest.raises((psycopg.errors.InsufficientPrivilege, schema.SchemaUnusable), match=table):
        everything(mine, connection)


def test_the_runtime_role_listens_and_notifies(runtime_dsn: str, mine: Session) -> None:
    with listening(runtime_dsn) as wakes:
        mine.run(partial(jobs.create, new_job=new_job(), max_active=3, client=Client.CLI))
        wakes.reach(2)


def test_the_runtime_role_sees_its_own_sessions_wait(
    runtime_dsn: str, mine: Session, connection: psycopg.Connection
) -> None:
    lease = claimed(mine, created(mine))
    with session(runtime_dsn) as other, ThreadPoolExecutor(1) as threads:
        with connection.transaction():
            connection.execute("SELECT FROM backtest_jobs FOR UPDATE")
            waiting = threads.submit(other.run, partial(leases.renew, lease=lease))
            wait_for(lambda: mine.run(dispatch.gauges).waiting_sessions == 1, "a waiting session")
        assert waiting.result(timeout=20)


@pytest.mark.parametrize(
    ("revoke", "names"),
    [
        ("SELECT ON backtest_jobs_schema_version", "backtest_jobs_schema_version"),
        ("SELECT ON backtest_jobs_schema_compat", "backtest_jobs_schema_compat"),
    ],
)
def test_a_role_that_may_not_read_the_revision_is_told_what_to_grant(
    runtime_dsn: str, connection: psycopg.Connection, revoke: str, names: str
) -> None:
    role = str(conninfo_to_dict(runtime_dsn)["user"])
    connection.execute(f"REVOKE {revoke} FROM {role}")
    with pytest.raises(schema.SchemaUnusable) as caught:
        readiness.look(runtime_dsn, abandon=lambda: False)
    line = str(caught.value)
    assert names in line
    assert f"grant the role {role} what docs/runbook.md lists under grants" in line
    assert "\n" not in line


def test_a_role_that_may_not_read_the_identity_of_the_server_is_told_so(
    runtime_dsn: str, postgres_server: str, database: str
) -> None:
    function = "{} EXECUTE ON FUNCTION pg_control_system() {} PUBLIC".format
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute(function("REVOKE", "FROM"))
        try:
            with pytest.raises(schema.SchemaUnusable, match=r"pg_control_system.*lists under"):
                readiness.look(runtime_dsn, abandon=lambda: False)
        finally:
            owner.execute(function("GRANT", "TO"))


def test_both_languages_list_the_same_grants() -> None:
    russian = Path(str(RUNBOOK).replace(".md", ".ru.md")).read_text("utf-8")
    assert re.findall(rf"^GRANT .* TO {ROLE};$", russian, re.M) == listed() != []
