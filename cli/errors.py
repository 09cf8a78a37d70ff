"""Exit codes, and the one message a command ends with when it cannot do its work."""

from collections.abc import Sequence
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

from configs.logs import one_line

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


def understood(error: Exception) -> CommandError | None:
    """Return what to tell the user about an error of one of our parts, None for a fault of ours."""
    import alembic.util

    from cli.embedded import NotStarted
    from cli.output import OutputLost
    from configs.documents import SettingsError
    from engine.request import DefaultsError, RequestError
    from storage import faults, jobs
    from storage.candles import CandleFileError, CandleSourceUnavailable
    from storage.connection import InvalidDsn
    from storage.readiness import DatabaseRefuses
    from storage.schema import SchemaUnusable
    from tasks.wake_up import QueueUnavailable

    if isinstance(error, RequestError):
        count = len(error.errors)
        return CommandError(
            f"the request is refused: {count} problem{'s' if count > 1 else ''}",
            details=[f"{field.path}: {field.text}" for field in error.errors],
        )
    if faults.passing(error):
        return CommandError(one_line(error), code=UNREACHABLE)
    if isinstance(error, CandleSourceUnavailable | QueueUnavailable):
        return CommandError(one_line(error), code=UNREACHABLE)
    refusals = (
        *(SettingsError, DefaultsError, CandleFileError),
        *(InvalidDsn, DatabaseRefuses, SchemaUnusable),
        *(
            OutputLost,
            NotStarted,
            jobs.QuotaExceeded,
            jobs.IdempotencyConflict,
            alembic.util.CommandError,
        ),
    )
    if isinstance(error, refusals):
        return CommandError(one_line(error))
    if isinstance(error, OSError) and error.errno in REFUSED_BY_THE_SYSTEM:
        return CommandError(f"{error.filename or 'a file'}: {error.strerror}")
    return None
