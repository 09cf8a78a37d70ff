"""The computing child's end of the pipe: what it reports, and the orders that it hears."""

import time
from contextlib import suppress
from multiprocessing.connection import Connection

from storage.records import Stage
from tasks.messages import (
    Begin,
    Failed,
    FromChild,
    Progress,
    SnapshotWanted,
    Stop,
    Stopped,
    ToChild,
)

PROGRESS_SECONDS = 0.2


class StopRequested(Exception):
    """The parent wants no more of this."""


class Parent:
    """The other end of the pipe."""

    def __init__(self, pipe: "Connection[FromChild, ToChild]") -> None:
        self._pipe = pipe
        self._next_progress = 0.0

    def send(self, message: FromChild) -> None:
        """Say something; waits where the parent reads slowly. Raises OSError when it is gone."""
        self._pipe.send(message)

    def send_last(self, message: Stopped | Failed) -> None:
        """Send it, unless the parent is gone: nobody else wants to know."""
        with suppress(OSError):
            self.send(message)

    def report_progress(
        self, stage: Stage, processed: int, total: int, *, last: bool = False
    ) -> None:
        """Report, unless that was done a moment ago; thousands of small batches are one message."""
        now = time.monotonic()
        if last or now >= self._next_progress:
            self.send(Progress(stage, processed, total))
            self._next_progress = now + PROGRESS_SECONDS

    def listen(self) -> bool:
        """Hear what the parent said: whether it wants a snapshot. Raises StopRequested."""
        snapshot_wanted = False
        while self._pipe.poll():
            snapshot_wanted |= isinstance(self.order(), SnapshotWanted)
        return snapshot_wanted

    def wait_for_begin(self) -> Begin:
        """Wait for the order to begin; raises StopRequested."""
        while True:
            order = self.order()
            if isinstance(order, Begin):
                return order

    def pause(self, seconds: float) -> None:
        """Wait; raises StopRequested."""
        if self._pipe.poll(seconds):
            self.order()

    def order(self) -> ToChild:
        """Wait for the next order; raises StopRequested."""
        try:
            order: ToChild = self._pipe.recv()
        except EOFError:
            raise StopRequested from None
        if isinstance(order, Stop):
            raise StopRequested
        return order
