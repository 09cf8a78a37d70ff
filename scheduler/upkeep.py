"""What keeps the tables healthy: the sweep of dead leases and plans, the gauges, retention."""

import structlog

from scheduler.duty import Transact
from scheduler.metrics import Metrics
from storage import dispatch, jobs

RETENTION_BATCH = 200
PLANS_BATCH = 3

log = structlog.get_logger()


def sweep(transact: Transact, metrics: Metrics, *, max_crashes: int) -> None:
    """End jobs that nobody will ever claim again: out of crashes, or cancelled while ownerless.

    Delete the plans of all jobs that have ended, a few at a time: their results may be large.
    """
    swept = transact(lambda conn: dispatch.sweep(conn, max_crashes=max_crashes))
    for state, count in swept.items():
        if count:
            metrics.swept.labels(str(state)).inc(count)
            log.info("swept", state=str(state), jobs=count)
    deleted = transact(lambda conn: dispatch.sweep_plans(conn, batch=PLANS_BATCH))
    if deleted:
        log.info("plans_deleted", plans=deleted)


def measure(transact: Transact, metrics: Metrics) -> None:
    """Read the queue's gauges."""
    gauges = transact(dispatch.gauges)
    metrics.jobs.labels("queued").set(gauges.queued)
    metrics.jobs.labels("running").set(gauges.running)
    metrics.oldest_queued_age.set(gauges.oldest_queued_age_seconds)
    metrics.expired_leases.set(gauges.expired_leases)
    metrics.waiting_sessions.set(gauges.waiting_sessions)
    metrics.finalizing_overdue.set(gauges.finalizing_overdue)
    metrics.paused.set(gauges.paused)
    metrics.shards.labels("open").set(gauges.open_shards)
    metrics.shards.labels("running").set(gauges.running_shards)
    metrics.shards.labels("done").set(gauges.done_shards)


def retain(transact: Transact, *, retention_days: float | None) -> int:
    """Delete terminal jobs older than `retention_days` (None keeps all); returns how many."""
    if retention_days is None:
        return 0
    deleted = delete_finished(transact, older_than_days=retention_days)
    if deleted:
        log.info("retention", deleted=deleted, older_than_days=retention_days)
    return deleted


def delete_finished(transact: Transact, *, older_than_days: float) -> int:
    """Delete all jobs that ended that long ago; returns how many.

    Small batches, each its own transaction: nobody waits behind a long delete.
    """
    deleted = 0
    while True:
        batch = transact(
            lambda conn: jobs.delete_finished(
                conn, older_than_days=older_than_days, batch=RETENTION_BATCH
            )
        )
        deleted += batch
        if batch < RETENTION_BATCH:
            return deleted
