"""Everything that storage does with a job, for trying it in odd places."""

from functools import partial

from storage import dispatch, jobs, leases, result_texts, results, schema
from storage.records import Claimed, Client, Stage, State
from storage.session import Session
from tests.storage.making import (
    COVERAGE,
    OUTCOMES,
    SHORTLIST,
    claimer,
    new_job,
    stored_rows,
    variants,
)


def whole_life(mine: Session, lease_seconds: float = 60) -> Claimed:
    """Everything that storage does with a job, until it has succeeded."""
    mine.run(schema.check)
    mine.run(schema.namespace)
    job = mine.run(partial(jobs.create, new_job=new_job(), max_active=3, client=Client.CLI)).job
    mine.run(partial(dispatch.postpone_waiting, waiting=[], redispatch_seconds=5))
    mine.run(partial(dispatch.mark_due, limit=5, redispatch_seconds=5))
    taken = leases.claim(mine, job.job_id, claimer(lease_seconds=lease_seconds))
    assert isinstance(taken, Claimed)
    lease = taken.lease
    assert mine.run_one(partial(leases.recognise, job_id=job.job_id, claimer=claimer()))
    assert mine.run_one(partial(leases.renew, lease=lease))
    assert mine.run_one(partial(leases.start_stage, lease=lease, stage=Stage.STAGE_B, total=9))
    assert mine.run_one(
        partial(leases.progress, lease=lease, stage=Stage.STAGE_B, processed=1, total=9)
    )
    assert mine.run_one(partial(results.save_coverage, lease=lease, coverage=COVERAGE))
    save_shortlist = partial(results.save_shortlist, shortlist=SHORTLIST, outcomes=OUTCOMES)
    assert mine.run(partial(save_shortlist, lease=lease))
    assert mine.run(results.outcomes(job.job_id).of) == OUTCOMES
    assert mine.run(partial(results.shortlist, job_id=job.job_id))
    snapshot = result_texts.rows(variants(3), reports=False)
    assert mine.run(partial(results.save_snapshot, lease=lease, rows=snapshot))
    mine.run(dispatch.gauges)
    mine.run(partial(dispatch.sweep, max_crashes=3))
    final = result_texts.rows(variants(3, reports=True), reports=True)
    assert mine.run(partial(results.succeed, lease=lease, rows=final)) is State.SUCCEEDED
    assert mine.run(partial(leases.own_end, lease=lease)) is State.SUCCEEDED
    assert mine.run(partial(stored_rows, job_id=job.job_id)) == variants(3, reports=True)
    assert mine.run(partial(jobs.delete_finished, older_than_days=1, batch=10)) == 0
    return taken
