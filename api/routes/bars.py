"""The prices that a job traded, as a picture needs them."""

from fastapi import APIRouter
from starlette.responses import Response

from api import schemas, views
from api.answers import answer
from api.calls import Call, route
from api.charts import drawn
from api.errors import ApiError, invalid_value
from api.job_ids import own, wanted_by
from api.parameters import Query, moment, whole
from engine.candles import NoMarketData
from engine.request import RequestError
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


@route(
    router,
    "GET",
    "/backtests/jobs/{job_id}/bars",
    answers={200: schemas.BARS},
    errors=(404, 409),
    query=BARS,
)
def bars(call: Call) -> Response:
    """Return the bars that a job traded, put together to few points that keep the extremes."""
    context, who = call.context, call.who
    from_ms, to_ms = call.asked["from"], call.asked["to"]
    if from_ms is not None and to_ms is not None and to_ms <= from_ms:
        raise invalid_value("to", f"must be after from ({from_ms}), got {to_ms}")

    def look(conn: Connection) -> tuple[Job, str | None]:
        job = own(conn, who, call.job)
        return job, results.candles_hash(job.job_id).of(conn)

    job, expected = context.pool.run(look, again=True)
    try:
        candles, found = context.charts.of(wanted_by(job), expected)
    except (NoMarketData, RequestError):
        raise _changed() from None
    if expected is not None and found != expected:
        raise _changed()
    return answer(views.bars(drawn(candles, from_ms, to_ms, call.asked["points"])))


def _changed() -> ApiError:
    return ApiError(
        409,
        "candles_changed",
        "the candles of this job's range are no longer those it was computed with: submit it again",
    )
