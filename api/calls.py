"""A call as it is declared: one line says what it takes and answers, for the router and OpenAPI.

What an endpoint needs of a call is read here, in one place and without the framework's way of
solving dependencies, which takes several times as long as everything else around an endpoint.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar, cast

from anyio import to_thread
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import schemas
from api.auth import Identity, require_operator, signed_in
from api.bodies import json_body
from api.context import Context, of
from api.job_ids import digits
from api.parameters import Asked, Query

Endpoint = TypeVar("Endpoint", bound=Callable[["Call"], Response | Awaitable[Response]])
Schema = Mapping[str, Any]

ALWAYS = (422, 500, 503)
SIGNED_IN = (401, 403)
BODY = (400, 408, 413, 415)

JOB_ID = "job"


class JobId(StringConvertor):
    """A part of a path that stands for a job: none of the words that have a call of their own."""

    regex = "(?!(?:cancel|stream)(?:/|$))[^/]+"


register_url_convertor(JOB_ID, JobId())


class Call:
    """What an endpoint is given: who calls, the query by name, the document of the body."""

    __slots__ = ("_who", "asked", "context", "document", "request")

    def __init__(self, request: Request, who: Identity | None, asked: Asked, document: Any) -> None:
        self.request = request
        self.context: Context = of(request)
        self._who = who
        self.asked = asked
        self.document = document

    @property
    def who(self) -> Identity:
        """Who calls; public calls do not know."""
        assert self._who is not None
        return self._who

    @property
    def job(self) -> str:
        """The 4 to 32 hexadecimal digits of `{job_id}`; raises 422."""
        return digits(self.path("job_id"), "job_id")

    def path(self, name: str) -> str:
        """Return the part of the path that stands for a name."""
        part: str = self.request.path_params[name]
        return part


def route(
    router: APIRouter,
    method: str,
    path: str,
    *,
    answers: Mapping[int, Schema | None],
    query: Query = Query(),  # noqa: B008 – it never changes
    body: Schema | None = None,
    errors: Sequence[int] = (),
    public: bool = False,
    operators: bool = False,
    headers: Sequence[Mapping[str, Any]] = (),
) -> Callable[[Endpoint], Endpoint]:
    """Add an endpoint that returns a ready Response to a router.

    `answers` maps the statuses of success to the schema of the answer; `errors` are statuses beside
    those that every call has; `headers` are parameters in OpenAPI's form. Without `public` it is
    for those who are signed in, with `operators` for the operators among them. A plain function
    runs in a thread of the server, a coroutine in the loop: it must wait for nothing else than what
    it awaits.
    """
    refusals = {*ALWAYS, *errors, *(() if public else SIGNED_IN), *(BODY if body else ())}
    parameters = [*_path_parameters(path), *headers, *query.described()]
    extra: dict[str, Any] = {"parameters": parameters}
    if body is not None:
        content = {"application/json": {"schema": dict(body)}}
        extra["requestBody"] = {"required": True, "content": content}
    if public:
        extra["security"] = []
    responses: dict[int | str, dict[str, Any]] = {
        **{status: _response(status, schema) for status, schema in answers.items()},
        **{status: _response(status, schemas.ERROR) for status in sorted(refusals)},
    }

    def add(endpoint: Endpoint) -> Endpoint:
        router.add_api_route(
            path=path.replace("{job_id}", f"{{job_id:{JOB_ID}}}"),
            endpoint=_handler(
                endpoint, query, public=public, operators=operators, has_body=body is not None
            ),
            route_class_override=_Route,
            methods=[method],
            status_code=min(answers),
            response_model=None,
            responses=responses,
            name=endpoint.__name__,
            summary=(endpoint.__doc__ or "").partition("\n")[0],
            description="",
            openapi_extra=extra,
        )
        return endpoint

    return add


class _Route(APIRoute):
    """A route that calls its endpoint and nothing else: all else is done by `_handler`."""

    def __init__(self, *values: Any, **settings: Any) -> None:
        super().__init__(*values, **settings)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            response = await self.endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = app


def _handler(
    endpoint: Endpoint, query: Query, *, public: bool, operators: bool, has_body: bool
) -> Callable[[Request], Awaitable[Response]]:
    """Return what the router calls. Who calls is asked first: strangers learn nothing else."""
    waits = inspect.iscoroutinefunction(endpoint)

    async def handle(request: Request) -> Response:
        who = None if public else signed_in(request)
        if operators:
            require_operator(who)
        asked = query.read(request.query_params)
        document = await json_body(request) if has_body else None
        call = Call(request, who, asked, document)
        if waits:
            return await cast("Awaitable[Response]", endpoint(call))
        return await to_thread.run_sync(cast("Callable[[Call], Response]", endpoint), call)

    return handle


def _response(status: int, schema: Schema | None) -> dict[str, Any]:
    found: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if schema is None:
        return found
    media = schema.get("x-media-type", "application/json")
    plain = {key: value for key, value in schema.items() if key != "x-media-type"}
    return found | {"content": {media: {"schema": plain}}}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": dict(schemas.PATH[name])}
        for name in names
    ]
