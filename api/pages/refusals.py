"""Errors as pages, for people: programs get the JSON."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response

from api.pages.rendering import rendered

OF_PROGRAMS = ("/backtests", "/openapi.json", "/metrics", "/healthz", "/readyz", "/session")
"""Nobody opens these in a browser, or whoever does wants to see the JSON."""

HEADINGS = {
    HTTPStatus.UNAUTHORIZED: "Sign in first",
    HTTPStatus.FORBIDDEN: "This is not yours",
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.SERVICE_UNAVAILABLE: "Away for a moment",
    HTTPStatus.INTERNAL_SERVER_ERROR: "This went wrong",
}


def accepts_html(headers: Headers) -> bool:
    """Whether HTML is asked for by name: `*/*` is what programs send."""
    return "text/html" in headers.get("accept", "")


def page(headers: Headers, path: str, status: int, code: str, message: str) -> Response | None:
    """Return an error as a page; None where the caller is a program."""
    if path.startswith(OF_PROGRAMS) or not accepts_html(headers):
        return None
    known = HTTPStatus(status)
    text = rendered(
        "error.html",
        page="error",
        status=status,
        code=code,
        heading=HEADINGS.get(known, known.phrase),
        message=message,
    )
    return HTMLResponse(text, status)
