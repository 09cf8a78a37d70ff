"""Everything a worker writes down about the job it owns: rows, events, log lines, metrics."""

import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar
from uuid import UUID

import psycopg
import structlog
from structlog.stdlib import BoundLogger

from configs.logs import one_line
from storage import faults, leases, results
from storage.records import Beat, Claimed, FailureCode, Stage, State
from storage.retry import backoff
from tasks.interruptions import LeaseLost
from tasks.lease import Ownership
from tasks.messages import Progress
from tasks.metrics import Metrics
from tasks.worker import Worker

Connection = psycopg.Connection[Any]
Result = TypeVar("Result")


class Journal:
    """The record of one ownership; every write is guarded by the lease.

    Where a write finds that the lease is lost, LeaseLost is raised. Where Postgres is away, what
    must be written is tried again until the lease runs out; progress and snapshots are skipped.
    """

    def __init__(self, worker: Worker, claimed: Claimed, claim_sent_at: float) -> None:
        self.lease = claimed.lease
        self.progress = Progress(Stage.STAGE_A, 0, 0)
        self._session = worker.session
        self._metrics = worker.metrics
        self._claimed = claimed
        self._claimed_at = self._stage_started_at = time.monotonic()
        self.ownership = Ownership(
            claimed.lease,
            session=worker.new_session(),
            heartbeat_seconds=worker.jobs.heartbeat_seconds,
            claim_sent_at=claim_sent_at,
            log=lambda: self.log,
        )

    @property
    def log(self) -> BoundLogger:
        """Logger with everything that identifies the job at this moment."""
        return job_log(self.lease.job_id, self.lease.locked_by, self.lease.attempt, self.stage)

    @property
    def stage(self) -> Stage:
        """What the job is doing."""
        return self.progress.stage

    def open(self) -> None:
        """Note the claim."""
        self._metrics.active.inc()
        if self._claimed.reclaimed:
            self.log.info(
                "reclaimed",
                previous_owner=self._claimed.previous_owner,
                crashed=self._claimed.crashed,
            )
        else:
            self.log.info("claimed")

    def close(self, *, lost: bool) -> None:
        """Note the end of the ownership."""
        self._metrics.active.dec()
        self._metrics.job_seconds.observe(time.monotonic() - self._claimed_at)
        if lost:
            self._metrics.lease_lost.inc()
            self.log.warning("lease_lost")

    def start_stage(self, stage: Stage, total: int) -> None:
        """Begin a stage of `total` units."""
        self.progress = Progress(stage, 0, total)
        self._stage_started_at = time.monotonic()
        beat = self.write(lambda conn: leases.start_stage(conn, self.lease, stage, total))
        self._heed(beat)
        self.log.info("stage_started", total=total)

    def finish_stage(self) -> None:
        """Note how long the stage took."""
        seconds = time.monotonic() - self._stage_started_at
        self._metrics.stage_seconds.labels(self.stage).observe(seconds)

    def note(self, progress: Progress) -> None:
        """Remember how far the computation is, for the next `write_progress`."""
        if progress.stage is not Stage.FINALIZING:
            done = progress.processed - self.progress.processed
            self._metrics.variants.labels(progress.stage).inc(max(0, done))
        self.progress = progress

    def write_progress(self) -> None:
        """Write how far the job is, and read whether it is still ours and still wanted."""
        at = self.progress
        beat = self._try(
            "progress_not_written",
            lambda conn: (
                leases.progress(conn, self.lease, at.stage, at.processed, at.total) or _lost()
            ),
        )
        self._heed(beat)

    def save_snapshot(self, document: str) -> None:
        """Replace the visible top list by the best so far."""
        self._try(
            "snapshot_not_written",
            lambda conn: results.save_snapshot(conn, self.lease, document) or _lost(),
        )
        self.log.debug("snapshot_saved", bytes=len(document))

    def read(self, statement: Callable[[Connection], Result]) -> Result:
        """Run a statement that changes nothing."""
        for pause in backoff():
            if self.ownership.lost.is_set():
                raise LeaseLost
            try:
                return self._session.run(statement, abandon=self.ownership.lost.is_set)
            except psycopg.Error as error:
                if not faults.passing(error):
                    raise
                self.log.warning("database_unavailable", error=one_line(error), retry_seconds=pause)
            self.ownership.lost.wait(pause)
        raise AssertionError("backoff never ends")

    def write(self, statement: Callable[[Connection], Result | None]) -> Result:
        """Run a guarded statement, which answers None or False when the lease is lost."""
        return self.read(lambda conn: statement(conn) or _lost())

    def end(
        self,
        statement: Callable[[Connection], State | None],
        code: FailureCode = FailureCode.UNEXPECTED_ERROR,
    ) -> None:
        """Write the terminal state; `code` is that of the failure, should it become one."""
        self.ownership.close()
        sent = False

        def end_once(conn: Connection) -> State:
            # After an error at COMMIT nobody can know whether it took place: look first.
            nonlocal sent
            ended = leases.own_end(conn, self.lease) if sent else None
            sent = True
            return ended or statement(conn) or _lost()

        try:
            state = self.read(end_once)
        except LeaseLost:
            ended = self._last_look()
            if ended is None:
                raise
            state = ended
        count_end(self._metrics, state, code)
        self.log.info(str(state))

    def release(self) -> None:
        """Give the job back, to be picked up by somebody else at once."""
        self.ownership.close()
        self.write(lambda conn: leases.release(conn, self.lease))
        self.log.info("lease_released")

    def _try(self, event: str, statement: Callable[[Connection], Result]) -> Result | None:
        try:
            return self._session.run(statement, abandon=self.ownership.lost.is_set)
        except psycopg.Error as error:
            if not faults.passing(error):
                raise
            self.log.warning(event, error=one_line(error))
            return None

    def _last_look(self) -> State | None:
        try:
            return self._session.run(lambda conn: leases.own_end(conn, self.lease))
        except psycopg.Error as error:
            self.log.warning("end_unknown", error=one_line(error))
            return None

    def _heed(self, beat: Beat | None) -> None:
        if beat is not None and beat.cancel_requested:
            self.ownership.cancel_requested.set()


def job_log(
    job_id: UUID, locked_by: str, attempt: int | None = None, stage: Stage | None = None
) -> BoundLogger:
    """Logger whose every line says which job it is about, and whose."""
    log: BoundLogger = structlog.get_logger().bind(
        job_id=str(job_id),
        attempt=attempt,
        locked_by=locked_by,
        stage=None if stage is None else str(stage),
    )
    return log


def count_end(metrics: Metrics, state: State, code: FailureCode) -> None:
    """Count a job that ended; `code` matters only for one that failed."""
    match state:
        case State.SUCCEEDED:
            metrics.succeeded.inc()
        case State.FAILED:
            metrics.failed.labels(code).inc()
        case State.CANCELLED:
            metrics.cancelled.inc()


def _lost() -> NoReturn:
    raise LeaseLost
