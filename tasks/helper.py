"""One call for help: shards of a job that somebody else owns, until there are none left.

A helper owns no job and writes nothing about one. It takes a shard, has a child of its own compute
it, and stores what was found; the job's owner merges. It ends when nothing is to be had any more,
when a job waits that has no worker at all, when it is told to stop, and when its child cannot go
on.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import psycopg
from structlog.stdlib import BoundLogger

from configs.one_line import one_line
from storage import jobs, results, shards
from storage.connection import Connection
from storage.plan_records import ClaimedShard, Helper, Plan
from storage.records import Failure, Stage, StoredShortlist
from tasks import identity
from tasks.job_log import job_log
from tasks.listening import Listener
from tasks.messages import Begin, CandlesLoaded, Compute, Divided, Progress, ShardFinished
from tasks.metrics import SCORING
from tasks.process import Child, ChildDied
from tasks.shard_writer import ShardWriter
from tasks.stop_reasons import JobFailed, ShardLost, WorkerStopping
from tasks.stopping import set_for
from tasks.worker import Worker

BEAT_SECONDS = 1.0
STOP_GRACE_SECONDS = 1.0
"""How long a worker that is to stop waits for the answer to a write."""


class Offer(NamedTuple):
    """A plan with shards to be had, and what is needed to compute them."""

    plan: Plan
    request: Mapping[str, Any]
    shortlist: StoredShortlist | None


class Declined(Exception):
    """A plan that this worker cannot help with."""


def run(job_id: UUID, worker: Worker) -> None:
    """Answer a call for help: help, or drop it."""
    who = Helper(
        locked_by=identity.new_owner(),
        engine_identity=identity.ENGINE,
        max_crashes=worker.jobs.max_crashes,
    )
    log = job_log(job_id, who.locked_by)
    try:
        offer = worker.session.run(
            lambda conn: _look(conn, job_id, who),
            abandon=set_for(worker.stopping, STOP_GRACE_SECONDS),
        )
        if offer is None or offer.plan.plan_id in worker.declined:
            log.debug("no_help_to_give")
            return
        _help_with(offer, who, worker, log.bind(stage=str(offer.plan.stage)))
    except psycopg.Error as error:
        log.warning("help_broken_off", error=one_line(error), sqlstate=error.sqlstate)


def _look(conn: Connection, job_id: UUID, who: Helper) -> Offer | None:
    plan = shards.offer(conn, job_id, who)
    job = None if plan is None else jobs.get(conn, job_id)
    if plan is None or job is None:
        return None
    of_stage_b = plan.stage is Stage.STAGE_B
    return Offer(plan, job.request_json, results.shortlist(conn, job_id) if of_stage_b else None)


def _help_with(offer: Offer, who: Helper, worker: Worker, log: BoundLogger) -> None:
    """Compute shards; whatever comes in between ends the help in its own way."""
    begin = time.monotonic()
    writer = ShardWriter(
        worker.session, offer.plan, who, set_for(worker.stopping, STOP_GRACE_SECONDS), log
    )
    log.info("help_begun")
    computed = 0
    try:
        with _child(offer, writer, worker, log) as child:
            child.begin(offer)
            while (taken := writer.claim()) is not None:
                writer.finish(child.compute(taken))
                computed += 1
                if worker.job_waits():
                    break
    except WorkerStopping:
        writer.give_back()
    except ShardLost:
        log.info("shard_lost")
    except JobFailed as error:
        _leave(offer, writer, worker, log, error)
    except (ChildDied, Declined) as error:  # what a child died of counts as a crash of the shard
        _decline(offer, worker, log, str(error))
    finally:
        seconds = time.monotonic() - begin
        worker.metrics.help_seconds.inc(seconds)
        log.info("help_ended", shards=computed, seconds=round(seconds, 1))


def _leave(
    offer: Offer, writer: ShardWriter, worker: Worker, log: BoundLogger, error: JobFailed
) -> None:
    """Leave a shard that cannot be computed here to the job's owner, and all others too."""
    failure = error.failure
    _decline(offer, worker, log, failure.message, code=str(failure.code), trace=failure.trace)
    if writer.held is not None:
        try:
            writer.fail(Failure(failure.code, failure.message, failure.details))
        except (ShardLost, WorkerStopping):
            log.info("shard_lost")


def _decline(offer: Offer, worker: Worker, log: BoundLogger, error: str, **more: Any) -> None:
    worker.declined.append(offer.plan.plan_id)
    worker.metrics.help_declined.inc()
    log.warning("help_declined", error=error, **more)


class _HelpersChild(Listener):
    """The helper's side of the pipe: it beats for the shard while the child computes it."""

    def __init__(self, child: Child, writer: ShardWriter, worker: Worker, log: BoundLogger) -> None:
        super().__init__(child, worker.jobs.stall_seconds)
        self._writer = writer
        self._worker = worker
        self._log = log
        self._done = 0
        self._next_beat = time.monotonic()

    @property
    def log(self) -> BoundLogger:
        """Logger of the help."""
        return self._log

    def begin(self, offer: Offer) -> None:
        """Have the child begin with the stage of the plan; raises Declined if it cannot help."""
        plan = offer.plan
        found = self.expect(CandlesLoaded).candles_hash
        if found != plan.candles_hash:
            raise Declined("the candles here are others than those of the plan")
        if plan.stage is Stage.STAGE_B:
            stored = offer.shortlist
            ours = {"engine_version": identity.ENGINE, "candles_hash": found}
            if stored is None or not stored.usable_with(**ours):
                raise Declined("the stored shortlist is not that of the plan")
            indexes, twins = stored.shortlist.indexes, stored.shortlist.twins
            begin = Begin(
                np.array(indexes, np.int64), np.array(twins, np.int64), planned=(plan.stage,)
            )
        else:
            begin = Begin(planned=(plan.stage,), draws=plan.stage is Stage.VALIDATION)
        self.tell(begin)
        self.expect(Divided)

    def compute(self, taken: ClaimedShard) -> bytes:
        """Return what a shard has found."""
        self._done = 0
        self.tell(Compute(taken.part))
        return self.expect(ShardFinished).result

    def look_around(self) -> None:
        """Beat when it is due; raises what ends the help."""
        if self._worker.stopping.is_set():
            raise WorkerStopping
        now = time.monotonic()
        if self._writer.held is not None and now >= self._next_beat:
            self._next_beat = now + BEAT_SECONDS
            self._writer.beat(self._done)

    def raise_if_killed(self) -> None:
        """Nobody kills it while it is listened to."""

    def note_progress(self, progress: Progress) -> None:
        """Remember how far the shard is, and count its variants."""
        if progress.stage in SCORING:
            more = progress.processed - self._done
            self._worker.metrics.variants.labels(progress.stage).inc(more)
        self._done = progress.processed


@contextmanager
def _child(
    offer: Offer, writer: ShardWriter, worker: Worker, log: BoundLogger
) -> Iterator[_HelpersChild]:
    """Have a child for one plan; when this is left, however it is left, the child has ended."""
    child = worker.fork_server.fork(worker.assignment(offer.request))
    try:
        yield _HelpersChild(child, writer, worker, log)
    finally:
        child.end()
