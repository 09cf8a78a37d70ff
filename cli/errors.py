"""Exit codes, and the one message a command ends with when it cannot do its work."""

from collections.abc import Mapping, Sequence
from errno import (
    EACCES,
    EDQUOT,
    EFBIG,
    EISDIR,
    ELOOP,
    ENAMETOOLONG,
    ENOENT,
    ENOSPC,
    ENOTDIR,
    EPERM,
    EROFS,
)
from typing import Any

from configs.one_line import one_line

SUCCEEDED = 0
JOB_NOT_SUCCEEDED = 1
USAGE = 2
UNREACHABLE = 3
UNEXPECTED = 70
INTERRUPTED = 130

REFUSED_BY_THE_SYSTEM = frozenset(
    (EACCES, EPERM, EROFS, ENOSPC, EDQUOT, EFBIG, EISDIR, ENOTDIR, ENOENT, ENAMETOOLONG, ELOOP)
)
"""What the user's files and folders answer; other errors of the system are faults of ours."""


class CommandError(Exception):
    """The command cannot go on: what the user has to do, and indented lines about it."""

    def __init__(self, message: str, *, code: int = USAGE, details: Sequence[str] = ()) -> None:
        super().__init__("\n".join((message, *(f"  {detail}" for detail in details))))
        self.code = code


def refused_request(details: Sequence[Mapping[str, Any]]) -> CommandError:
    """Return what to tell about a request with these details of an error of the API."""
    count = len(details)
    return CommandError(
        f"the request is refused: {count} problem{'s' if count > 1 else ''}",
        details=[detail_line(detail) for detail in details],
    )


def detail_line(detail: Mapping[str, Any]) -> str:
    """Write one thing that is wrong: where, what, and what to do about it."""
    parts = (detail["message"], detail["hint"])
    said = "; ".join(printable(part) for part in parts if part)
    return f"{printable(detail['path'])}: {said}" if detail["path"] else said


def printable(text: str) -> str:
    """Return a text of somebody else as one line that steers no terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def understood(error: Exception) -> CommandError | None:
    """Return what to tell the user about an error of one of our parts, None for a fault of ours."""
    import alembic.util

    from configs.errors import SettingsError
    from engine.request import DefaultsError, RequestError
    from storage import faults, jobs
    from storage.candles import CandleSourceUnavailable
    from storage.candles.importing import CandleFileError
    from storage.connection import InvalidDsn
    from storage.readiness import DatabaseRefuses
    from storage.schema import SchemaUnusable
    from tasks.wake_up import QueueUnavailable

    if isinstance(error, RequestError):
        return refused_request(
            [{"path": f.path, "message": f.message, "hint": f.hint} for f in error.errors]
        )
    if faults.passing(error):
        return CommandError(one_line(error), code=UNREACHABLE)
    if isinstance(error, CandleSourceUnavailable | QueueUnavailable):
        return CommandError(one_line(error), code=UNREACHABLE)
    refusals = (
        *(SettingsError, DefaultsError, CandleFileError),
        *(InvalidDsn, DatabaseRefuses, SchemaUnusable),
        *(jobs.QuotaExceeded, jobs.IdempotencyConflict, alembic.util.CommandError),
    )
    if isinstance(error, refusals):
        return CommandError(one_line(error))
    if isinstance(error, OSError) and error.errno in REFUSED_BY_THE_SYSTEM:
        return CommandError(f"{error.filename or 'a file'}: {error.strerror}")
    return None
