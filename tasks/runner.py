"""One job from claim to terminal state: the story of the system in one file.

A wake-up names a job. The worker takes its lease, checks the request, has a child process compute
it, and writes down what the child reports: the shortlist of stage A, snapshots of stage B, and in
the end the reports together with the state. It goes on only while the lease is its own; a
cancelled job, a stopping worker or a lost lease ends the computation wherever it is.
"""

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import numpy as np
import psycopg

from configs.logs import one_line
from engine import VERSION
from engine.request import RequestError, parse
from storage import faults, leases, results
from storage.records import Claimed, Claimer, Failure, FailureCode, Shortlist, Stage, State
from storage.retry import backoff
from tasks import failures
from tasks.conversation import Conversation
from tasks.interruptions import CancelRequested, JobFailed, LeaseLost, Stopping
from tasks.journal import Journal, count_end, job_log
from tasks.messages import (
    Assignment,
    Begin,
    CandlesLoaded,
    Failed,
    Finished,
    StageAFinished,
    StageBFinished,
)
from tasks.process import ChildDied
from tasks.worker import Worker

CANCEL_GRACE_SECONDS = 0.5
REQUEST_VERSION = 1
RELEASE_GRACE_SECONDS = 2.0
LOOK_SECONDS = 0.1


def run(job_id: UUID, worker: Worker) -> None:
    """Answer a wake-up: own the job until it ends, is given back or lost; or drop the message."""
    taken = _claim(job_id, worker)
    if taken is None:
        return
    claimed, sent_at = taken
    journal = Journal(worker, claimed, sent_at)
    journal.open()
    lost = False
    try:
        with journal.ownership:
            _work(claimed, journal, worker)
    except LeaseLost:
        lost = True
    finally:
        journal.close(lost=lost)


def _claim(job_id: UUID, worker: Worker) -> tuple[Claimed, float] | None:
    """Take the lease; None when the job is not to be had, or was ended instead.

    Also returns when the claim was sent, by the monotonic clock: the lease is counted from then.
    """
    locked_by = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    log = job_log(job_id, locked_by)

    claimer = Claimer(
        locked_by,
        lease_seconds=worker.jobs.lease_seconds,
        max_crashes=worker.jobs.max_crashes,
        engine_version=VERSION,
        request_version=REQUEST_VERSION,
    )
    for pause in backoff():
        if worker.stopping.is_set():
            worker.put_back(job_id)
            return None
        sent_at = time.monotonic()
        try:
            outcome = leases.claim(worker.session, job_id, claimer)
            break
        except psycopg.Error as error:
            if not faults.passing(error):
                raise
            log.warning("claim_delayed", error=one_line(error), retry_seconds=pause)
        worker.stopping.wait(pause)

    if isinstance(outcome, Claimed):
        worker.metrics.claims.inc()
        return outcome, sent_at
    if outcome is None:  # finished, or owned by someone: a message too many
        worker.metrics.stale_messages.inc()
        log.debug("message_dropped")
    else:
        count_end(worker.metrics, outcome, FailureCode.WORKER_CRASHED_REPEATEDLY)
        log.info("ended_by_claim", state=str(outcome))
    return None


def _work(claimed: Claimed, journal: Journal, worker: Worker) -> None:
    """Compute and publish; whatever comes in between ends the job in its own way."""
    lease = claimed.lease
    try:
        assignment = _assignment(claimed, worker)
        try:
            try:
                _compute_and_publish(assignment, journal, worker)
            except ChildDied as death:  # that may have had nothing to do with the job
                journal.log.warning("computing_once_more", error=str(death))
                _wait_for_fork_server(journal, worker)
                _compute_and_publish(assignment, journal, worker)
        except CancelRequested:
            journal.end(lambda conn: leases.end(conn, lease, State.CANCELLED))
        except Stopping:
            journal.release()
    except (JobFailed, ChildDied) as error:
        _fail(error.failure, journal)
    except LeaseLost:
        raise
    except Exception as error:
        _fail(failures.of_exception(error, worker.jobs.job_memory_limit_bytes), journal)


