"""Listening to a computing child, and looking around meanwhile."""

import time
from abc import ABC, abstractmethod
from typing import Any, TypeVar, overload

from structlog.stdlib import BoundLogger

from tasks import failures
from tasks.messages import Failed, FromChild, Progress, Retrying, Snapshot, Stop, Stopped, ToChild
from tasks.process import Child, ChildEnded
from tasks.stop_reasons import JobFailed

LISTEN_SECONDS = 0.1

Message = TypeVar("Message", bound=FromChild)
Other = TypeVar("Other", bound=FromChild)


class Listener(ABC):
    """The worker's side of the pipe.

    While it waits for the child it looks around ten times a second, which raises what ends the work
    from outside. Raises JobFailed when the child fails or falls silent, and ChildDied.
    """

    def __init__(self, child: Child, stall_seconds: float) -> None:
        self._child = child
        self._stall_seconds = stall_seconds
        self._heard_at = time.monotonic()

    @property
    @abstractmethod
    def log(self) -> BoundLogger:
        """Where to say what the child is held up by."""

    @abstractmethod
    def look_around(self) -> None:
        """Do what is due; raises what ends the work."""

    @abstractmethod
    def raise_if_killed(self) -> None:
        """Raise the reason if it was we who ended the child."""

    @abstractmethod
    def note_progress(self, progress: Progress) -> None:
        """Remember how far the child is."""

    def note_snapshot(self, document: str | None) -> None:
        """Take in a snapshot, where any was asked for."""
        raise AssertionError(f"nobody asked for a snapshot of {len(document or '')} characters")

    def tell(self, message: ToChild) -> None:
        """Say something to the child."""
        self._child.send(message)

    @overload
    def expect(self, kind: type[Message]) -> Message: ...

    @overload
    def expect(self, kind: type[Message], other: type[Other]) -> Message | Other: ...

    def expect(self, kind: type[Any], other: type[Any] | None = None) -> Any:
        """Take in what the child says until it says this, or the other one."""
        expected = (kind,) if other is None else (kind, other)
        while True:
            message = self._next_message()
            self._take_in(message, *expected)
            if isinstance(message, expected):
                return message

    def rest(self, seconds: float) -> None:
        """Look around, and wait for a moment in which the child has nothing to do.

        It may be silent for as long as it likes, but not die.
        """
        self.look_around()
        message = self._receive(seconds)
        if message is not None:
            self._take_in(message)
        self._heard_at = time.monotonic()

    def stop(self, grace_seconds: float) -> None:
        """Ask the child to stop at the next batch boundary; kill it when that takes too long."""
        self.tell(Stop())
        deadline = time.monotonic() + grace_seconds
        try:
            while (left := deadline - time.monotonic()) > 0:
                if isinstance(self._child.receive(left), Stopped):
                    break
        except ChildEnded:
            pass
        self._child.kill()

    def _take_in(self, message: FromChild, *expected: type[Any]) -> None:
        match message:
            case Progress():
                self.note_progress(message)
            case Snapshot():
                self.note_snapshot(message.document)
            case Retrying():
                self.log.warning("candle_source_unavailable", error=message.reason)
            case Failed():
                raise JobFailed(message)
            case _ if not isinstance(message, expected):
                names = " or ".join(kind.__name__ for kind in expected) or "nothing"
                raise AssertionError(f"expected {names}, got {message!r}")

    def _next_message(self) -> FromChild:
        while True:
            self.look_around()
            message = self._receive(LISTEN_SECONDS)
            if message is None and self._silent_too_long():
                message = self._receive(LISTEN_SECONDS)  # it may be us who did not listen so long
                if message is None:
                    raise JobFailed(failures.stalled(self._stall_seconds))
            if message is not None:
                self._heard_at = time.monotonic()
                return message

    def _receive(self, seconds: float) -> FromChild | None:
        try:
            return self._child.receive(seconds)
        except ChildEnded:
            self._child.end()
            self.raise_if_killed()
            raise JobFailed(self._child.failure()) from None

    def _silent_too_long(self) -> bool:
        return time.monotonic() - self._heard_at > self._stall_seconds
