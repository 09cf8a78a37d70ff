-- name: claim
-- One statement takes the job, or ends it where its time is over.
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
    WHERE job_id = %(job_id)s AND -- A request of a newer version waits for a program that knows it; none says version 1.
(state = 'queued' OR (state = 'running' AND lease_expires_at <= now()))
AND CASE jsonb_typeof(request_json -> 'version')
        WHEN 'number' THEN (request_json -> 'version')::numeric ELSE 1
    END <= %(request_version)s
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE backtest_jobs AS job
    SET state = 'running',
        locked_by = %(actor)s,
        locked_at = now(),
        heartbeat_at = now(),
        lease_expires_at = now() + make_interval(secs => %(lease_seconds)s),
        attempt = job.attempt + 1,
        crash_count = job.crash_count + judged.crashed::int,
        engine_version = %(engine_version)s,
        stage = 'stage_a',
        processed_units = 0,
        total_units = 0,
        progress_updated_at = NULL,
        started_at = coalesce(started_at, now()),
        next_dispatch_at = NULL,
        dispatch_count = 0,
        updated_at = now()
    FROM judged
    WHERE job.job_id = judged.job_id AND judged.next_state = 'running'
    RETURNING job.*
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
), previous AS (
    -- The owner of a released job is known from its event only.
    SELECT coalesce(judged.locked_by, released.actor) AS owner,
           judged.crashed,
           judged.stage,
           judged.heartbeat_at
    FROM judged
    LEFT JOIN LATERAL (
        SELECT actor
        FROM backtest_job_events AS event
        WHERE event.job_id = judged.job_id AND event.event = 'lease_released'
        ORDER BY event_id DESC
        LIMIT 1
    ) AS released ON true
), claim_logged AS (
    INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
    SELECT claimed.job_id,
           CASE claimed.attempt WHEN 1 THEN 'claimed' ELSE 'reclaimed' END,
           claimed.attempt,
           %(actor)s,
           CASE claimed.attempt WHEN 1 THEN '{}' ELSE jsonb_build_object(
               'previous_owner', previous.owner,
               'reason', CASE WHEN previous.crashed THEN 'crashed' ELSE 'released' END,
               'stage', previous.stage,
               'last_heartbeat', previous.heartbeat_at
           ) END
    FROM claimed, previous
), end_logged AS (
    -- The event of a job that ended, from its row.
INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
SELECT job_id, state, attempt, %(actor)s,
       CASE state
           WHEN 'failed' THEN last_error_json - 'details' || (last_error_json -> 'details')
           ELSE '{}'
       END
    FROM ended
)
SELECT result.*, previous.owner AS previous_owner, previous.crashed
FROM (SELECT -- What a program reads of a job: all of it but the histograms of its outcomes, which are large.
job_id, user_id, name, note, mode, priority, idempotency_key, submission_hash,
state, created_at, updated_at, started_at, finished_at, cancel_requested_at,
request_json, request_hash, engine_params_hash, backtest_runtime_config_hash, engine_version,
spec_hash, spec_payload_json, stage, processed_units, total_units, progress_updated_at,
locked_by, locked_at, lease_expires_at, heartbeat_at, attempt, crash_count,
next_dispatch_at, dispatch_count, last_error, last_error_json, coverage_json,
outcomes_json #- '{total_return_pct,bins}' #- '{primary,bins}' AS outcomes_json FROM claimed UNION ALL SELECT -- What a program reads of a job: all of it but the histograms of its outcomes, which are large.
job_id, user_id, name, note, mode, priority, idempotency_key, submission_hash,
state, created_at, updated_at, started_at, finished_at, cancel_requested_at,
request_json, request_hash, engine_params_hash, backtest_runtime_config_hash, engine_version,
spec_hash, spec_payload_json, stage, processed_units, total_units, progress_updated_at,
locked_by, locked_at, lease_expires_at, heartbeat_at, attempt, crash_count,
next_dispatch_at, dispatch_count, last_error, last_error_json, coverage_json,
outcomes_json #- '{total_return_pct,bins}' #- '{primary,bins}' AS outcomes_json FROM ended) AS result, previous;

-- name: claimable
SELECT 1
FROM backtest_jobs
WHERE job_id = %(job_id)s AND -- A request of a newer version waits for a program that knows it; none says version 1.
(state = 'queued' OR (state = 'running' AND lease_expires_at <= now()))
AND CASE jsonb_typeof(request_json -> 'version')
        WHEN 'number' THEN (request_json -> 'version')::numeric ELSE 1
    END <= %(request_version)s;

-- name: recognise
-- By the owner's name alone, which is new for every claim: the attempt is what the answer that got
-- lost would have said.
UPDATE backtest_jobs
SET lease_expires_at = greatest(
    lease_expires_at, now() + make_interval(secs => %(lease_seconds)s)
),
heartbeat_at = now(),
updated_at = now()
WHERE job_id = %(job_id)s AND locked_by = %(actor)s
  AND state = 'running' AND lease_expires_at > now()
RETURNING -- What a program reads of a job: all of it but the histograms of its outcomes, which are large.
job_id, user_id, name, note, mode, priority, idempotency_key, submission_hash,
state, created_at, updated_at, started_at, finished_at, cancel_requested_at,
request_json, request_hash, engine_params_hash, backtest_runtime_config_hash, engine_version,
spec_hash, spec_payload_json, stage, processed_units, total_units, progress_updated_at,
locked_by, locked_at, lease_expires_at, heartbeat_at, attempt, crash_count,
next_dispatch_at, dispatch_count, last_error, last_error_json, coverage_json,
outcomes_json #- '{total_return_pct,bins}' #- '{primary,bins}' AS outcomes_json;

-- name: renew
UPDATE backtest_jobs
SET lease_expires_at = greatest(
    lease_expires_at, now() + make_interval(secs => %(lease_seconds)s)
),
heartbeat_at = now(),
updated_at = now()
WHERE -- The lease: the job, its owner, the fencing token, still running, not yet run out.
job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
AND state = 'running' AND lease_expires_at > now()
RETURNING cancel_requested_at IS NOT NULL;

-- name: progress
UPDATE backtest_jobs
SET stage = %(stage)s,
    processed_units = %(processed)s,
    total_units = %(total)s,
    progress_updated_at = now(),
    lease_expires_at = greatest(
    lease_expires_at, now() + make_interval(secs => %(lease_seconds)s)
),
heartbeat_at = now(),
updated_at = now()
WHERE -- The lease: the job, its owner, the fencing token, still running, not yet run out.
job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
AND state = 'running' AND lease_expires_at > now()
RETURNING cancel_requested_at IS NOT NULL;

-- name: start_stage
WITH changed AS (
    UPDATE backtest_jobs
    SET stage = %(stage)s,
        processed_units = 0,
        total_units = %(total)s,
        progress_updated_at = now(),
        lease_expires_at = greatest(
    lease_expires_at, now() + make_interval(secs => %(lease_seconds)s)
),
heartbeat_at = now(),
updated_at = now()
    WHERE -- The lease: the job, its owner, the fencing token, still running, not yet run out.
job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
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
    UPDATE backtest_jobs
    SET lease_expires_at = greatest(
    lease_expires_at, now() + make_interval(secs => %(lease_seconds)s)
),
heartbeat_at = now(),
updated_at = now()
    WHERE -- The lease: the job, its owner, the fencing token, still running, not yet run out.
job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
AND state = 'running' AND lease_expires_at > now()
    RETURNING job_id, attempt, locked_by
)
INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
SELECT job_id, 'resumed_from_shortlist', attempt, locked_by,
       jsonb_build_object('written_by_attempt', %(written_by_attempt)s::int)
FROM owned;

-- name: end
-- The one way in which an owner ends its job. The CASEs read the row under its lock: a cancel that
-- came first wins.
WITH decided AS (
    SELECT job_id,
           CASE WHEN cancel_requested_at IS NULL THEN %(state)s ELSE 'cancelled' END AS next_state
    FROM backtest_jobs
    WHERE -- The lease: the job, its owner, the fencing token, still running, not yet run out.
job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
AND state = 'running' AND lease_expires_at > now()
    FOR UPDATE
), ended AS (
    UPDATE backtest_jobs AS job
    SET state = decided.next_state,
        processed_units = CASE decided.next_state WHEN 'succeeded' THEN total_units
                               ELSE processed_units END,
        last_error = CASE decided.next_state WHEN 'failed' THEN %(message)s END,
        last_error_json = CASE decided.next_state WHEN 'failed' THEN jsonb_build_object(
            'code', %(code)s::text,
            'message', %(message)s::text,
            'details', %(details)s::jsonb
        ) END,
        finished_at = now(),
lease_expires_at = NULL,
next_dispatch_at = NULL,
updated_at = now()
    FROM decided
    WHERE job.job_id = decided.job_id
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

-- name: release
-- Without an owner and with a lease that ends now the job is due for a wake-up at once.
WITH changed AS (
    UPDATE backtest_jobs
    SET locked_by = NULL,
        lease_expires_at = now(),
        updated_at = now()
    WHERE -- The lease: the job, its owner, the fencing token, still running, not yet run out.
job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
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
