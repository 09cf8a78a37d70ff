"""The key under which a request may be submitted again without becoming a second job."""

from engine.request.fields import FieldError, RequestError
from engine.request.words import shown

MAX_KEY = 255


def read_idempotency_key(key: str) -> str:
    """Return the key: 1 to 255 printable characters, as the database holds it.

    Raises RequestError; its path is `idempotency_key`.
    """
    problem = ""
    if not 1 <= len(key) <= MAX_KEY:
        problem = f"has {len(key)} characters, it must have 1 to {MAX_KEY}: shorten it"
        if not key:
            problem = "is empty: leave it out, or give 1 to 255 characters"
    elif not key.isprintable():  # control characters, NUL, halves of surrogate pairs
        problem = f"must be printable text, got {shown(key)}: use letters, digits and dashes"
    if problem:
        raise RequestError([FieldError("idempotency_key", problem)])
    return key
