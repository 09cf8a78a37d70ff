-- What the scheduler asks of the queue.

-- name: postpone_waiting
-- Due jobs whose wake-up waits in the broker need no second one.
WITH due AS (
    SELECT job_id
    FROM backtest_jobs
    WHERE job_id = ANY(%(waiting)s::uuid[]) AND @due
    FOR UPDATE SKIP LOCKED
)
UPDATE backtest_jobs AS job
SET next_dispatch_at = now() + make_interval(secs => %(redispatch_seconds)s),
    updated_at = now()
FROM due
WHERE job.job_id = due.job_id;

-- name: mark_due
-- Rows that another scheduler, a claim or a write holds are left for the next round. What is due says
-- the states; said a second time, the planner takes such rows for so rare that it reads all of them
-- and sorts, where the first in the order of the index would do.
WITH due AS (
    SELECT job_id
    FROM backtest_jobs
    WHERE @due
      AND job_id <> ALL(%(waiting)s::uuid[])
    ORDER BY priority DESC, created_at, job_id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE backtest_jobs AS job
    SET next_dispatch_at = now() + make_interval(secs => %(redispatch_seconds)s),
        dispatch_count = dispatch_count + 1,
        updated_at = now()
    FROM due
    WHERE job.job_id = due.job_id
    RETURNING job.job_id, job.dispatch_count, job.priority, job.created_at
)
SELECT job_id, dispatch_count
FROM marked
ORDER BY priority DESC, created_at, job_id;

-- name: unmark
-- A claim since the mark has set the count to zero, another mark has raised it.
WITH unsent AS (
    SELECT job.job_id
    FROM backtest_jobs AS job
    JOIN unnest(%(job_ids)s::uuid[], %(dispatch_counts)s::int[]) AS due (job_id, dispatch_count)
        USING (job_id, dispatch_count)
    WHERE job.state IN ('queued', 'running') AND job.next_dispatch_at > now()
    FOR UPDATE OF job SKIP LOCKED
)
UPDATE backtest_jobs AS job
SET next_dispatch_at = now(),
    updated_at = now()
FROM unsent
WHERE job.job_id = unsent.job_id;

-- name: sweep
-- The same rule as the claim's, for jobs that no message may ever reach.
WITH judged AS (
    SELECT job_id, locked_by, heartbeat_at, stage, crash_count,
           @crashed AS crashed,
           @next_state AS next_state
    FROM backtest_jobs
    WHERE @expired AND @next_state <> 'running'
    ORDER BY job_id
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
), ended AS (
    @give_up
), logged AS (
    @ended_event
    FROM ended
)
SELECT state FROM ended;

-- name: gauges
-- Shards are of jobs that run: plans of others are swept at once.
SELECT active.*, shards.*
FROM (
    SELECT count(*) FILTER (WHERE state = 'queued') AS queued,
           count(*) FILTER (WHERE state = 'running') AS running,
           coalesce(
               extract(epoch FROM now() - min(created_at) FILTER (WHERE state = 'queued')), 0
           )::double precision AS oldest_queued_age_seconds,
           count(*) FILTER (WHERE @expired) AS expired_leases,
           (SELECT count(*)
            FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock') AS waiting_sessions,
           count(*) FILTER (
               WHERE state = 'running' AND stage = 'finalizing' AND EXISTS (
                   SELECT FROM backtest_job_events AS event
                   WHERE event.job_id = job.job_id
                     AND event.attempt = job.attempt
                     AND event.event = 'stage_started'
                     AND event.details ->> 'stage' = 'finalizing'
                     AND event.at < now() - interval '1 minute'
               )
           ) AS finalizing_overdue,
           @paused AS paused
    FROM backtest_jobs AS job
    WHERE state IN ('queued', 'running')
) AS active
CROSS JOIN (
    SELECT count(*) FILTER (WHERE state = 'open') AS open_shards,
           count(*) FILTER (WHERE state = 'running') AS running_shards,
           count(*) FILTER (WHERE state = 'done') AS done_shards
    FROM backtest_job_shards
) AS shards;

-- name: help_wanted
-- Plans are of jobs that run, so nothing is read of those that have ended. The owner of a job counts as
-- one worker, whether it computes a shard itself or waits for others. A plan of another engine than the
-- owner's is one that it has not come to delete.
SELECT job_id, user_id, workers, free_shards
FROM (
    SELECT job.job_id, job.user_id, job.priority, job.created_at,
           1 + sum(counted.helpers)::int AS workers,
           sum(counted.free_shards)::int AS free_shards
    FROM backtest_job_plans AS plan
    JOIN backtest_jobs AS job ON job.job_id = plan.job_id
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE @alive AND locked_by <> job.locked_by) AS helpers,
               count(*) FILTER (WHERE @free) AS free_shards
        FROM backtest_job_shards AS piece
        WHERE piece.job_id = plan.job_id AND piece.stage = plan.stage
    ) AS counted
    WHERE NOT @paused AND @wants_help AND job.engine_version = plan.engine_identity
    GROUP BY job.job_id
) AS job
WHERE free_shards > 0
ORDER BY workers, priority DESC, created_at, job_id
LIMIT %(limit)s;

-- name: sweep_plans
-- Whatever has ended a job leaves its plans to this. One connection at a time deletes.
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtextextended('backtest_jobs.plans', 0)) AS mine
), ended AS (
    SELECT plan.job_id, plan.stage
    FROM backtest_job_plans AS plan
    JOIN backtest_jobs AS job ON job.job_id = plan.job_id
    WHERE (SELECT mine FROM turn) AND job.finished_at IS NOT NULL
    ORDER BY plan.job_id, plan.stage
    LIMIT %(batch)s
)
DELETE FROM backtest_job_plans AS plan
USING ended
WHERE plan.job_id = ended.job_id AND plan.stage = ended.stage;
