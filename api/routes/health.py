"""Whether the process lives, whether it can work, and what it measures."""

from fastapi import APIRouter
from starlette.responses import Response

from api import schemas
from api.answers import answer
from api.calls import Call, route
from api.metrics import CONTENT_TYPE_PLAIN_0_0_4
from storage import schema

router = APIRouter(tags=["operation"])


@route(router, "GET", "/healthz", answers={200: schemas.LIVES}, public=True)
async def healthz(_call: Call) -> Response:
    """Say that the process answers."""
    return answer({"status": "ok"})


@route(router, "GET", "/readyz", answers={200: schemas.LIVES}, errors=(503,), public=True)
def readyz(call: Call) -> Response:
    """Say that Postgres answers and has a schema that this program can work with."""
    call.context.pool.run(schema.check)
    return answer({"status": "ok"})


@route(router, "GET", "/metrics", answers={200: schemas.TEXT}, public=True)
def metrics(call: Call) -> Response:
    """Return the metrics of all processes of the API, for Prometheus."""
    text = call.request.app.state.metrics.text()
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
