"""What a request can be made of: indicators, instruments, and the fields of a request."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from api import schemas, views
from api.answers import JSON, answer, encoded
from api.calls import Call, route
from engine.indicators.catalogue import described
from engine.indicators.registry import catalogue
from engine.request import json_schema

router = APIRouter(tags=["catalogue"])


@route(router, "GET", "/backtests/indicators", answers={200: schemas.INDICATORS})
def indicators(call: Call) -> Response:
    """Return the indicators: parameters, bounds, default axes, outputs and rules."""

    def made() -> Any:
        grids = call.context.defaults.indicator_grids
        return {"items": [described(each, grids) for each in catalogue()]}

    return _made_once(call, "indicators", made)


@route(router, "GET", "/backtests/instruments", answers={200: schemas.INSTRUMENTS})
def instruments(call: Call) -> Response:
    """Return the instruments there are candles of."""
    found = call.context.candles.instruments()
    return answer({"items": [views.instrument(each) for each in found]})


@route(router, "GET", "/backtests/request-schema", answers={200: schemas.JSON_SCHEMA})
def request_schema(call: Call) -> Response:
    """Return the JSON Schema of a request, with the defaults that are configured here."""
    return _made_once(call, "request_schema", lambda: json_schema(call.context.defaults))


def _made_once(call: Call, name: str, make: Any) -> Response:
    """Answer with what is the same as long as the process lives."""
    made = call.request.app.state.made
    if name not in made:
        made[name] = encoded(make())
    return Response(made[name], media_type=JSON)
