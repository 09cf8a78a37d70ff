-- What workers do with a job. After the claim every statement carries the same guard:
-- the job, the owner, the attempt, still running, the lease not yet run out.

-- name: claim
-- One statement takes the job, or ends it where its time is over: a requested cancel wins, and
-- an owner that vanished once too often fails it. A released job has no owner that could crash.
WITH candidate AS (
    SELECT job_id,
           locked_by,
           heartbeat_at,
           stage,
           attempt,
           locked_by IS NOT NULL AND state = 'running' AS crashed,
           CASE
               WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
               WHEN state = 'running' AND locked_by IS NOT NULL
                    AND crash_count + 1 > %(max_crashes)s THEN 'failed'
               ELSE 'running'
           END AS next_state
    FROM backtest_jobs
    WHERE job_id = %(job_id)s
      AND (state = 'queued' OR (state = 'running' AND lease_expires_at <= now()))
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE backtest_jobs AS job
    SET state = 'running',
        locked_by = %(locked_by)s,
        locked_at = now(),
        heartbeat_at = now(),
        lease_expires_at = now() + make_interval(secs => %(lease_seconds)s),
        attempt = job.attempt + 1,
        crash_count = crash_count + candidate.crashed::int,
        engine_version = %(engine_version)s,
        stage = 'stage_a',
        processed_units = 0,
        total_units = 0,
        progress_updated_at = NULL,
        started_at = coalesce(started_at, now()),
        next_dispatch_at = NULL,
        dispatch_count = 0,
        updated_at = now()
    FROM candidate
    WHERE job.job_id = candidate.job_id AND candidate.next_state = 'running'
    RETURNING job.*
), ended AS (
    UPDATE backtest_jobs AS job
    SET state = candidate.next_state,
        crash_count = crash_count + candidate.crashed::int,
        finished_at = now(),
        lease_expires_at = NULL,
        next_dispatch_at = NULL,
        last_error = CASE candidate.next_state WHEN 'failed' THEN
            format('The job was given up after its worker crashed %%s times.', crash_count + 1) END,
        last_error_json = CASE candidate.next_state WHEN 'failed' THEN jsonb_build_object(
            'code', 'worker_crashed_repeatedly',
            'message',
            format('The job was given up after its worker crashed %%s times.', crash_count + 1),
            'details', jsonb_build_object(
                'last_owner', candidate.locked_by,
                'last_heartbeat', candidate.heartbeat_at,
                'stage', candidate.stage
            )
        ) END,
        updated_at = now()
    FROM candidate
    WHERE job.job_id = candidate.job_id AND candidate.next_state <> 'running'
    RETURNING job.*
), result AS (
    SELECT * FROM claimed
    UNION ALL
    SELECT * FROM ended
), previous AS (
    -- The owner of a released job is known from its event only.
    SELECT coalesce(candidate.locked_by, released.actor) AS owner,
           candidate.crashed,
           candidate.stage,
           candidate.heartbeat_at
    FROM candidate
    LEFT JOIN LATERAL (
        SELECT actor
        FROM backtest_job_events AS event
        WHERE event.job_id = candidate.job_id AND event.event = 'lease_released'
        ORDER BY event_id DESC
        LIMIT 1
    ) AS released ON true
), logged AS (
    INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
    SELECT result.job_id,
           CASE
               WHEN result.state <> 'running' THEN result.state
               WHEN result.attempt = 1 THEN 'claimed'
               ELSE 'reclaimed'
           END,
           result.attempt,
           %(locked_by)s,
           CASE
               WHEN result.state = 'failed'
                   THEN result.last_error_json - 'details' || (result.last_error_json -> 'details')
               WHEN result.state = 'running' AND result.attempt > 1
                   THEN jsonb_build_object(
                       'previous_owner', previous.owner,
                       'reason', CASE WHEN previous.crashed THEN 'crashed' ELSE 'released' END,
                       'stage', previous.stage,
                       'last_heartbeat', previous.heartbeat_at
                   )
               ELSE '{}'
           END
    FROM result, previous
)
SELECT result.*, previous.owner AS previous_owner, previous.crashed
FROM result, previous;

