"""Being asked to stop, without losing anything that is being started or stopped."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """The user, or the system, asked this process to stop."""


class _Asked:
    shields = 0
    pending = False
    raised = False


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into Stopped; later ones change nothing."""
    _Asked.pending = _Asked.raised = False
    previous = {number: signal.signal(number, _handle) for number in NUMBERS}
    try:
        yield
    finally:
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
