"""Session tokens as the API takes them: a JWT, bare or in a cookie jar that curl reads."""

import os
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from cli.errors import CommandError

COOKIE = "roehub_session"
SECRET = "ROEHUB_JWT_SECRET"  # noqa: S105 – the name of the variable
SHORTEST_SECRET = 32


def session(environ: Mapping[str, str], user: UUID, *, expires_at: int) -> str:
    """Return a signed HS256 JWT of `user` that expires at `expires_at` (seconds since the epoch).

    Raises CommandError when ROEHUB_JWT_SECRET is missing or short.
    """
    import jwt

    secret = environ.get(SECRET, "")
    if len(secret.encode()) < SHORTEST_SECRET:
        state = "is shorter than" if secret else "is not set: it needs at least"
        raise CommandError(
            f"{SECRET} {state} {SHORTEST_SECRET} bytes; the API must have the same one "
            f"(openssl rand -hex {SHORTEST_SECRET} makes one)"
        )
    return jwt.encode({"sub": str(user), "exp": expires_at}, secret, algorithm="HS256")


def write_jar(file: Path, host: str, token: str, *, secure: bool, expires_at: int) -> None:
    """Write the token as a cookie jar in Netscape format, readable by its owner only."""
    fields = (f"#HttpOnly_{host}", "FALSE", "/", str(secure).upper(), str(expires_at))
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as jar:
            jar.write("# Netscape HTTP Cookie File\n" + "\t".join((*fields, COOKIE, token)) + "\n")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from None
