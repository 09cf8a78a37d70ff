"""Whether the process lives, whether it can work, and what it measures."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import schemas
from api.answers import answer
from api.calls import call
from api.context import of
from api.metrics import CONTENT_TYPE_PLAIN_0_0_4
from storage import schema

router = APIRouter(tags=["operation"])


@call(router, "GET", "/healthz", answers={200: schemas.LIVES}, public=True)
async def healthz(_request: Request) -> Response:
    """Say that the process answers."""
    return answer({"status": "ok"})


@call(router, "GET", "/readyz", answers={200: schemas.LIVES}, errors=(503,), public=True)
def readyz(request: Request) -> Response:
    """Say that Postgres answers and has a schema that this program can work with."""
    of(request).pool.run(schema.check)
    return answer({"status": "ok"})


@call(router, "GET", "/metrics", answers={200: schemas.TEXT}, public=True)
def metrics(request: Request) -> Response:
    """Return the metrics of all processes of the API, for Prometheus."""
    text = request.app.state.metrics.text()
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
