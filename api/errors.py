"""Everything that can go wrong with a call, in the one shape that every error has."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from api.answers import answer
from api.pages import refusals
from configs.one_line import one_line
from engine.request import RequestError
from storage import faults, jobs, strategies
from storage.candles import CandleSourceUnavailable
from storage.pool import PoolBusy
from storage.schema import SchemaUnusable

log = structlog.get_logger()

RETRY_SECONDS = 2


@dataclass(frozen=True, slots=True, order=True)
class Detail:
    """One thing that is wrong: where, what, and what to do about it if that is known."""

    path: str
    code: str
    message: str
    hint: str | None = None


class ApiError(Exception):
    """What a call is refused with."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Iterable[Detail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = sorted(details, key=lambda detail: (detail.path, detail.message))
        self.headers = dict(headers or {})

    def answer(self) -> Response:
        """Return it as the answer."""
        details = [asdict(detail) for detail in self.details]
        document = {"error": {"code": self.code, "message": self.message, "details": details}}
        return answer(document, self.status, self.headers)


def invalid(details: Iterable[Detail]) -> ApiError:
    """Refuse values, all at once."""
    details = tuple(details)
    count = "1 problem" if len(details) == 1 else f"{len(details)} problems"
    return ApiError(422, "validation_error", f"the request is refused: {count}", details)


def invalid_value(path: str, message: str, hint: str | None = None) -> ApiError:
    """Refuse one value."""
    return invalid([Detail(path, "invalid_request", message, hint)])


def not_found(message: str) -> ApiError:
    """Say that there is no such thing, or none of the caller's."""
    return ApiError(404, "not_found", message)


def unavailable(message: str) -> ApiError:
    """Say that something we depend on is away."""
    return ApiError(503, "unavailable", message, headers={"Retry-After": str(RETRY_SECONDS)})


def unexpected() -> ApiError:
    """Say that the fault is ours, and nothing else: the log has it."""
    return ApiError(500, "unexpected_error", "this call failed: the fault is not yours")


def understood(error: Exception) -> ApiError | None:
    """Return what to tell the caller about an error of one of our parts, None for a fault of ours.

    What keeps the API from working is logged: the caller is told no more than that.
    """
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestError):
        return invalid(of_request(error))
    if isinstance(error, jobs.QuotaExceeded):
        return ApiError(409, "quota_exceeded", one_line(error))
    if isinstance(error, jobs.IdempotencyConflict | strategies.NameTaken):
        return ApiError(409, "conflict", one_line(error))
    if isinstance(error, CandleSourceUnavailable | MemoryError):
        log.warning("candles_unavailable", error=one_line(error))
        return unavailable("the candle source is away: try again later")
    if isinstance(error, PoolBusy):
        log.warning("pool_busy", error=one_line(error))
        return unavailable("too many calls at once: try again")
    if isinstance(error, SchemaUnusable) or faults.passing(error):
        log.warning("database_unavailable", error=one_line(error))
        return unavailable("the database is away: try again later")
    return None


def of_request(error: RequestError) -> list[Detail]:
    """Return what is wrong with a request."""
    return [Detail(one.path, one.code, one.message, one.hint) for one in error.errors]


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router refuses."""
    assert isinstance(error, HTTPException)
    path = request.scope["path"]
    if error.status_code == HTTPStatus.NOT_FOUND:
        refusal = not_found(f"there is nothing at {path}")
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted(_methods(request)))
        refusal = ApiError(
            405,
            "method_not_allowed",
            f"{request.method} is not possible at {path}, only {allowed}",
            headers={"Allow": allowed},
        )
    else:
        phrase = HTTPStatus(error.status_code).phrase
        refusal = ApiError(
            error.status_code, phrase.lower().replace(" ", "_"), phrase, headers=error.headers
        )
    return shown(refusal, request.scope)


def shown(refusal: ApiError, scope: Scope) -> Response:
    """Return an error in the form that the caller can read: a page for a person's browser."""
    page = refusals.page(
        Headers(scope=scope), scope["path"], refusal.status, refusal.code, refusal.message
    )
    if page is None:
        return refusal.answer()
    page.headers.update(refusal.headers)
    return page


def _methods(request: Request) -> set[str]:
    """Return the methods of all routes at the request's path: the router knows the first only."""
    found: set[str] = set()
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return found
