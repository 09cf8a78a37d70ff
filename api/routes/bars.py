"""The prices that a job traded, as a picture needs them."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from api import schemas, views
from api.answers import answer
from api.auth import SignedIn
from api.calls import call
from api.charts import drawn
from api.context import of
from api.errors import ApiError, invalid_value
from api.job_ids import JobDigits, own, wanted_by
from api.parameters import Asked, Query, moment, whole
from engine.candles import NoMarketData
from storage import results
from storage.connection import Connection
from storage.records import Job

router = APIRouter(tags=["results"])

MOST_POINTS = 4_000

BARS = Query(
    moment("from", "Only bars that open then or later."),
    moment("to", "Only bars that open before."),
    whole("points", 1, MOST_POINTS, "How many points at most.", MOST_POINTS),
)


@call(
    router,
    "GET",
    "/backtests/jobs/{job_id}/bars",
    answers={200: schemas.BARS},
    errors=(404, 409),
)
def bars(
    request: Request, who: SignedIn, wanted: JobDigits, asked: Annotated[Asked, Depends(BARS)]
) -> Response:
    """Return the bars that a job traded, put together to few points that keep the extremes."""
    context = of(request)
    from_ms, to_ms = asked["from"], asked["to"]
    if from_ms is not None and to_ms is not None and to_ms <= from_ms:
        raise invalid_value("to", f"must be after from ({from_ms}), got {to_ms}")

    def look(conn: Connection) -> tuple[Job, str | None]:
        job = own(conn, who, wanted)
        return job, results.candles_hash(conn, job.job_id)

    job, expected = context.pool.run(look, again=True)
    try:
        candles, found = context.charts.of(wanted_by(job), expected)
    except NoMarketData:
        raise _changed() from None
    if expected is not None and found != expected:
        raise _changed()
    return answer(views.bars(drawn(candles, from_ms, to_ms, asked["points"])))


def _changed() -> ApiError:
    return ApiError(
        409,
        "candles_changed",
        "the candles of this job's range are no longer those it was computed with: submit it again",
    )
