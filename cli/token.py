"""Session tokens, bare or in a cookie jar that curl reads."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from cli.errors import CommandError

OPERATOR = "operator"
DAY_SECONDS = 86_400


def session(
    environ: Mapping[str, str], user: UUID | None, *, days: int, role: str | None = None
) -> tuple[str, int]:
    """Return a token of `user`, None is the local one, and when it expires (seconds of the epoch).

    `role` is OPERATOR for calls that are for operators alone. Raises SettingsError when
    ROEHUB_JWT_SECRET is missing or short.
    """
    from api import tokens

    expires_at = int(time.time()) + days * DAY_SECONDS
    claims = tokens.Token(user or tokens.LOCAL_USER, role, expires_at)
    return tokens.sign(tokens.secret(environ), claims), expires_at


def write_jar(file: Path, host: str, token: str, *, secure: bool, expires_at: int) -> None:
    """Write the token as a cookie jar in Netscape format, readable by its owner only."""
    from api.tokens import COOKIE

    fields = (f"#HttpOnly_{host}", "FALSE", "/", str(secure).upper(), str(expires_at))
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as jar:
            os.fchmod(descriptor, 0o600)  # one that was there before may be open to everybody
            jar.write("# Netscape HTTP Cookie File\n" + "\t".join((*fields, COOKIE, token)) + "\n")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from None
