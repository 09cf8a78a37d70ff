"""Taking the lease of a job, through every error that Postgres may answer with."""

import time
from collections.abc import Callable
from uuid import UUID

import psycopg
from structlog.stdlib import BoundLogger

from configs.one_line import one_line
from engine.request import VERSION as REQUEST_VERSION
from storage import faults, leases
from storage.connection import Connection, Unreachable
from storage.records import Claimed, Claimer, FailureCode, State
from storage.retry import backoff
from tasks.identity import ENGINE, new_owner
from tasks.job_log import job_log
from tasks.stopping import set_for
from tasks.worker import Worker

STOP_GRACE_SECONDS = 1.0
GIVE_BACK_SECONDS = 10.0
GIVE_BACK_TRY_SECONDS = 3.0


def take(job_id: UUID, worker: Worker) -> tuple[Claimed, float] | None:
    """Take the lease; None when the job is not to be had, or was ended instead.

    Also returns when the claim was sent, by the monotonic clock: the lease is counted from then.
    While Postgres is away or refuses, it is tried again until the worker is told to stop.
    """
    claimer = Claimer(
        locked_by=new_owner(),
        lease_seconds=worker.jobs.lease_seconds,
        max_crashes=worker.jobs.max_crashes,
        engine_version=ENGINE,
        request_version=REQUEST_VERSION,
    )
    log = job_log(job_id, claimer.locked_by)
    abandon = set_for(worker.stopping, STOP_GRACE_SECONDS)
    unsure = False  # whether the job may be ours without our knowing
    for pause in backoff():
        if worker.stopping.is_set():
            if unsure:
                _give_back(job_id, claimer, worker, log)
            worker.put_back(job_id)
            return None
        sent_at = time.monotonic()
        try:
            outcome = _claim(job_id, claimer, worker, abandon, unsure=unsure)
            break
        except psycopg.Error as error:
            if not faults.passing(error):
                log.error("claim_refused", error=one_line(error), sqlstate=error.sqlstate)
                if unsure:
                    _give_back(job_id, claimer, worker, log)
                return None
            unsure = unsure or not isinstance(error, Unreachable)
            log.warning(
                "claim_delayed",
                error=one_line(error),
                sqlstate=error.sqlstate,
                retry_seconds=pause,
            )
        worker.stopping.wait(pause)

    if isinstance(outcome, Claimed):
        worker.metrics.claims.inc()
        return outcome, sent_at
    if outcome is None:  # finished, or owned by someone: a message too many
        worker.metrics.stale_messages.inc()
        log.debug("message_dropped")
    else:
        worker.metrics.count_end(outcome, FailureCode.WORKER_CRASHED_REPEATEDLY)
        log.info("ended_by_claim", state=str(outcome))
    return None


def _claim(
    job_id: UUID, claimer: Claimer, worker: Worker, abandon: Callable[[], bool], *, unsure: bool
) -> Claimed | State | None:
    def recognise(conn: Connection) -> Claimed | None:
        return leases.recognise(conn, job_id, claimer)

    if not unsure:
        return leases.claim(worker.session, job_id, claimer, abandon=abandon)
    # An earlier claim may have been committed before its answer got lost, or even now.
    return (
        worker.session.run(recognise, abandon=abandon)
        or leases.claim(worker.session, job_id, claimer, abandon=abandon)
        or worker.session.run(recognise, abandon=abandon)
    )


def _give_back(job_id: UUID, claimer: Claimer, worker: Worker, log: BoundLogger) -> None:
    """Release a job that may be ours, for another worker to take at once; best effort."""
    give_up_at = time.monotonic() + GIVE_BACK_SECONDS

    def too_late() -> bool:
        return time.monotonic() >= give_up_at

    def release(conn: Connection) -> bool:
        ours = leases.recognise(conn, job_id, claimer)
        return ours is not None and leases.release(conn, ours.lease)

    for pause in backoff(longest=1.0):
        try:
            released = worker.session.run(
                release, statement_seconds=GIVE_BACK_TRY_SECONDS, abandon=too_late
            )
            break
        except psycopg.Error as error:
            if too_late() or not faults.passing(error):
                log.error("claim_left_open", error=one_line(error), sqlstate=error.sqlstate)
                return
        time.sleep(pause)
    if released:
        log.info("lease_released")
