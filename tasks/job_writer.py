"""Writes down everything about an owned job: rows, events, log lines, metrics."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from structlog.stdlib import BoundLogger

from storage import leases, results
from storage.connection import Connection
from storage.one_message import commit_with_next
from storage.records import (
    Beat,
    Claimed,
    Failure,
    FailureCode,
    Shortlist,
    Stage,
    State,
    StoredShortlist,
)
from tasks.guarded_writes import GuardedWrites
from tasks.job_log import job_log
from tasks.lease import Ownership
from tasks.messages import Failed, Progress
from tasks.metrics import SCORING
from tasks.plan_writer import PlanWriter
from tasks.worker import Worker

LEFT, LOST, RELEASED = "left_to_run_out", "lease_lost", "released"
"""How an ownership ends that does not end the job."""


class JobWriter:
    """The only one who writes about a job, for the time of one ownership.

    Its methods raise LeaseLost, JobFailed and WorkerStopping, as `GuardedWrites` says. Progress
    and snapshots are skipped while Postgres is away; everything else waits for it.
    """

    def __init__(self, worker: Worker, claimed: Claimed, claim_sent_at: float) -> None:
        self.lease = lease = claimed.lease
        self._log = job_log(lease.job_id, lease.locked_by, lease.attempt)
        self.progress = Progress(Stage.STAGE_A, 0, 0)
        self.ownership = Ownership(
            claimed.lease,
            session=worker.new_session(),
            heartbeat_seconds=worker.jobs.heartbeat_seconds,
            claim_sent_at=claim_sent_at,
            log=lambda: self.log,
        )
        self.outcome = LEFT
        self.failure: Failed | None = None
        self._writes = GuardedWrites(
            worker.session, claimed.lease, self.ownership, worker.stopping, lambda: self.log
        )
        self.plans = PlanWriter(lease, self._writes, self._heed, lambda: self.log)
        self._metrics = worker.metrics
        self._claimed = claimed
        self._claimed_at = self._stage_started_at = time.monotonic()
        self._snapshot_to_save: str | None = None
        self._shortlist_saved = False
        self._coverage: Mapping[str, Any] | None = claimed.job.coverage_json

    @property
    def log(self) -> BoundLogger:
        """Logger with everything that identifies the job at this moment."""
        return self._log.bind(stage=str(self.progress.stage))

    def note_claim(self) -> None:
        """Log and count the begin of the ownership."""
        self._metrics.active.inc()
        if self._claimed.reclaimed:
            self.log.info(
                "reclaimed",
                previous_owner=self._claimed.previous_owner,
                crashed=self._claimed.crashed,
            )
        else:
            self.log.info("claimed")

    def note_end(self, *, lost: bool) -> None:
        """Log and count the end of the ownership."""
        self._metrics.active.dec()
        self._metrics.job_seconds.observe(time.monotonic() - self._claimed_at)
        if lost:
            self.outcome = LOST
            self._metrics.lease_lost.inc()
            self.log.warning("lease_lost")

    def start_stage(self, stage: Stage, total: int) -> None:
        """Begin a stage of `total` units."""
        self._start_stage(
            stage,
            total,
            "start_stage",
            lambda conn: leases.start_stage(conn, self.lease, stage, total),
        )

    def start_stage_b(self, shortlist: Shortlist, outcomes: Mapping[str, Any] | None) -> None:
        """Begin stage B.

        With `outcomes`, the statistics of the search, the shortlist was found just now: both are
        stored in the same transaction, in which the plan of stage A goes.
        """
        total = len(shortlist.indexes) * shortlist.risk_total
        if outcomes is None:
            self.start_stage(Stage.STAGE_B, total)
            return

        def save_and_start(conn: Connection) -> Beat | None:
            if not self.plans.discard(conn, Stage.STAGE_A):
                return None
            if not results.save_shortlist(conn, self.lease, shortlist, outcomes):
                return None
            commit_with_next(conn)
            return leases.start_stage(conn, self.lease, Stage.STAGE_B, total)

        self._start_stage(Stage.STAGE_B, total, "save_shortlist", save_and_start, several=True)
        self._shortlist_saved = True

    def finish_stage(self) -> None:
        """Measure how long the stage took."""
        seconds = time.monotonic() - self._stage_started_at
        self._metrics.stage_seconds.labels(self.progress.stage).observe(seconds)

    def note_progress(self, progress: Progress) -> None:
        """Remember how far the computation is, for the next `write_progress`."""
        if progress.stage in SCORING:
            done = progress.processed - self.progress.processed
            self._metrics.variants.labels(progress.stage).inc(max(0, done))
        self.progress = progress

    def note_part(self, begin: Progress) -> None:
        """Remember that the computation begins with a part of the stage."""
        self.progress = begin

    def note_merge(self, seconds: float) -> None:
        """Count how long results of shards took to be merged."""
        self._metrics.merge_seconds.inc(seconds)

    def write_progress(self) -> None:
        """Write how far the job is, and read whether it is still ours and still wanted."""
        at = self.progress
        beat = self._writes.write_or_skip(
            "progress",
            lambda conn: leases.progress(conn, self.lease, at.stage, at.processed, at.total),
        )
        if beat is not None:
            self._heed(beat)

    def save_snapshot(self, document: str | None) -> None:
        """Replace the visible top list by `result_texts.rows`; None: nothing changed since.

        What could not be saved is tried again the next time.
        """
        if document is not None:
            self._snapshot_to_save = document
        unsaved = self._snapshot_to_save
        if unsaved is not None and self._writes.write_or_skip(
            "snapshot",
            lambda conn: results.save_snapshot(conn, self.lease, unsaved),
            several=True,
        ):
            self._snapshot_to_save = None
            self.log.debug("snapshot_saved", bytes=len(unsaved))

    def stored_shortlist(self) -> StoredShortlist | None:
        """Read the result of stage A that was stored before, by an earlier attempt or child."""
        if self.lease.attempt == 1 and not self._shortlist_saved:
            return None
        return self._writes.read(
            "read_shortlist", lambda conn: results.shortlist(conn, self.lease.job_id)
        )

    def save_coverage(self, coverage: Mapping[str, Any]) -> None:
        """Store what of its range the job's candles cover, unless the job says just that."""
        if coverage == self._coverage:
            return
        self._writes.write(
            "save_coverage", lambda conn: results.save_coverage(conn, self.lease, coverage)
        )
        self._coverage = coverage

    def note_resumed(self, *, written_by_attempt: int) -> None:
        """Append the event that an earlier attempt spares us stage A."""
        self._writes.write(
            "resumed_from_shortlist",
            lambda conn: leases.resumed_from_shortlist(
                conn, self.lease, written_by_attempt=written_by_attempt
            ),
        )
        self.log.info("resumed_from_shortlist", written_by_attempt=written_by_attempt)

    def succeed(self, document: str, answers: str | None) -> None:
        """Publish the final rows and what was asked of the search, as `storage.result_texts`.

        What they were merged from goes in the same transaction.
        """

        def discard_and_succeed(conn: Connection) -> State | None:
            if not self.plans.discard(conn, *Stage):
                return None
            return results.succeed(conn, self.lease, document, answers)

        self._end(discard_and_succeed)

    def cancel(self) -> None:
        """End the job as cancelled."""
        self._end(lambda conn: leases.end(conn, self.lease, State.CANCELLED))

    def fail(self, failure: Failure) -> None:
        """End the job as failed."""
        self._end(
            lambda conn: leases.end(conn, self.lease, State.FAILED, failure),
            FailureCode(failure.code),
        )

    def release(self) -> None:
        """Give the job back, to be picked up by somebody else at once; best effort."""
        ended = self._writes.release(self.plans.give_back)
        self.outcome = RELEASED
        if ended is not None:
            self._note_ended(ended, FailureCode.UNEXPECTED_ERROR)

    def _end(
        self,
        statement: Callable[[Connection], State | None],
        code: FailureCode = FailureCode.UNEXPECTED_ERROR,
    ) -> None:
        self._note_ended(self._writes.end(statement), code)

    def _note_ended(self, state: State, code: FailureCode) -> None:
        self.outcome = str(state)
        self._metrics.count_end(state, code)
        self.log.info(str(state))

    def _start_stage(
        self,
        stage: Stage,
        total: int,
        name: str,
        statement: Callable[[Connection], Beat | None],
        *,
        several: bool = False,
    ) -> None:
        self.progress = Progress(stage, 0, total)
        self._stage_started_at = time.monotonic()
        self._heed(self._writes.write(name, statement, several=several))
        self.log.info("stage_started", total=total)

    def _heed(self, beat: Beat) -> None:
        if beat.cancel_requested:
            self.ownership.cancel_requested.set()
