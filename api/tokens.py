"""Session tokens: signed with the secret that every process of the API shares."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

import jwt

from configs.errors import SettingsError

COOKIE = "roehub_session"
SECRET = "ROEHUB_JWT_SECRET"  # noqa: S105 – the name of the variable
SHORTEST_SECRET = 32
ALGORITHM = "HS256"

LOCAL_USER = UUID("00000000-0000-4000-8000-000000000001")
"""Whom the page signs in by itself on a developer's machine, and whose tokens `backtest` makes."""

OPERATOR = "operator"
ROLES = (OPERATOR,)

LONGEST_KEPT = 1024


class BadToken(Exception):
    """The token proves nothing; the message says why, and never what it holds."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token proves; `expires_at` is in seconds since the epoch."""

    user_id: UUID
    role: str | None
    expires_at: int


def secret(environ: Mapping[str, str]) -> str:
    """`ROEHUB_JWT_SECRET`; raises SettingsError where it is missing or short."""
    found = environ.get(SECRET, "")
    if len(found.encode("utf-8", "surrogateescape")) < SHORTEST_SECRET:
        state = "is shorter than" if found else "is not set: it needs at least"
        raise SettingsError(
            f"{SECRET} {state} {SHORTEST_SECRET} bytes; the API and whoever makes tokens must have "
            f"the same one (openssl rand -hex {SHORTEST_SECRET} makes one)"
        )
    return found


def sign(secret: str, token: Token) -> str:
    """Return the token as a JWT."""
    claims = {"sub": str(token.user_id), "exp": token.expires_at}
    if token.role is not None:
        claims["role"] = token.role
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def read(secret: str, text: str) -> Token:
    """Return what a JWT of ours proves now. Raises BadToken."""
    token = _verified(secret, text) if len(text) <= LONGEST_KEPT else _verify(secret, text)
    if token.expires_at <= time.time():
        raise _expired()
    return token


def _verify(secret: str, text: str) -> Token:
    try:
        claims = jwt.decode(
            text, secret, algorithms=[ALGORITHM], options={"require": ["exp", "sub"]}, leeway=0
        )
    except jwt.ExpiredSignatureError:
        raise _expired() from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise BadToken("the token is not valid") from None
    return _token(claims)


def _token(claims: Mapping[str, object]) -> Token:
    subject, role, expires_at = claims["sub"], claims.get("role"), claims["exp"]
    try:
        user_id = UUID(str(subject))
    except ValueError:
        raise BadToken("the token names no user") from None
    if role is not None and role not in ROLES:
        raise BadToken("the token has a role that does not exist")
    if isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
        raise BadToken("the token is not valid")
    return Token(user_id, None if role is None else str(role), int(expires_at))


# What was signed once stays so, and all of it but the expiry is the same at any time. Only what was
# good is kept; a long text is not, so that strangers' texts cannot fill the memory.
_verified = lru_cache(maxsize=4096)(_verify)


def _expired() -> BadToken:
    return BadToken("the token has expired")


def lasting(user_id: UUID, days: int) -> Token:
    """Return what a new token of a user is to prove, without a role."""
    return Token(user_id, None, int(time.time()) + days * 86_400)
