"""Each attempt at a job is a span: a child of the submission's, linked to the attempt before."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from configs.tracing import Place, Span, Tracer
from storage.records import Claimed
from tasks.messages import Failed

NAME = "backtest attempt"


@contextmanager
def traced(tracer: Tracer | None, claimed: Claimed) -> Iterator[Span | None]:
    """Measure one ownership of a job; None where traces are off."""
    if tracer is None:
        yield None
        return
    job = claimed.job
    submission = Place.read(job.traceparent)
    # A job whose submission belongs to no trace is a trace of its own, under its own id.
    trace_id = submission.trace_id if submission else job.job_id.int
    before = _place(trace_id, job.job_id, job.attempt - 1) if claimed.reclaimed else None
    with tracer.span(
        NAME,
        parent=submission,
        place=_place(trace_id, job.job_id, job.attempt),
        earlier=before,
        job_id=str(job.job_id),
        attempt=job.attempt,
        locked_by=claimed.lease.locked_by,
    ) as span:
        yield span


def note_end(span: Span | None, outcome: str, failure: Failed | None) -> None:
    """Say how the ownership ended, and with what error."""
    if span is None:
        return
    span.note(outcome=outcome)
    if failure is not None:
        span.fail(str(failure.code), failure.message, failure.trace)


def _place(trace_id: int, job_id: UUID, attempt: int) -> Place:
    """Ids that whoever makes the next attempt can tell, without having heard of this one."""
    digest = hashlib.sha256(f"{job_id}/{attempt}".encode()).digest()
    return Place(trace_id, int.from_bytes(digest[:8]))
