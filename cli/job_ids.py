"""Job ids as people type them: whole, or as many digits as tell one job from their others."""

import re
from typing import Any
from uuid import UUID

from cli.errors import CommandError
from cli.render import duration, since
from cli.service import Service

SHORTEST = 4
WHOLE = 32
LISTED = 5


def resolve(service: Service, text: str) -> UUID:
    """Return the id that `text` is, or is the beginning of among the user's own jobs.

    Dashes and case do not matter. Raises CommandError when it is no id, and when it is the
    beginning of no job's id or of several.
    """
    digits = text.strip().replace("-", "").lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},{WHOLE}}}", digits):
        raise CommandError(
            f"{text!r} is no job id: give at least its first {SHORTEST} hexadecimal digits, "
            "as `backtest jobs` lists it"
        )
    if len(digits) == WHOLE:
        return UUID(hex=digits)
    found = service.find(digits, limit=LISTED + 1)
    if not found:
        raise CommandError(f"no job of yours begins with {text}; `backtest jobs` lists yours")
    if len(found) > 1:
        more = " and more" if len(found) > LISTED else ""
        newest = sorted(found[:LISTED], key=lambda item: str(item["created_at"]), reverse=True)
        raise CommandError(
            f"{text} is the beginning of several of your jobs, give more digits of one{more}:",
            details=[_line(item) for item in newest],
        )
    return UUID(found[0]["job_id"])


def _line(item: dict[str, Any]) -> str:
    template = item["request"]["template"]
    symbol = template["instrument_id"]["symbol"]
    age = duration(since(item["created_at"]))
    return f"{item['job_id']}  {symbol} {template['timeframe']}, {item['state']}, {age} old"
