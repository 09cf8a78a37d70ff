"""Being told to stop, in whatever state the program is, and ending in time."""

import os
import signal
import threading
from time import monotonic, sleep

END_SECONDS = 25.0
"""Whatever hangs then is left behind: a supervisor kills after 30 s."""

PATIENCE_SECONDS = 5.0
"""For a run that is under way."""

_MAX_SIGNAL_BYTES = 64


class Stop(threading.Event):
    """Set when the program is to end; then the process ends within `END_SECONDS`, with `code`.

    A Python signal handler runs in the main thread alone, and only between two of its steps: it
    comes late while that waits, and must not touch a lock which that may hold. So the signal's
    number travels through a pipe, and threads that do nothing else hear of it.
    """

    def __init__(self, end_seconds: float = END_SECONDS) -> None:
        super().__init__()
        self.code = 0
        self._end_seconds = end_seconds
        self._set_at = float("inf")

    def listen(self) -> None:
        """Be set by SIGTERM and SIGINT; in the main thread."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)
        threading.Thread(target=self._hear, args=(reading,), name="signals", daemon=True).start()
        threading.Thread(target=self._end, name="last-resort", daemon=True).start()

    def set(self) -> None:
        """Have the program end."""
        if not self.is_set():
            self._set_at = monotonic()
        super().set()

    def is_urgent(self) -> bool:
        """Whether a run that is under way has to end now, done or not."""
        return monotonic() - self._set_at >= PATIENCE_SECONDS

    def fail(self, code: int) -> None:
        """Have the program end with `code`."""
        self.code = code
        self.set()

    def _hear(self, reading: int) -> None:
        os.read(reading, _MAX_SIGNAL_BYTES)
        self.set()

    def _end(self) -> None:
        self.wait()
        sleep(self._end_seconds)
        os._exit(self.code)
