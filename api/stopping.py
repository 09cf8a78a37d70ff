"""The end of the process: SIGTERM and SIGINT are heard when they come.

The server waits for open answers before it lets the application close, and streams never end by
themselves. So the application listens beside the server.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SECONDS = 4.0
"""Whatever still runs after so long is cut off; the process has five seconds."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def heard(stop: Callable[[], object]) -> Iterator[None]:
    """Call `stop()` in the running loop at the first signal, before the server's own handler.

    Does nothing where signals do not arrive: outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard_before = threading.Event()

    def hear(number: int, frame: FrameType | None) -> None:
        if not heard_before.is_set():
            heard_before.set()
            loop.call_soon_threadsafe(stop)
            _cut_off_later()
        handler: Any = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in SIGNALS:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _cut_off_later() -> None:
    timer = threading.Timer(SECONDS, os._exit, (0,))
    timer.daemon = True
    timer.start()
