"""Watches over the computing child: hears what it says, and what happens around it."""

import threading
import time
from typing import TypeVar

from configs.settings import JobSettings
from storage.records import Stage
from tasks import failures
from tasks.job_writer import JobWriter
from tasks.messages import (
    Failed,
    FromChild,
    Progress,
    Retrying,
    Snapshot,
    SnapshotWanted,
    Stop,
    Stopped,
    ToChild,
)
from tasks.process import Child, ChildEnded
from tasks.stop_reasons import CancelRequested, JobFailed, LeaseLost, WorkerStopping

WRITE_SECONDS = 1.0
LISTEN_SECONDS = 0.1
SNAPSHOT_PAUSE_SECONDS = 5.0

Message = TypeVar("Message", bound=FromChild)


class Supervisor:
    """The worker's side of the pipe.

    While it waits for the child it writes progress once per second, whether or not there is any,
    asks for snapshots when they are due, and raises what ends the job from outside: LeaseLost,
    CancelRequested, WorkerStopping, JobFailed when the child fails or falls silent, and ChildDied.
    """

    def __init__(
        self, child: Child, writer: JobWriter, jobs: JobSettings, stopping: threading.Event
    ) -> None:
        self._child = child
        self._writer = writer
        self._jobs = jobs
        self._stopping = stopping
        self._heard_at = time.monotonic()
        self._next_write = self._heard_at + WRITE_SECONDS
        self._snapshots = _SnapshotRhythm(jobs.snapshot_seconds, jobs.snapshot_variants_step)

    def tell(self, message: ToChild) -> None:
        """Say something to the child."""
        self._child.send(message)

    def expect(self, kind: type[Message]) -> Message:
        """Take in what the child says until it says this."""
        while True:
            message = self._next_message()
            match message:
                case Progress():
                    self._writer.note_progress(message)
                case Snapshot():
                    self._snapshots.received(self._writer.progress.processed)
                    self._writer.save_snapshot(message.document)
                case Retrying():
                    self._writer.log.warning("candle_source_unavailable", error=message.reason)
                case Failed():
                    raise JobFailed(message)
                case _ if isinstance(message, kind):
                    return message
                case _:
                    raise AssertionError(f"expected {kind.__name__}, got {message!r}")

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

    def _next_message(self) -> FromChild:
        while True:
            self._look_around()
            message = self._receive()
            if message is None and self._silent_too_long():
                message = self._receive()  # it may be us who did not listen for so long
                if message is None:
                    raise JobFailed(failures.stalled(self._jobs.stall_seconds))
            if message is not None:
                self._heard_at = time.monotonic()
                return message

    def _look_around(self) -> None:
        now = time.monotonic()
        if now >= self._next_write:
            self._next_write = now + WRITE_SECONDS
            self._writer.write_progress()
            at = self._writer.progress
            if at.stage is Stage.STAGE_B and self._snapshots.due(at.processed):
                self._snapshots.requested()
                self.tell(SnapshotWanted())
        if self._writer.ownership.lost.is_set():
            raise LeaseLost
        if self._writer.ownership.cancel_requested.is_set():
            raise CancelRequested
        if self._stopping.is_set():
            raise WorkerStopping

    def _receive(self) -> FromChild | None:
        try:
            return self._child.receive(LISTEN_SECONDS)
        except ChildEnded:
            self._child.end()
            if self._writer.ownership.lost.is_set():  # it was killed for that
                raise LeaseLost from None
            raise JobFailed(self._child.failure()) from None

    def _silent_too_long(self) -> bool:
        return time.monotonic() - self._heard_at > self._jobs.stall_seconds


class _SnapshotRhythm:
    """When to ask for a snapshot: after some seconds, or after some variants and a short pause."""

    def __init__(self, seconds: float, variants: int) -> None:
        self._seconds = seconds
        self._variants = variants
        self._pending = False
        self._last_at = time.monotonic()
        self._last_processed = 0

    def due(self, processed: int) -> bool:
        age = time.monotonic() - self._last_at
        step_done = processed - self._last_processed >= self._variants
        return not self._pending and (
            age >= self._seconds or (step_done and age >= SNAPSHOT_PAUSE_SECONDS)
        )

    def requested(self) -> None:
        self._pending = True

    def received(self, processed: int) -> None:
        self._pending = False
        self._last_at = time.monotonic()
        self._last_processed = processed
