"""The OpenAPI document: what the routes declare, without what the framework adds of its own."""

from importlib import metadata
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response

from api import schemas, tokens
from api.answers import JSON, encoded

PATH = "/openapi.json"
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"cookie": []}]

router = APIRouter(include_in_schema=False)


def document(app: FastAPI) -> dict[str, Any]:
    """Return the document of all routes."""
    found = get_openapi(
        title="Backtest jobs",
        version=metadata.version("backtest-jobs"),
        openapi_version="3.1.0",
        description="Parameter sweeps of trading strategies as jobs.",
        routes=app.routes,
    )
    found["components"] = {
        "schemas": dict(schemas.COMPONENTS),
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "cookie": {"type": "apiKey", "in": "cookie", "name": tokens.COOKIE},
        },
    }
    found["security"] = SECURITY
    return found


@router.get(PATH)
async def openapi(request: Request) -> Response:
    """Return the document; it is made once."""
    made = request.app.state.made
    if "openapi" not in made:
        made["openapi"] = encoded(document(request.app))
    return Response(made["openapi"], media_type=JSON)
