"""How a worker process ends: on the first signal, in time, and with its last line read."""

import fcntl
import os
import shutil
import signal
import stat
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

import structlog

FORCE_AFTER_SECONDS = 25.0
"""After that long the process ends whatever it is doing; it promises to end within 30 s."""

LOG_READ_SECONDS = 5.0
LOG_SECONDS = 3.0
FORCED = 1

_STOP = (signal.SIGTERM, signal.SIGHUP)

log = structlog.get_logger()


class StopSignals:
    """SIGTERM and SIGHUP of a worker process: the first is obeyed, more change nothing.

    Dramatiq exits hard on a second signal, and stopping a process group or a service delivers two:
    one directly, one through the master. `stopping` is set by a thread that the interpreter's C
    code wakes up, so also while the main thread is busy in a library and can handle no signal. A
    process that has not ended in time calls `end_children` and ends by force.
    """

    def __init__(self, stopping: threading.Event, end_children: Callable[[], object]) -> None:
        self._stopping = stopping
        self._end_children = end_children
        self._refused = () if master_can_restart() else (signal.SIGHUP,)
        self._numbers, self._woken = os.pipe()
        os.set_blocking(self._woken, False)

    def watch(self) -> None:
        """Take over from dramatiq's handlers; in the main thread."""
        threading.Thread(target=self._obey_first, name="stop-signals", daemon=True).start()
        handled = False
        for number in _STOP:
            handler = signal.getsignal(number)

            def once(number: int, frame: FrameType | None, handler: object = handler) -> None:
                nonlocal handled
                if number not in self._refused and not handled:
                    handled = True
                    if callable(handler):
                        handler(number, frame)

            signal.signal(number, once)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)

    def stop(self) -> None:
        """Behave as if a signal had come: one may have come before `watch`."""
        self._stopping.set()
        os.write(self._woken, bytes([signal.SIGTERM]))

    def _obey_first(self) -> None:
        said = False
        while (number := os.read(self._numbers, 1)[0]) not in _STOP or number in self._refused:
            if number in self._refused and not said:
                said = True
                _start(_say_refused)
        self._stopping.set()
        time.sleep(FORCE_AFTER_SECONDS)
        self._end_children()
        _start(_say_forced).join(LOG_SECONDS)
        os._exit(FORCED)


def master_can_restart() -> bool:
    """Whether dramatiq's master is able to start itself anew, which it does on SIGHUP.

    One that was started as `python -m dramatiq` then starts the first `python` on PATH. Where that
    is not ours it finds nothing that it could run.
    """
    if not sys.argv[0].endswith("/dramatiq/__main__.py"):
        return True
    found = shutil.which("python")
    return found is not None and Path(found).parent.samefile(Path(sys.executable).parent)


def exit_at_boot(code: int) -> NoReturn:
    """End a process that is booting, after the master has read its last line.

    The master begins to read only when all its processes have booted or ended, and stops reading
    when all have ended; a thread keeps this one alive in between.
    """
    threading.Thread(target=_wait_until_log_is_read, name="log-flush").start()
    raise SystemExit(code)


def exit_at_once(code: int) -> NoReturn:
    """End the process from any thread, after the master has read its last line."""
    _wait_until_log_is_read()
    os._exit(code)


def _start(say: Callable[[], object]) -> threading.Thread:
    # Never wait for the log itself: it may be what the process hangs in.
    thread = threading.Thread(target=say, name="log-flush", daemon=True)
    thread.start()
    return thread


def _say_refused() -> None:
    log.warning(
        "hangup_refused",
        error="`python` on PATH is not the one of this worker, so its master could not start again:"
        " send SIGTERM, and start it again",
    )


def _say_forced() -> None:
    log.error("ended_by_force", after_seconds=FORCE_AFTER_SECONDS)
    _wait_until_log_is_read()


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
