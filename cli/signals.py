"""Being asked to stop, without losing anything that is being started or stopped."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RETRY_SECONDS = 0.01


class Stopped(BaseException):
    """The user, or the system, asked this process to stop."""


class _Asked:
    shields = 0
    pending = False
    raised = False


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into Stopped; later ones change nothing.

    Uses SIGALRM and its timer.
    """
    _Asked.pending = _Asked.raised = False
    previous = {number: signal.signal(number, _handle) for number in (*NUMBERS, signal.SIGALRM)}
    swallow, sys.unraisablehook = sys.unraisablehook, _raise_later
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = swallow
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def shielded() -> Iterator[None]:
    """Put off Stopped until the end of the block, which must not be left half done."""
    _Asked.shields += 1
    try:
        yield
    finally:
        _Asked.shields -= 1
    if _Asked.pending and not _Asked.shields:
        _raise()


def _handle(_number: int, _frame: FrameType | None) -> None:
    if _Asked.shields:
        _Asked.pending = True
    else:
        _raise()


def _raise() -> None:
    if not _Asked.raised:
        _Asked.raised = True
        raise Stopped


def _raise_later(lost: "sys.UnraisableHookArgs") -> None:
    """Raise Stopped again that hit a finalizer, where Python swallows every exception."""
    if lost.exc_type is not Stopped:
        sys.__unraisablehook__(lost)
        return
    _Asked.raised = False
    signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)
