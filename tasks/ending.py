"""How a worker process ends: on the first signal, or before it began, with its last line read."""

import fcntl
import os
import signal
import stat
import struct
import sys
import termios
import threading
import time
from types import FrameType
from typing import NoReturn

LOG_READ_SECONDS = 5.0


def heed_first_signal_only(stopping: threading.Event) -> None:
    """Set `stopping` on the first stop signal and let dramatiq see only that one.

    Dramatiq exits hard on a second signal, and stopping a process group or a service delivers two:
    one directly, one through the master.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        handler = signal.getsignal(number)

        def once(number: int, frame: FrameType | None, handler: object = handler) -> None:
            if not stopping.is_set():
                stopping.set()
                if callable(handler):
                    handler(number, frame)

        signal.signal(number, once)


def exit_at_boot(code: int) -> NoReturn:
    """End a process that is booting, after the master has read its last line.

    The master begins to read only when all its processes have booted or ended, and stops reading
    when all have ended; a thread keeps this one alive in between.
    """
    threading.Thread(target=_wait_until_log_is_read, name="last-words").start()
    raise SystemExit(code)


def exit_at_once(code: int) -> NoReturn:
    """End the process from any thread, after the master has read its last line."""
    _wait_until_log_is_read()
    os._exit(code)


def _wait_until_log_is_read() -> None:
    deadline = time.monotonic() + LOG_READ_SECONDS
    while _unread_log_bytes() > 0 and time.monotonic() < deadline:
        time.sleep(0.01)


def _unread_log_bytes() -> int:
    try:
        number = sys.stderr.fileno()
        if not stat.S_ISFIFO(os.fstat(number).st_mode):
            return 0
        (unread,) = struct.unpack("i", fcntl.ioctl(number, termios.FIONREAD, b"\0\0\0\0"))
    except (OSError, ValueError, AttributeError):
        return 0
    return int(unread)
