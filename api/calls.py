"""A call as it is declared: one line says what it takes and answers, for the router and OpenAPI."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import APIRouter, Depends
from starlette.convertors import StringConvertor, register_url_convertor

from api import schemas
from api.auth import signed_in
from api.parameters import known_query

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Schema = Mapping[str, Any]

ALWAYS = (422, 500, 503)
SIGNED_IN = (401, 403)
BODY = (400, 408, 413, 415)

JOB_ID = "job"


class JobId(StringConvertor):
    """A part of a path that stands for a job: none of the words that have a call of their own."""

    regex = "(?!(?:cancel|stream)(?:/|$))[^/]+"


register_url_convertor(JOB_ID, JobId())


def call(
    router: APIRouter,
    method: str,
    path: str,
    *,
    answers: Mapping[int, Schema | None],
    body: Schema | None = None,
    errors: Sequence[int] = (),
    public: bool = False,
    headers: Sequence[Mapping[str, Any]] = (),
) -> Callable[[Endpoint], Endpoint]:
    """Add an endpoint that returns a ready Response to a router.

    `answers` maps the statuses of success to the schema of the answer; `errors` are statuses beside
    those that every call has; `headers` are parameters in OpenAPI's form. Unless it is public, the
    endpoint asks for `api.auth.SignedIn`.
    """
    refusals = {*ALWAYS, *errors, *(() if public else SIGNED_IN), *(BODY if body else ())}
    extra: dict[str, Any] = {"parameters": [*_path_parameters(path), *headers]}
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
            path.replace("{job_id}", f"{{job_id:{JOB_ID}}}"),
            endpoint,
            methods=[method],
            dependencies=[*([] if public else [Depends(signed_in)]), Depends(known_query)],
            status_code=min(answers),
            response_model=None,
            responses=responses,
            summary=(endpoint.__doc__ or "").partition("\n")[0],
            description="",
            openapi_extra=extra,
        )
        return endpoint

    return add


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
