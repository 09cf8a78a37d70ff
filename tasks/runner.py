"""One job from claim to terminal state: the story of the system in one file.

A wake-up names a job. The worker takes its lease, has a child process check the request and compute
it, and writes down what the child reports: the shortlist of stage A, snapshots of stage B, and in
the end the reports, and what was asked of the search, together with the state. Stages that take
long are shared with other workers (`stages`). It goes on only while the lease is its own; a
cancelled job, a stopping worker or a lost lease ends the computation wherever it is.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import numpy as np

from storage.records import Claimed, Failure, FailureCode, Shortlist, Stage
from tasks import attempts, claim, failures, identity, stages
from tasks.job_writer import JobWriter
from tasks.messages import (
    Assignment,
    Begin,
    CandlesLoaded,
    Failed,
    Finished,
    StageAFinished,
    StageBFinished,
    Validated,
)
from tasks.process import Child, ChildDied
from tasks.stop_reasons import CancelRequested, JobFailed, LeaseLost, WorkerStopping
from tasks.supervisor import Supervisor
from tasks.worker import Worker

CANCEL_GRACE_SECONDS = 0.5
RELEASE_GRACE_SECONDS = 2.0
LOOK_SECONDS = 0.1

StageA = tuple[Shortlist, Mapping[str, Any] | None]
"""The shortlist, and the statistics of its search where they are not stored yet."""


def run(job_id: UUID, worker: Worker) -> None:
    """Answer a wake-up: own the job until it ends, is given back or lost; or drop the message."""
    taken = claim.take(job_id, worker)
    if taken is None:
        return
    claimed, sent_at = taken
    writer = JobWriter(worker, claimed, sent_at)
    writer.note_claim()
    lost = False
    with attempts.traced(worker.tracer, claimed) as span:
        try:
            with writer.ownership:
                _own(claimed, writer, worker)
        except LeaseLost:
            lost = True
        finally:
            writer.note_end(lost=lost)
            attempts.note_end(span, writer.outcome, writer.failure)


def _own(claimed: Claimed, writer: JobWriter, worker: Worker) -> None:
    """Do the work; whatever comes in between ends the job in its own way."""
    try:
        try:
            found = _compute(claimed, writer, worker)
            writer.succeed(found.document, found.answers)
        except CancelRequested:
            writer.cancel()
        except (LeaseLost, WorkerStopping):
            raise
        except (JobFailed, ChildDied) as error:
            _fail(failures.suspecting(error.failure, claimed.job.request_json), writer)
        except Exception as error:
            limit = worker.jobs.job_memory_limit_bytes
            _fail(failures.of_exception(error, limit), writer)
    except WorkerStopping:
        writer.release()
    except JobFailed as error:  # not even the failure can be written: the lease runs out
        writer.log.error("end_refused", **error.failure.details, trace=error.failure.trace)


def _compute(claimed: Claimed, writer: JobWriter, worker: Worker) -> Finished:
    """Return what is to be stored; a child that dies may have had nothing to do with the job."""
    assignment = worker.assignment(claimed.job.request_json)
    try:
        return _compute_once(assignment, writer, worker)
    except ChildDied as death:
        writer.log.warning("computing_once_more", error=str(death))
        return _compute_once(assignment, writer, worker)


def _compute_once(assignment: Assignment, writer: JobWriter, worker: Worker) -> Finished:
    with _child(assignment, writer, worker) as child:
        candles = child.expect(CandlesLoaded)
        if not candles.preloaded:
            writer.log.error("engine_not_preloaded")
        writer.save_coverage(candles.coverage)

        found = _resume(candles, child, writer) or _run_stage_a(candles, child, writer)

        writer.start_stage_b(*found)
        top = stages.ended(StageBFinished, candles.candles_hash, child, writer)
        writer.finish_stage()

        if top.validated:
            writer.start_stage(Stage.VALIDATION, total=0)  # the child says how much there is to ask
            stages.ended(Validated, candles.candles_hash, child, writer)
            writer.finish_stage()

        writer.start_stage(Stage.FINALIZING, total=top.reports)
        finished = child.expect(Finished)
        writer.finish_stage()
    return finished


@contextmanager
def _child(assignment: Assignment, writer: JobWriter, worker: Worker) -> Iterator[Supervisor]:
    """Have a child compute the job; when this is left, however it is left, the child has ended."""
    child = _forked(assignment, writer, worker)
    supervisor = Supervisor(child, writer, worker.jobs, worker.stopping)
    try:
        writer.ownership.on_loss(child.kill)
        yield supervisor
    except CancelRequested:
        supervisor.stop(CANCEL_GRACE_SECONDS)
        raise
    except WorkerStopping:
        supervisor.stop(RELEASE_GRACE_SECONDS)
        raise
    finally:
        child.end()


def _forked(assignment: Assignment, writer: JobWriter, worker: Worker) -> Child:
    """Have the fork server start a child; one that dies is waited for until it is replaced.

    It may refuse before it counts as ended, for its sockets are closed first and its children are
    killed next. Raises what ends the job meanwhile.
    """
    give_up_at = time.monotonic() + worker.jobs.stall_seconds
    while True:
        try:
            return worker.fork_server.fork(assignment)
        except ChildDied:
            if time.monotonic() >= give_up_at:
                raise
        if writer.ownership.lost.is_set():
            raise LeaseLost
        if writer.ownership.cancel_requested.is_set():
            raise CancelRequested
        if worker.stopping.wait(LOOK_SECONDS):
            raise WorkerStopping


def _resume(candles: CandlesLoaded, child: Supervisor, writer: JobWriter) -> StageA | None:
    """Spare stage A if all of its result is stored for exactly these candles."""
    stored = writer.stored_shortlist()
    if stored is None or not stored.usable_with(
        engine_version=identity.ENGINE, candles_hash=candles.candles_hash
    ):
        return None
    writer.note_resumed(written_by_attempt=stored.attempt)
    shortlist = stored.shortlist
    child.tell(
        Begin(
            np.array(shortlist.indexes, np.int64),
            np.array(shortlist.twins, np.int64),
            planned=_planned(candles, writer, Stage.STAGE_B, Stage.VALIDATION),
        )
    )
    return shortlist, None


def _run_stage_a(candles: CandlesLoaded, child: Supervisor, writer: JobWriter) -> StageA:
    writer.start_stage(Stage.STAGE_A, total=candles.base_variants)
    child.tell(Begin(planned=_planned(candles, writer, Stage.STAGE_A)))
    best = stages.ended(StageAFinished, candles.candles_hash, child, writer)
    writer.finish_stage()
    shortlist = Shortlist(
        indexes=best.indexes.tolist(),
        twins=best.twins.tolist(),
        stage_a_variants_total=best.total,
        risk_total=best.risk_total,
        preselect_used=len(best.indexes),
        engine_version=identity.ENGINE,
        candles_hash=candles.candles_hash,
    )
    return shortlist, best.outcomes


def _planned(candles: CandlesLoaded, writer: JobWriter, *stages_: Stage) -> list[Stage]:
    """Of which of these stages an earlier attempt, or child, has left a plan that is of use."""
    plans, hash_ = writer.plans, candles.candles_hash
    return [stage for stage in stages_ if plans.adopt(stage, hash_) is not None]


def _fail(failure: Failed, writer: JobWriter) -> None:
    writer.failure = failure
    writer.log.error(
        "computation_failed", code=str(failure.code), error=failure.message, trace=failure.trace
    )
    try:
        writer.fail(Failure(failure.code, failure.message, failure.details))
    except JobFailed as error:  # its text may be what Postgres refuses
        writer.log.error("failure_refused", **error.failure.details)
        plain = failures.unexpected({"code": str(failure.code)})
        writer.fail(Failure(FailureCode.UNEXPECTED_ERROR, plain.message, plain.details))
