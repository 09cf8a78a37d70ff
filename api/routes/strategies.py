"""Saved strategies: templates under a name, written by hand or taken from a variant of a job."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from api import cursor, schemas, views
from api.answers import answer, nothing
from api.auth import Identity
from api.calls import Call, route
from api.context import Context
from api.errors import invalid, invalid_value, not_found, of_request
from api.fields import members, together, uuid
from api.job_ids import digits, own, wanted_by
from api.parameters import Query, cursor_of, whole
from api.submission import own_strategy
from engine.one_variant import template_of
from engine.request import FieldError, RequestError, complete, read_label
from engine.request.words import shown
from storage import results, strategies
from storage.connection import Connection
from storage.strategies import NewStrategy, Strategy

router = APIRouter(tags=["strategies"])

Make = Callable[[Connection], NewStrategy]
"""Makes a strategy inside a transaction, still without its name and note."""

ID_NAME = "strategy_id"
WRITTEN = ("name", "note", "template")
TAKEN = ("name", "note", "job_id", "variant_key")

ANY_RANGE = {"start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"}
"""What a template is read with: a template has no range of its own."""

LIST = Query(
    whole("limit", 1, 250, "How many strategies a page has at most.", 50), cursor_of(ID_NAME)
)


@route(
    router,
    "POST",
    "/strategies",
    answers={201: schemas.STRATEGY},
    body=schemas.NEW_STRATEGY,
    errors=(404, 409),
)
def create(call: Call) -> Response:
    """Save a template, or the one of a variant that a job stored."""
    context, who, document = call.context, call.who, call.document
    taken = isinstance(document, Mapping) and not {"job_id", "variant_key"}.isdisjoint(document)
    _, (name, note), make = together(
        document,
        lambda given: members(given, TAKEN if taken else WRITTEN),
        _label,
        lambda given: _of_a_variant(given, who) if taken else _as_written(given, context),
    )
    made = context.pool.run(
        lambda conn: strategies.create(conn, who.user_id, replace(make(conn), name=name, note=note))
    )
    return answer(views.strategy(made), 201, {"Location": f"/strategies/{made.strategy_id}"})


@route(router, "GET", "/strategies", answers={200: schemas.STRATEGIES}, query=LIST)
def list_strategies(call: Call) -> Response:
    """List one's strategies, newest first."""
    page = call.context.pool.run(
        lambda conn: strategies.page(
            conn, call.who.user_id, limit=call.asked["limit"], before=call.asked["cursor"]
        ),
        again=True,
    )
    following = None if page.next is None else cursor.written(page.next, ID_NAME)
    return answer(
        {"items": [views.strategy(each) for each in page.items], "next_cursor": following}
    )


@route(router, "GET", "/strategies/{strategy_id}", answers={200: schemas.STRATEGY}, errors=(404,))
def show(call: Call) -> Response:
    """Return one strategy."""
    strategy_id = uuid(call.path(ID_NAME), ID_NAME)
    found = call.context.pool.run(
        lambda conn: own_strategy(conn, call.who, strategy_id), again=True
    )
    return answer(views.strategy(found))


@route(
    router,
    "PUT",
    "/strategies/{strategy_id}",
    answers={200: schemas.STRATEGY},
    body=schemas.CHANGED_STRATEGY,
    errors=(404, 409),
)
def change(call: Call) -> Response:
    """Replace name, note and template; jobs made of the strategy keep what they were made of."""
    context, who = call.context, call.who
    strategy_id = uuid(call.path(ID_NAME), ID_NAME)
    _, (name, note), template = together(
        call.document,
        lambda given: members(given, WRITTEN),
        _label,
        lambda given: _template(given, context),
    )
    new = NewStrategy(name, template, note)

    def store(conn: Connection) -> Strategy | None:
        before = own_strategy(conn, who, strategy_id)
        source: dict[str, Any] = {}
        if before.template_json == new.template_json:  # it is still what it was taken from
            source = {
                "source_job_id": before.source_job_id,
                "source_variant_key": before.source_variant_key,
            }
        return strategies.update(conn, who.user_id, strategy_id, replace(new, **source))

    found = context.pool.run(store)
    if found is None:  # deleted meanwhile
        raise not_found(f"you have no strategy {strategy_id}")
    return answer(views.strategy(found))


@route(router, "DELETE", "/strategies/{strategy_id}", answers={204: None}, errors=(404,))
def delete(call: Call) -> Response:
    """Delete a strategy; jobs made of it stay as they are."""
    strategy_id = uuid(call.path(ID_NAME), ID_NAME)

    pool, user_id = call.context.pool, call.who.user_id
    if not pool.run(lambda conn: strategies.delete(conn, user_id, strategy_id)):
        raise not_found(f"you have no strategy {strategy_id}")
    return nothing()


def _as_written(given: Mapping[str, Any], context: Context) -> Make:
    template = _template(given, context)
    return lambda _conn: NewStrategy("", template)


def _of_a_variant(given: Mapping[str, Any], who: Identity) -> Make:
    job_digits = digits(_required(given, "job_id"), "job_id")
    key = _required(given, "variant_key")
    if not re.fullmatch(r"[0-9a-f]{64}", key, re.ASCII):
        raise invalid_value("variant_key", f"must be 64 hexadecimal digits, got {shown(key)}")

    def make(conn: Connection) -> NewStrategy:
        job = own(conn, who, job_digits)
        row = results.variant(conn, job.job_id, key)
        if row is None:
            raise not_found(f"job {job.job_id} stored no variant {key}")
        template = template_of(wanted_by(job).document, row.payload_json)
        return NewStrategy("", template, source_job_id=job.job_id, source_variant_key=key)

    return make


def _label(given: Mapping[str, Any]) -> tuple[str, str | None]:
    name, note, _ = read_label(given)
    if name is None:
        raise invalid_value("name", "is missing: a strategy needs a name of its own")
    return name, note


def _required(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        state = "is missing" if value is None else f"must be a text, got {shown(value)}"
        raise invalid_value(name, f"{state}: a variant is named by job_id and variant_key")
    return value


def _template(given: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
    """Return a template that can be read; how large a sweep it makes is asked when it is run."""
    template = given.get("template")
    if template is None:
        raise invalid_value("template", "is missing: give one, or job_id and variant_key")
    if not isinstance(template, Mapping):
        raise invalid_value("template", f"must be an object, got {shown(template)}")
    document = {"template": template, "time_range": ANY_RANGE}
    try:
        complete(document, context.defaults, context.limits)
    except RequestError as error:
        problems = [one for one in error.errors if _about_the_template(one)]
        if problems:
            raise invalid(of_request(RequestError(problems))) from None
    return template


def _about_the_template(problem: FieldError) -> bool:
    return problem.code == "invalid_request" and problem.path.startswith("template")
