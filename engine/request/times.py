"""Times of a request: read leniently, written in one form."""

import re
from datetime import UTC, datetime, timedelta

from engine.request.fields import Field
from engine.request.words import shown

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2200, 1, 1, tzinfo=UTC)
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = (
    rf"{_DATE}T[0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,6}})?)?(Z|[+-][0-9]{{2}}:[0-9]{{2}})"
)

SPELLINGS = f"{_DATE}|{_TIME}"
"""What a time may look like, as a regular expression."""

# Compiled when this is imported, which the process does that others are forked from.
_IS_DATE, _IS_TIME = re.compile(_DATE), re.compile(_TIME)


def read_time(field: Field) -> datetime | None:
    """Return a time in UTC; a date is its midnight. None once it was refused."""
    time = _understood(field.value) if isinstance(field.value, str) else None
    if time is None:
        field.refuse(
            f"must be a time like 2024-01-01T00:00:00Z, or a date, got {shown(field.value)}"
        )
    elif time.microsecond % 1000:
        field.refuse(f"must be whole milliseconds, got {shown(field.value)}")
    elif not _EPOCH <= time <= _LAST:
        field.refuse(
            f"must be from {written(_EPOCH)} to {written(_LAST)}, got {shown(field.value)}"
        )
    else:
        return time
    return None


def written(time: datetime) -> str:
    """Return a time in the form that effective requests hold."""
    text = time.replace(tzinfo=None).isoformat(
        timespec="milliseconds" if time.microsecond else "seconds"
    )
    return f"{text}Z"


def milliseconds(time: datetime) -> int:
    """Return a time in ms since 1970."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _understood(text: str) -> datetime | None:
    try:
        if _IS_DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        if _IS_TIME.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    return None
