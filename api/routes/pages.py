"""The pages. They are the same for everybody: what is a user's comes through the calls."""

import json
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Match
from starlette.types import Scope

from api import openapi
from api.auth import Identity, is_operator, local_developer, require_operator, visitor
from api.context import of
from api.pages.files import files, media_type, plotly_file, plotly_name
from api.pages.reference import chapters
from api.pages.refusals import accepts_html
from api.pages.rendering import rendered
from engine.request.example import holding_example
from engine.request.reference import reference

router = APIRouter(include_in_schema=False)

FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"

WITHOUT_JOBS = ("signin", "reference")
"""Pages that have a use where jobs are switched off."""


Visitor = Annotated[Identity | None, Depends(visitor)]


@router.get("/")
def jobs(request: Request, who: Visitor) -> Response:
    """Show the list of jobs."""
    return _own(request, who, "list.html", "jobs")


@router.get("/new")
def new(request: Request, who: Visitor) -> Response:
    """Show the form of a request."""
    fields = {field["path"]: field for field in reference(of(request).defaults)}
    return _own(request, who, "new.html", "new", fields=fields)


@router.get("/jobs/{job_id}")
def job(request: Request, who: Visitor, job_id: str) -> Response:
    """Show one job."""
    return _own(request, who, "job.html", "jobs", job_id=job_id)


@router.get("/compare")
def compare(request: Request, who: Visitor) -> Response:
    """Show several jobs or variants side by side."""
    return _own(request, who, "compare.html", "jobs")


@router.get("/operate")
def operate(request: Request, who: Visitor) -> Response:
    """Show the queue to an operator."""
    if who is not None:
        require_operator(who)
    return _own(request, who, "operate.html", "operate")


class ForBrowsers(APIRoute):
    """A page at an address that is a call, too: whoever does not ask for HTML gets the call."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match only what accepts HTML."""
        if scope["type"] == "http" and not accepts_html(Headers(scope=scope)):
            return Match.NONE, {}
        return super().matches(scope)


def strategies(request: Request, who: Visitor) -> Response:
    """Show saved strategies."""
    shown = _own(request, who, "strategies.html", "strategies")
    shown.headers["Vary"] = "Accept"
    return shown


router.add_api_route("/strategies", strategies, methods=["GET"], route_class_override=ForBrowsers)


@router.get("/signin")
def sign_in(request: Request) -> Response:
    """Ask for a token."""
    return _page(request, "signin.html", "signin", local=local_developer(request))


@router.get("/docs")
def docs(request: Request, who: Visitor) -> Response:
    """Show every call, and every field of a request."""
    fields = reference(of(request).defaults)
    calls, origin = chapters(openapi.document(request.app)), str(request.base_url).rstrip("/")
    holding = json.dumps(holding_example(), indent=2)
    given = {"chapters": calls, "fields": fields, "origin": origin, "holding": holding}
    return _page(request, "reference.html", "reference", who, **given)


@router.get("/static/{path:path}")
def static(path: str) -> Response:
    """Serve a file that pages load."""
    name, version = PurePosixPath(path).name, PurePosixPath(path).parent.name
    if path == plotly_name():
        return FileResponse(
            plotly_file(), media_type=media_type(path), headers={"Cache-Control": FOR_EVER}
        )
    content = files().contents.get(name)
    if content is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    # A page of the release before may still ask for its own version.
    kept = FOR_EVER if version == files().version else ASK_AGAIN
    return Response(content, media_type=media_type(name), headers={"Cache-Control": kept})


def _own(
    request: Request, who: Identity | None, template: str, page: str, **given: Any
) -> Response:
    """Return a page that is of use with a session only; without one, the way to it."""
    if who is None:
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/signin?next={quote(wanted, safe='')}", HTTPStatus.SEE_OTHER)
    return _page(request, template, page, who, **given)


def _page(
    request: Request, template: str, page: str, who: Identity | None = None, **given: Any
) -> Response:
    if page not in WITHOUT_JOBS and not of(request).settings.backtest.jobs.enabled:
        template, given = "disabled.html", {}
    return HTMLResponse(
        rendered(template, page=page, operator=is_operator(who), **given),
        headers={"Cache-Control": ASK_AGAIN},
    )
