"""How long it has been known that the worker is to stop."""

import threading
import time
from collections.abc import Callable


def set_for(stopping: threading.Event, seconds: float) -> Callable[[], bool]:
    """Return a question, which says whether `stopping` has been seen set for `seconds`.

    The time is counted from the first question that found it set, so ask often.
    """
    seen_at: float | None = None

    def question() -> bool:
        nonlocal seen_at
        if not stopping.is_set():
            return False
        now = time.monotonic()
        if seen_at is None:
            seen_at = now
        return now - seen_at >= seconds

    return question
