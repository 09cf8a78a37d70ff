"""Job ids as people type them: whole, or as many digits as tell one job from their others."""

import re

from cli.errors import CommandError

SHORTEST = 4
WHOLE = 32


def read(text: str) -> str:
    """Return an id or the beginning of one as the API takes it; raises CommandError."""
    digits = text.strip().replace("-", "").lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},{WHOLE}}}", digits):
        raise CommandError(
            f"{text!r} is no job id: give at least its first {SHORTEST} hexadecimal digits, "
            "as `backtest jobs` lists it"
        )
    return digits
