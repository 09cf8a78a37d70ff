"""Jobs: submitted, listed, looked at, renamed, cancelled."""


from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import schemas, views
from api.answers import answer
from api.auth import SignedIn
from api.bodies import JsonBody
from api.calls import call
from api.context import of
from api.job_ids import JobDigits, own
from api.submission import Submission, estimated
from engine.request import engine_params_hash, request_hash
from storage import jobs, results
from storage.records import NewJob

router = APIRouter(tags=["jobs"])


@call(router, "POST", "/backtests/jobs", answers={201: schemas.SUBMITTED}, body=schemas.REQUEST)
def submit(request: Request, who: SignedIn, document: JsonBody) -> Response:
    """Submit a request as a job."""
    context = of(request)
    checked = Submission.of(document, context)
    new_job = NewJob(
        user_id=who.user_id,
        mode="template",
        request_json=checked.effective,
        request_hash=request_hash(checked.effective),
        engine_params_hash=engine_params_hash(checked.effective),
        backtest_runtime_config_hash=context.settings.runtime_config_hash,
        coverage_json=checked.coverage,
    )
    limit = context.settings.backtest.jobs.max_active_jobs_per_user
    job = context.pool.run(
        lambda conn: jobs.create(conn, new_job, max_active=limit, client=who.client)
    )
    document = views.status(job, []) | {
        "warnings": checked.warnings,
        "estimate": estimated(checked.request, threads=context.limits.threads),
    }
    return answer(document, 201, {"Location": f"/backtests/jobs/{job.job_id}"})


@call(router, "GET", "/backtests/jobs/{job_id}", answers={200: schemas.STATUS}, errors=(404, 409))
def status(request: Request, who: SignedIn, wanted: JobDigits) -> Response:
    """Return one job, and what to make of it."""

    def look(conn):
        job = own(conn, who, wanted)
        return job, results.outline(conn, job.job_id)

    return answer(views.status(*of(request).pool.run(look, again=True)))
