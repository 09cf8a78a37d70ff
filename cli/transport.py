"""One HTTP call to the API: patience while it is away, and its errors as messages."""

import ipaddress
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cli.errors import (
    UNEXPECTED,
    UNREACHABLE,
    USAGE,
    CommandError,
    detail_line,
    printable,
    refused_request,
)

if TYPE_CHECKING:
    import ssl

    import httpx

WAIT_SECONDS = 10.0
THROTTLED_SECONDS = 60.0
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 65.0
"""More than the API takes for a request before it ends it itself."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0
AWAY = (502, 503, 504)
START_ONE = "`backtest up` starts one here"

Json = dict[str, Any]


class Away(CommandError):
    """The API cannot be reached, or cannot reach what it needs: `what`.

    `unsent` says that it has certainly done nothing about the request.
    """

    def __init__(self, what: str, advice: str = "", *, unsent: bool) -> None:
        super().__init__(f"{what}: {advice}" if advice else what, code=UNREACHABLE)
        self.what = what
        self.unsent = unsent


class Throttled(CommandError):
    """The API wants fewer calls; `seconds` is how long it asks to wait."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Transport:
    """Calls under one address, by one token. Connects on first use.

    Raises CommandError for an address or a token that cannot be one.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = _checked_url(url)
        self._token = _checked_token(token)
        self._connections: httpx.Client | None = None

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str | int | None] | None = None,
        headers: Mapping[bytes, bytes] | None = None,
        repeatable: bool = True,
        wait_seconds: float | None = None,
    ) -> Any:
        """Return the document of the answer; None where the answer has no content.

        While the API is away it is asked again for `wait_seconds`, by default ten; where a second
        request could do a second thing (`repeatable` is false) only if the first one was not sent.
        Raises `Away` after that, and CommandError for everything that the API refuses.
        """
        patience = WAIT_SECONDS if wait_seconds is None else wait_seconds
        began, pauses = time.monotonic(), _pauses()
        given = {name: value for name, value in (params or {}).items() if value is not None}
        while True:
            try:
                return self._once(method, path, body, given, headers or {})
            except Away as away:
                pause = next(pauses)
                if not (repeatable or away.unsent) or _over(began, pause, patience):
                    raise
            except Throttled as throttled:
                pause = throttled.seconds
                if _over(began, pause, THROTTLED_SECONDS):
                    raise
            time.sleep(pause)

    def close(self) -> None:
        """Close the connections."""
        if self._connections is not None:
            self._connections.close()

    def _once(
        self,
        method: str,
        path: str,
        body: Any,
        params: Mapping[str, str | int],
        headers: Mapping[bytes, bytes],
    ) -> Any:
        import httpx

        if self._connections is None:
            self._connections = self._open()
        try:
            answer = self._connections.request(
                method, path, json=body, params=dict(params), headers=headers
            )
        except httpx.TransportError as error:
            unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            why = " ".join(str(error).split()) or type(error).__name__
            what = f"the API at {self._url} cannot be reached ({why})"
            raise Away(what, START_ONE, unsent=unsent) from None
        return self._read(answer)

    def _open(self) -> "httpx.Client":
        import httpx

        tls = _tls(self._url)
        headers = {"Backtest-Client": "cli"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return httpx.Client(
            base_url=self._url,
            headers=headers,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            verify=tls,
            # A transport of our own ignores proxies of the environment: none of them leads to this
            # machine, and the token is not for them.
            transport=httpx.HTTPTransport(verify=tls) if _loopback(self._url) else None,
        )

    def _read(self, answer: "httpx.Response") -> Any:
        if answer.status_code == 204:
            return None
        try:
            document = answer.json()
            if answer.is_success:
                return document
            error = document["error"]
            message, details = printable(error["message"]), error["details"]
            if error["code"] == "validation_error":
                raise refused_request(details)
            lines = [detail_line(detail) for detail in details]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise self._strange(answer) from None
        if answer.status_code in AWAY:
            raise Away(f"the API at {self._url}: {message}", unsent=False)
        if answer.status_code == 429:
            raise Throttled(message, _retry_after(answer))
        if answer.status_code == 401:
            raise self._unknown_user(message)
        raise CommandError(
            message, code=USAGE if answer.is_client_error else UNEXPECTED, details=lines
        )

    def _strange(self, answer: "httpx.Response") -> CommandError:
        if answer.status_code in AWAY:  # of a proxy before the API
            return Away(f"the API at {self._url} is away: HTTP {answer.status_code}", unsent=False)
        return CommandError(
            f"ROEHUB_API_URL: what answers at {self._url} is not the API of this product "
            f"(HTTP {answer.status_code})"
        )

    def _unknown_user(self, message: str) -> CommandError:
        what = f"is refused: {message}" if self._token else "is not set"
        return CommandError(
            f"the API at {self._url} does not know who you are, ROEHUB_API_TOKEN {what}; set it to "
            "what `backtest token` prints where the API's ROEHUB_JWT_SECRET is known"
        )


def _tls(url: str) -> "ssl.SSLContext":
    """Whom to trust: the usual certificates where the API is called by https.

    They take 20 ms of a processor to load. By plain http nothing needs them, and a context without
    any trusts nobody, so that it refuses TLS rather than skips a check.
    """
    import ssl

    import httpx

    if urlsplit(url).scheme == "https":
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _retry_after(answer: "httpx.Response") -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 1.0


def _pauses() -> Iterator[float]:
    from storage.retry import backoff

    return backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)


def _over(began: float, pause: float, seconds: float) -> bool:
    return time.monotonic() + pause - began > seconds


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    else:
        usable = usable and not (parts.username or parts.password or parts.query or parts.fragment)
    if not usable or not url.isprintable() or " " in url:
        raise CommandError(
            "ROEHUB_API_URL must be http:// or https://, a host and its port alone, "
            "for example http://127.0.0.1:8000"
        )
    return url.rstrip("/")


def _checked_token(token: str) -> str:
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise CommandError("ROEHUB_API_TOKEN is no token: set it to what `backtest token` prints")
    return token


def _loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
