"""How long to wait before something is tried again."""

from collections.abc import Iterator

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0


def backoff(
    first: float = FIRST_PAUSE_SECONDS, longest: float = LONGEST_PAUSE_SECONDS
) -> Iterator[float]:
    """Pauses between tries, in seconds: doubling from `first` to `longest`, then so for ever."""
    pause = first
    while True:
        yield pause
        pause = min(2 * pause, longest)
