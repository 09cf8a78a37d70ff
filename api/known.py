"""What was found a moment ago, so that it is not asked again."""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class Known:
    """Answers that are believed for some seconds; beyond `most` the eldest make room."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._answers: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """Return an answer, None where there is none any more."""
        with self._lock:
            at, answer = self._answers.get(key, (0.0, None))
        return answer if answer is not None and time.monotonic() < at + self._seconds else None

    def put(self, key: Hashable, answer: Any) -> None:
        """Keep an answer."""
        with self._lock:
            self._answers[key] = time.monotonic(), answer
            self._answers.move_to_end(key)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
