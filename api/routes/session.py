"""The session of the page: a token becomes a cookie, and goes away again."""

import math
import time

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import schemas, tokens
from api.answers import nothing
from api.auth import local_developer, require_same_origin, unauthenticated
from api.calls import Call, route
from api.context import Context
from api.fields import members, text

router = APIRouter(tags=["session"])

LONGEST_TOKEN = 4096


@route(
    router,
    "POST",
    "/session",
    answers={204: None},
    body=schemas.SIGN_IN,
    errors=(401, 403, 429),
    public=True,
)
def sign_in(call: Call) -> Response:
    """Put a token into a cookie. In dev, on the machine's own browser, without a token."""
    context, request = call.context, call.request
    require_same_origin(request)
    given = members(call.document, ("token",))
    if "token" in given:
        wanted = text(given["token"], "token", LONGEST_TOKEN)
        token = _checked(request, context, wanted)
        signed = wanted
    elif local_developer(request):
        token = tokens.lasting(tokens.LOCAL_USER, context.api.token_days)
        signed = tokens.sign(context.secret, token)
    else:
        raise unauthenticated("give a token: `backtest token` makes one")
    response = nothing()
    response.set_cookie(
        tokens.COOKIE,
        signed,
        max_age=max(1, math.ceil(token.expires_at - time.time())),
        secure=context.settings.env != "dev",
        httponly=True,
        samesite="lax",
    )
    return response


@route(router, "DELETE", "/session", answers={204: None}, errors=(403,), public=True)
def sign_out(call: Call) -> Response:
    """Clear the cookie."""
    require_same_origin(call.request)
    response = nothing()
    response.delete_cookie(
        tokens.COOKIE,
        secure=call.context.settings.env != "dev",
        httponly=True,
        samesite="lax",
    )
    return response


def _checked(request: Request, context: Context, text: str) -> tokens.Token:
    address = request.client.host if request.client else ""
    context.sign_ins.tries(address)
    try:
        token = tokens.read(context.secret, text)
    except tokens.BadToken as error:
        raise unauthenticated(str(error)) from None
    context.sign_ins.passed(address)
    return token
