"""Watches over the computing child of a job: hears what it says, and what happens around it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from structlog.stdlib import BoundLogger

from configs.settings import JobSettings
from storage.records import Stage
from tasks.job_writer import JobWriter
from tasks.listening import Listener
from tasks.messages import Progress, Snapshot, SnapshotWanted
from tasks.process import Child
from tasks.stop_reasons import CancelRequested, LeaseLost, WorkerStopping

WRITE_SECONDS = 1.0
SNAPSHOT_PAUSE_SECONDS = 5.0


class Supervisor(Listener):
    """The side of the job's owner.

    While it waits for the child it writes progress once per second, whether or not there is any,
    asks for snapshots when they are due, and raises what ends the job from outside: LeaseLost,
    CancelRequested and WorkerStopping.
    """

    def __init__(
        self, child: Child, writer: JobWriter, jobs: JobSettings, stopping: threading.Event
    ) -> None:
        super().__init__(child, jobs.stall_seconds)
        self._writer = writer
        self._stopping = stopping
        self._next_write = time.monotonic() + WRITE_SECONDS
        self._snapshots = _SnapshotRhythm(jobs.snapshot_seconds, jobs.snapshot_variants_step)
        self._beat_of_shards: Callable[[], object] | None = None

    @property
    def log(self) -> BoundLogger:
        """Logger of the job."""
        return self._writer.log

    @contextmanager
    def sharing(self, beat: Callable[[], object]) -> Iterator[None]:
        """For a while, have `beat` write the progress, and ask for no snapshot by itself."""
        self._beat_of_shards = beat
        try:
            yield
        finally:
            self._beat_of_shards = None

    def snapshot_due(self, processed: int) -> bool:
        """Whether the rhythm of snapshots wants one, after so many units of stage B."""
        return self._snapshots.due(processed)

    def save_snapshot(self, processed: int) -> None:
        """Have the child, which has nothing else to do, make a snapshot, and save it."""
        self._snapshots.requested()
        self.tell(SnapshotWanted())
        self.expect(Snapshot)
        self._snapshots.received(processed)

    def look_around(self) -> None:
        """Do what is due; raises what ends the job from outside."""
        now = time.monotonic()
        if now >= self._next_write:
            self._next_write = now + WRITE_SECONDS
            if self._beat_of_shards is None:
                self._write_progress()
            else:
                self._beat_of_shards()
        self.raise_if_killed()
        if self._writer.ownership.cancel_requested.is_set():
            raise CancelRequested
        if self._stopping.is_set():
            raise WorkerStopping

    def raise_if_killed(self) -> None:
        """Raise LeaseLost when the lease is: the child was ended then."""
        if self._writer.ownership.lost.is_set():
            raise LeaseLost

    def note_progress(self, progress: Progress) -> None:
        """Remember how far the child is."""
        self._writer.note_progress(progress)

    def note_snapshot(self, document: str | None) -> None:
        """Save the best so far."""
        self._snapshots.received(self._writer.progress.processed)
        self._writer.save_snapshot(document)

    def _write_progress(self) -> None:
        self._writer.write_progress()
        at = self._writer.progress
        if at.stage is Stage.STAGE_B and self._snapshots.due(at.processed):
            self._snapshots.requested()
            self.tell(SnapshotWanted())


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
