-- What the scheduler asks of the queue.

-- name: mark_due
-- Rows that another scheduler, a claim or a write holds are left for the next round.
WITH due AS (
    SELECT job_id
    FROM backtest_jobs
    WHERE state IN ('queued', 'running')
      AND (
          (state = 'queued' AND next_dispatch_at <= now())
          OR (state = 'running' AND lease_expires_at <= now()
              AND (next_dispatch_at IS NULL OR next_dispatch_at <= now()))
      )
    ORDER BY priority DESC, created_at, job_id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE backtest_jobs AS job
    SET next_dispatch_at = now() + make_interval(
            secs => least(60, %(redispatch_seconds)s * power(2, least(dispatch_count, 16)))
        ),
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
-- The same verdicts as the claim's, for jobs that no message may ever reach.
WITH hopeless AS (
    SELECT job_id,
           locked_by,
           heartbeat_at,
           stage,
           locked_by IS NOT NULL AS crashed,
           CASE WHEN cancel_requested_at IS NULL THEN 'failed' ELSE 'cancelled' END AS next_state
    FROM backtest_jobs
    WHERE state = 'running'
      AND lease_expires_at <= now()
      AND (cancel_requested_at IS NOT NULL
           OR (locked_by IS NOT NULL AND crash_count + 1 > %(max_crashes)s))
    ORDER BY job_id
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
), ended AS (
    UPDATE backtest_jobs AS job
    SET state = hopeless.next_state,
        crash_count = crash_count + hopeless.crashed::int,
        finished_at = now(),
        lease_expires_at = NULL,
        next_dispatch_at = NULL,
        last_error = CASE hopeless.next_state WHEN 'failed' THEN
            format('The job was given up after its worker crashed %%s times.', crash_count + 1) END,
        last_error_json = CASE hopeless.next_state WHEN 'failed' THEN jsonb_build_object(
            'code', 'worker_crashed_repeatedly',
            'message',
            format('The job was given up after its worker crashed %%s times.', crash_count + 1),
            'details', jsonb_build_object(
                'last_owner', hopeless.locked_by,
                'last_heartbeat', hopeless.heartbeat_at,
                'stage', hopeless.stage
            )
        ) END,
        updated_at = now()
    FROM hopeless
    WHERE job.job_id = hopeless.job_id
    RETURNING job.job_id, job.state, job.attempt, job.last_error_json
), logged AS (
    INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
    SELECT job_id, state, attempt, 'scheduler',
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
       count(*) FILTER (WHERE state = 'running' AND lease_expires_at <= now()) AS expired_leases
FROM backtest_jobs
WHERE state IN ('queued', 'running');
