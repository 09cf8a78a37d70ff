"""What was found a moment ago, so that it is not asked again."""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class Known:
    """Answers that are believed for some seconds; beyond `most` the eldest make room.

    `most` is how many, or how much where answers come with a `weight`.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._answers: OrderedDict[Hashable, tuple[float, Any, int]] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """Return an answer, None where there is none any more."""
        with self._lock:
            at, answer, _ = self._answers.get(key, (0.0, None, 0))
        return answer if answer is not None and time.monotonic() < at + self._seconds else None

    def put(self, key: Hashable, answer: Any, weight: int = 1) -> None:
        """Keep an answer."""
        with self._lock:
            *_, before = self._answers.pop(key, (0.0, None, 0))
            self._answers[key] = time.monotonic(), answer, weight
            self._weight += weight - before
            while self._weight > self._most:
                _, (*_, lost) = self._answers.popitem(last=False)
                self._weight -= lost
