"""Around every call: headers that protect the page, a time limit, measurement, the last resort."""

import asyncio
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError, shown, unavailable, understood, unexpected
from api.metrics import UNMATCHED, Metrics

log = structlog.get_logger()

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'self'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
STREAM = b"text/event-stream"

_SECURITY = [
    (name.lower().encode("ascii"), value.encode("ascii"))
    for name, value in SECURITY_HEADERS.items()
]
_SECURITY_NAMES = frozenset(name for name, _ in _SECURITY)


class Around:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, request_seconds: float) -> None:
        self._app = app
        self._metrics = metrics
        self._request_seconds = request_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = _Call(scope, send, self._metrics)
        loop = asyncio.get_running_loop()
        call.timer = loop.call_later(self._request_seconds, call.expire)
        try:
            await self._app(scope, receive, call.send)
        except Exception as error:
            await call.refuse(self._refusal(error, call))
        finally:
            call.end()

    def _refusal(self, error: Exception, call: "_Call") -> ApiError:
        refusal = understood(error)
        if refusal is None:
            log.error("request_failed", method=call.method, route=call.route, exc_info=error)
            refusal = unexpected()
        return refusal


class _Call:
    """One call, and what was sent of its answer."""

    def __init__(self, scope: Scope, send: Send, metrics: Metrics) -> None:
        self._scope = scope
        self._send = send
        self._metrics = metrics
        self.method: str = scope["method"]
        self._began = time.perf_counter()
        self._status = 0
        self._expired: asyncio.Task[None] | None = None
        self.started = False
        self.timer: asyncio.TimerHandle | None = None

    @property
    def route(self) -> str:
        """The template of the path."""
        return getattr(self._scope.get("route"), "path_format", UNMATCHED)

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer; nothing of what comes after the time limit."""
        if self._expired is not None:
            return
        if message["type"] == "http.response.start":
            self._start(message)
        await self._send(message)

    def expire(self) -> None:
        """Answer for whoever has not answered in time; what a thread still does ends by itself."""
        if not self.started:
            log.warning("request_timed_out", method=self.method, route=self.route)
            # The connection would wait for the end of the work.
            refusal = unavailable("this call took too long: try again later")
            refusal.headers["Connection"] = "close"
            self._expired = asyncio.ensure_future(self.refuse(refusal))

    async def refuse(self, refusal: ApiError) -> None:
        """Send an error as the answer, unless there is one already."""
        if self.started:
            return
        response = shown(refusal, self._scope)
        start: Message = {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": list(response.raw_headers),
        }
        self._start(start)
        await self._send(start)
        await self._send({"type": "http.response.body", "body": response.body})

    def end(self) -> None:
        """Measure it, unless it was a stream, which was measured when it began."""
        if self.timer is not None:
            self.timer.cancel()
        if self._status:
            self._observe()

    def _start(self, message: Message) -> None:
        self.started = True
        self._status = message["status"]
        names = {name for name, _ in message["headers"]}
        kept = ((name, value) for name, value in message["headers"] if name not in _SECURITY_NAMES)
        headers = [*kept, *_SECURITY]
        if b"cache-control" not in names:
            headers.append((b"cache-control", b"no-store"))
        message["headers"] = headers
        if dict(headers).get(b"content-type", b"").startswith(STREAM):
            self._observe()
            self._status = 0

    def _observe(self) -> None:
        seconds = time.perf_counter() - self._began
        self._metrics.observe(self.route, self.method, self._status, seconds)
