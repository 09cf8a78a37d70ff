-- name: postpone_waiting
-- Due jobs whose wake-up waits in the broker need no second one.
WITH due AS (
    SELECT job_id
    FROM backtest_jobs
    WHERE job_id = ANY(%(waiting)s::uuid[]) AND -- A wake-up is owed: queued, or the owner is gone; and none was sent a moment ago.
((state = 'queued' AND next_dispatch_at <= now())
 OR ((state = 'running' AND lease_expires_at <= now()) AND (next_dispatch_at IS NULL OR next_dispatch_at <= now())))
    FOR UPDATE SKIP LOCKED
)
UPDATE backtest_jobs AS job
SET next_dispatch_at = now() + make_interval(secs => %(redispatch_seconds)s),
    updated_at = now()
FROM due
WHERE job.job_id = due.job_id;

-- name: mark_due
-- Rows that another scheduler, a claim or a write holds are left for the next round.
WITH due AS (
    SELECT job_id
    FROM backtest_jobs
    WHERE state IN ('queued', 'running')
      AND -- A wake-up is owed: queued, or the owner is gone; and none was sent a moment ago.
((state = 'queued' AND next_dispatch_at <= now())
 OR ((state = 'running' AND lease_expires_at <= now()) AND (next_dispatch_at IS NULL OR next_dispatch_at <= now())))
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
           -- A released job has no owner, and nobody crashes by asking again for what is already theirs.
(state = 'running' AND locked_by IS NOT NULL AND locked_by <> %(actor)s) AS crashed,
           -- What becomes of a job that has no owner any more: a requested cancel wins, and an owner that
-- vanished once too often ends it.
CASE
    WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
    WHEN -- A released job has no owner, and nobody crashes by asking again for what is already theirs.
(state = 'running' AND locked_by IS NOT NULL AND locked_by <> %(actor)s) AND crash_count + 1 > %(max_crashes)s THEN 'failed'
    ELSE 'running'
END AS next_state
    FROM backtest_jobs
    WHERE state = 'running' AND lease_expires_at <= now() AND -- What becomes of a job that has no owner any more: a requested cancel wins, and an owner that
-- vanished once too often ends it.
CASE
    WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
    WHEN -- A released job has no owner, and nobody crashes by asking again for what is already theirs.
(state = 'running' AND locked_by IS NOT NULL AND locked_by <> %(actor)s) AND crash_count + 1 > %(max_crashes)s THEN 'failed'
    ELSE 'running'
END <> 'running'
    ORDER BY job_id
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
), ended AS (
    -- Ends the jobs of `judged` whose next state is an end.
UPDATE backtest_jobs AS job
SET state = judged.next_state,
    crash_count = job.crash_count + judged.crashed::int,
    last_error = CASE judged.next_state WHEN 'failed' THEN error.message END,
    last_error_json = CASE judged.next_state WHEN 'failed' THEN jsonb_build_object(
        'code', 'worker_crashed_repeatedly',
        'message', error.message,
        'details', jsonb_build_object(
            'last_owner', judged.locked_by,
            'last_heartbeat', judged.heartbeat_at,
            'stage', judged.stage
        )
    ) END,
    finished_at = now(),
lease_expires_at = NULL,
next_dispatch_at = NULL,
updated_at = now()
FROM judged
CROSS JOIN LATERAL (
    SELECT format('The job was given up after its worker crashed %%s times.',
                  judged.crash_count + 1) AS message
) AS error
WHERE job.job_id = judged.job_id AND judged.next_state <> 'running'
RETURNING job.*
), logged AS (
    -- The event of a job that ended, from its row.
INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
SELECT job_id, state, attempt, %(actor)s,
       CASE state
           WHEN 'failed' THEN last_error_json - 'details' || (last_error_json -> 'details')
           ELSE '{}'
       END
    FROM ended
)
SELECT state FROM ended;

-- name: gauges
SELECT count(*) FILTER (WHERE state = 'queued') AS queued,
       count(*) FILTER (WHERE state = 'running') AS running,
       coalesce(
           extract(epoch FROM now() - min(created_at) FILTER (WHERE state = 'queued')), 0
       )::double precision AS oldest_queued_age_seconds,
       count(*) FILTER (WHERE state = 'running' AND lease_expires_at <= now()) AS expired_leases,
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
       ) AS finalizing_overdue
FROM backtest_jobs AS job
WHERE state IN ('queued', 'running');
