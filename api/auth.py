"""Who calls: the cookie of the page, or the bearer token of a program."""

import ipaddress
import math
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

from starlette.requests import Request

from api import tokens
from api.context import of
from api.errors import ApiError
from storage.records import Client

CLIENT_HEADER = "backtest-client"
READS = frozenset(("GET", "HEAD", "OPTIONS"))
DEFAULT_PORTS = {"http": 80, "https": 443}

# What a proxy adds: with one of them the peer is not who asks.
FORWARDING = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose call it is, until when the token proves that, and what it was made through."""

    user_id: UUID
    role: str | None
    expires_at: int
    client: Client


def signed_in(request: Request) -> Identity:
    """Return who calls. Raises 401, and 403 for what another site's page sends with our cookie."""
    authorization = request.headers.get("authorization")
    if authorization is not None:
        token = _bearer(request, authorization)
    else:
        cookie = request.cookies.get(tokens.COOKIE)
        if cookie is None:
            raise unauthenticated(
                "no session: send `Authorization: Bearer TOKEN`, or sign in on the page "
                "(`backtest token` makes tokens)"
            )
        token = _read(request, cookie)
        if request.method not in READS:
            require_same_origin(request)
    return Identity(token.user_id, token.role, token.expires_at, _client(request))


async def visitor(request: Request) -> Identity | None:
    """Return who looks at a page; None for nobody, whatever the cookie is."""
    try:
        return signed_in(request)
    except ApiError:
        return None


def is_operator(who: Identity | None) -> bool:
    """Whether somebody may look at everybody's jobs, and pause the queue."""
    return who is not None and who.role == tokens.OPERATOR


def require_operator(who: Identity | None) -> None:
    """Raise 403 for everybody but operators."""
    if not is_operator(who):
        raise ApiError(
            403,
            "forbidden",
            "this is for operators: `backtest token --operator` makes a token of one",
        )


def unauthenticated(message: str) -> ApiError:
    """Refuse a call that proves nothing."""
    return ApiError(401, "unauthenticated", message, headers={"WWW-Authenticate": "Bearer"})


def require_same_origin(request: Request) -> None:
    """Raise 403 for a call that a page of another site makes; programs say nothing of a site."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if (site is not None and site != "same-origin") or (
        origin is not None and not _ours(request, origin)
    ):
        raise ApiError(403, "forbidden", "this call comes from a page of another site")


def local_developer(request: Request) -> bool:
    """Whether the page may sign in a local user by itself.

    Only in dev, and only for this machine's own browser at this machine's own name: with a name of
    somebody else's that leads here, another site would be signed in.
    """
    if of(request).settings.env != "dev" or any(name in request.headers for name in FORWARDING):
        return False
    peer = request.client
    host = request.headers.getlist("host")
    if peer is None or len(host) != 1 or not _is_loopback(peer.host):
        return False
    try:
        name = urlsplit(f"//{host[0]}").hostname
    except ValueError:
        return False
    return name is not None and (name == "localhost" or _is_loopback(name))


class SignIns:
    """Failed sign-ins by address, of the last minute, in this process.

    Of the addresses that failed longest ago the eldest are forgotten: memory has a bound.
    """

    SECONDS = 60.0
    ADDRESSES = 10_000

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def tries(self, address: str) -> None:
        """Count a try as failed until it has `passed`: none of many at once comes uncounted.

        Raises 429 where too many have failed.
        """
        now = time.monotonic()
        with self._lock:
            wait = self._wait(address, now)
            if wait <= 0:
                self._count(address, now)
        if wait > 0:
            raise ApiError(
                429,
                "too_many_requests",
                f"{self._limit} sign-ins failed within a minute: wait",
                headers={"Retry-After": str(math.ceil(wait))},
            )

    def passed(self, address: str) -> None:
        """Take back the last try of an address."""
        with self._lock:
            if times := self._failures.get(address):
                times.pop()

    def _count(self, address: str, now: float) -> None:
        times = self._failures.setdefault(address, deque(maxlen=self._limit))
        times.append(now)
        self._failures.move_to_end(address)
        while len(self._failures) > self.ADDRESSES:
            self._failures.popitem(last=False)

    def _wait(self, address: str, now: float) -> float:
        times = self._failures.get(address)
        if times is None or len(times) < self._limit:
            return 0.0
        return times[0] + self.SECONDS - now


def _bearer(request: Request, authorization: str) -> tokens.Token:
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise unauthenticated("the header Authorization must be `Bearer TOKEN`")
    return _read(request, text.strip())


def _read(request: Request, text: str) -> tokens.Token:
    try:
        return tokens.read(of(request).secret, text)
    except tokens.BadToken as error:
        raise unauthenticated(str(error)) from None


def _client(request: Request) -> Client:
    named = request.headers.get(CLIENT_HEADER)
    return Client(named) if named in (Client.CLI, Client.PAGE) else Client.API


def _ours(request: Request, origin: str) -> bool:
    """Whether an origin is this site's; behind a proxy that ends TLS, we see http."""
    try:
        said = urlsplit(origin)
        here = urlsplit(f"//{request.headers.get('host', '')}")
        said_port = said.port or DEFAULT_PORTS.get(said.scheme)
        here_port = here.port or DEFAULT_PORTS.get(said.scheme)
    except ValueError:
        return False
    schemes = {request.url.scheme, "https"}
    same = (said.hostname, said_port) == (here.hostname, here_port)
    return said.scheme in schemes and said.hostname is not None and same


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
