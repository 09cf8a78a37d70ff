"""When a statement that Postgres refuses for now counts as refused for good."""

import time

TRIES = 5
SECONDS = 30.0


class Refusals:
    """How often each kind of statement was refused since it last succeeded.

    One refusal means little: a failover, a full disk, a lock. A statement that is refused again and
    again while others of the same job succeed is itself the reason.
    """

    def __init__(self) -> None:
        self._refused: dict[str, tuple[int, float]] = {}

    def succeeded(self, name: str) -> None:
        """Forget the refusals of a statement."""
        self._refused.pop(name, None)

    def too_many(self, name: str, others_succeeded_at: float) -> bool:
        """Note one more refusal; say whether the statement is broken.

        `others_succeeded_at` is the last success of any other write, by the monotonic clock.
        """
        now = time.monotonic()
        times, since = self._refused.get(name, (0, now))
        self._refused[name] = times + 1, since
        return times + 1 >= TRIES and now - since >= SECONDS and others_succeeded_at > since