@contextmanager
def _child(assignment: Assignment, journal: Journal, worker: Worker) -> Iterator[Conversation]:
    """Have a child compute the job; when this is left, however it is left, the child has ended."""
    child = worker.fork_server.fork(assignment)
    conversation = Conversation(child, journal, worker.jobs, worker.stopping)
    try:
        journal.ownership.on_loss(child.kill)
        yield conversation
    except CancelRequested:
        conversation.stop(CANCEL_GRACE_SECONDS)
        raise
    except Stopping:
        conversation.stop(RELEASE_GRACE_SECONDS)
        raise
    finally:
        child.end()


def _wait_for_fork_server(journal: Journal, worker: Worker) -> None:
    """Wait until one that died has been replaced; raises what ends the job meanwhile."""
    while not worker.fork_server.loaded:
        if journal.ownership.lost.is_set():
            raise LeaseLost
        if journal.ownership.cancel_requested.is_set():
            raise CancelRequested
        if worker.stopping.wait(LOOK_SECONDS):
            raise Stopping


def _assignment(claimed: Claimed, worker: Worker) -> Assignment:
    """Say what the child has to do, if the stored request is a valid one."""
    try:
        request = parse(claimed.job.request_json, worker.limits)
    except RequestError as error:
        raise JobFailed(failures.refused(error)) from None
    return Assignment(
        request=request.document,
        candle_source=worker.candle_source,
        candle_retry_seconds=worker.candle_retry_seconds,
        threads=worker.jobs.parallel_workers,
        memory_bytes=worker.jobs.job_memory_limit_bytes,
    )


def _compute_and_publish(assignment: Assignment, journal: Journal, worker: Worker) -> None:
    with _child(assignment, journal, worker) as child:
        candles = child.expect(CandlesLoaded)
        if not candles.preloaded:
            journal.log.error("engine_not_preloaded")

        shortlist = _resume(candles, child, journal) or _run_stage_a(candles, child, journal)

        journal.start_stage(Stage.STAGE_B, total=len(shortlist.indexes) * shortlist.risk_total)
        top = child.expect(StageBFinished)
        journal.finish_stage()

        journal.start_stage(Stage.FINALIZING, total=top.reports)
        rows = child.expect(Finished).document
        journal.finish_stage()

    journal.end(lambda conn: results.succeed(conn, journal.lease, rows))


def _resume(candles: CandlesLoaded, child: Conversation, journal: Journal) -> Shortlist | None:
    """Spare stage A if an earlier attempt stored its result for exactly these candles."""
    stored = journal.read(lambda conn: results.shortlist(conn, journal.lease.job_id))
    if stored is None or not stored.usable_with(
        engine_version=VERSION, candles_hash=candles.candles_hash
    ):
        return None
    journal.write(
        lambda conn: leases.resumed_from_shortlist(
            conn, journal.lease, written_by_attempt=stored.attempt
        )
    )
    journal.log.info("resumed_from_shortlist", written_by_attempt=stored.attempt)
    child.tell(Begin(np.array(stored.shortlist.indexes, dtype=np.int64)))
    return stored.shortlist


def _run_stage_a(candles: CandlesLoaded, child: Conversation, journal: Journal) -> Shortlist:
    journal.start_stage(Stage.STAGE_A, total=candles.base_variants)
    child.tell(Begin())
    best = child.expect(StageAFinished)
    journal.finish_stage()
    shortlist = Shortlist(
        indexes=best.indexes.tolist(),
        stage_a_variants_total=best.total,
        risk_total=best.risk_total,
        preselect_used=len(best.indexes),
        engine_version=VERSION,
        candles_hash=candles.candles_hash,
    )
    journal.write(lambda conn: results.save_shortlist(conn, journal.lease, shortlist))
    return shortlist


def _fail(failure: Failed, journal: Journal) -> None:
    journal.log.error(
        "computation_failed", code=str(failure.code), error=failure.message, trace=failure.trace
    )
    record = Failure(failure.code, failure.message, failure.details)
    journal.end(lambda conn: leases.end(conn, journal.lease, State.FAILED, record), failure.code)