-- name: claimable
SELECT 1
FROM backtest_jobs
WHERE job_id = %(job_id)s
  AND (state = 'queued' OR (state = 'running' AND lease_expires_at <= now()));

-- name: heartbeat
UPDATE backtest_jobs
SET lease_expires_at = now() + make_interval(secs => %(lease_seconds)s),
    heartbeat_at = now(),
    updated_at = now()
WHERE job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
  AND state = 'running' AND lease_expires_at > now()
RETURNING cancel_requested_at IS NOT NULL;

-- name: progress
UPDATE backtest_jobs
SET stage = %(stage)s,
    processed_units = %(processed)s,
    total_units = %(total)s,
    progress_updated_at = now(),
    updated_at = now()
WHERE job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
  AND state = 'running' AND lease_expires_at > now()
RETURNING cancel_requested_at IS NOT NULL;

-- name: start_stage
WITH changed AS (
    UPDATE backtest_jobs
    SET stage = %(stage)s,
        processed_units = 0,
        total_units = %(total)s,
        progress_updated_at = now(),
        updated_at = now()
    WHERE job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
      AND state = 'running' AND lease_expires_at > now()
    RETURNING job_id, attempt, locked_by, stage, cancel_requested_at
), logged AS (
    INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
    SELECT job_id, 'stage_started', attempt, locked_by, jsonb_build_object('stage', stage)
    FROM changed
)
SELECT cancel_requested_at IS NOT NULL FROM changed;

-- name: resumed_from_shortlist
WITH owned AS (
    SELECT job_id, attempt, locked_by
    FROM backtest_jobs
    WHERE job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
      AND state = 'running' AND lease_expires_at > now()
    FOR UPDATE
)
INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
SELECT job_id, 'resumed_from_shortlist', attempt, locked_by,
       jsonb_build_object('written_by_attempt', %(written_by_attempt)s::int)
FROM owned;

-- name: fail
-- The CASEs read the row under its lock: a cancel that came first wins.
WITH changed AS (
    UPDATE backtest_jobs
    SET state = CASE WHEN cancel_requested_at IS NULL THEN 'failed' ELSE 'cancelled' END,
        finished_at = now(),
        lease_expires_at = NULL,
        next_dispatch_at = NULL,
        last_error = CASE WHEN cancel_requested_at IS NULL THEN %(message)s END,
        last_error_json = CASE WHEN cancel_requested_at IS NULL THEN jsonb_build_object(
            'code', %(code)s::text,
            'message', %(message)s::text,
            'details', %(details)s::jsonb
        ) END,
        updated_at = now()
    WHERE job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
      AND state = 'running' AND lease_expires_at > now()
    RETURNING job_id, state, attempt, locked_by, last_error_json
), logged AS (
    INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
    SELECT job_id, state, attempt, locked_by,
           CASE state WHEN 'failed' THEN last_error_json - 'details' ELSE '{}' END
    FROM changed
)
SELECT state FROM changed;

-- name: cancelled
WITH changed AS (
    UPDATE backtest_jobs
    SET state = 'cancelled',
        finished_at = now(),
        lease_expires_at = NULL,
        next_dispatch_at = NULL,
        updated_at = now()
    WHERE job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
      AND state = 'running' AND lease_expires_at > now()
    RETURNING job_id, state, attempt, locked_by
), logged AS (
    INSERT INTO backtest_job_events (job_id, event, attempt, actor)
    SELECT job_id, state, attempt, locked_by FROM changed
)
SELECT state FROM changed;

-- name: release
-- Without an owner and with a lease that ends now the job is due for a wake-up at once.
WITH changed AS (
    UPDATE backtest_jobs
    SET locked_by = NULL,
        lease_expires_at = now(),
        updated_at = now()
    WHERE job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
      AND state = 'running' AND lease_expires_at > now()
    RETURNING job_id, attempt, stage
), logged AS (
    INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
    SELECT job_id, 'lease_released', attempt, %(locked_by)s, jsonb_build_object('stage', stage)
    FROM changed
)
SELECT pg_notify('backtest_jobs', job_id::text) FROM changed;

-- name: own_end
SELECT state
FROM backtest_jobs
WHERE job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
  AND state IN ('succeeded', 'failed', 'cancelled');
