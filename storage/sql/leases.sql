-- What workers do with a job. After the claim every statement carries the same guard, and every
-- one but the last renews the lease.

-- name: claim_queued
-- Nearly every claim is of a job that nobody has had. Of such a job there is nothing to judge, and
-- a statement that can do no more is planned in a third of the time.
WITH waiting AS (
    SELECT job_id
    FROM backtest_jobs
    WHERE job_id = %(job_id)s AND state = 'queued' AND @claimable
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE backtest_jobs AS job
    SET @taken
    FROM waiting
    WHERE job.job_id = waiting.job_id
    RETURNING job.*
), logged AS (
    INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
    SELECT job_id, 'claimed', attempt, %(actor)s, '{}'
    FROM claimed
)
SELECT @job_row FROM claimed;

-- name: claim
-- One statement takes the job, or ends it where its time is over.
WITH judged AS (
    SELECT job_id, locked_by, heartbeat_at, stage, crash_count,
           @crashed AS crashed,
           @next_state AS next_state
    FROM backtest_jobs
    WHERE job_id = %(job_id)s AND @claimable
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE backtest_jobs AS job
    SET @taken,
        crash_count = job.crash_count + judged.crashed::int
    FROM judged
    WHERE job.job_id = judged.job_id AND judged.next_state = 'running'
    RETURNING job.*
), ended AS (
    @give_up
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
    @ended_event
    FROM ended
)
SELECT result.*, previous.owner AS previous_owner, previous.crashed,
       CASE result.state WHEN 'running' THEN NULL ELSE @room END
FROM (SELECT @job_row FROM claimed UNION ALL SELECT @job_row FROM ended) AS result, previous;

-- name: claimable
-- Where it is not, the worker drops its message. Nothing is written then, and the scheduler is told.
SELECT claimable, CASE WHEN NOT claimable THEN @room END
FROM (
    SELECT %(job_id)s::uuid AS job_id,
           EXISTS (SELECT FROM backtest_jobs WHERE job_id = %(job_id)s AND @claimable) AS claimable
) AS looked_at;

-- name: recognise
-- By the owner's name alone, which is new for every claim: the attempt is what the answer that got
-- lost would have said.
UPDATE backtest_jobs
SET @renewed
WHERE job_id = %(job_id)s AND locked_by = %(actor)s AND @alive
RETURNING @job_row;

-- name: renew
UPDATE backtest_jobs
SET @renewed
WHERE @guard
RETURNING cancel_requested_at IS NOT NULL;

-- name: progress
UPDATE backtest_jobs
SET stage = %(stage)s,
    processed_units = %(processed)s,
    total_units = %(total)s,
    progress_updated_at = now(),
    @renewed
WHERE @guard
RETURNING cancel_requested_at IS NOT NULL;

-- name: start_stage
WITH changed AS (
    UPDATE backtest_jobs
    SET stage = %(stage)s,
        processed_units = 0,
        total_units = %(total)s,
        progress_updated_at = now(),
        @renewed
    WHERE @guard
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
    SET @renewed
    WHERE @guard
    RETURNING job_id, attempt, locked_by
)
INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
SELECT job_id, 'resumed_from_shortlist', attempt, locked_by,
       jsonb_build_object('written_by_attempt', %(written_by_attempt)s::int)
FROM owned;

-- name: end
-- The one way in which an owner ends its job. What an UPDATE writes it works out from the row under
-- its lock: a cancel that came first wins.
WITH ended AS (
    UPDATE backtest_jobs
    SET state = @end_state,
        processed_units = CASE @end_state WHEN 'succeeded' THEN total_units
                               ELSE processed_units END,
        last_error = CASE @end_state WHEN 'failed' THEN %(message)s END,
        last_error_json = CASE @end_state WHEN 'failed' THEN jsonb_build_object(
            'code', %(code)s::text,
            'message', %(message)s::text,
            'details', %(details)s::jsonb
        ) END,
        @over
    WHERE @guard
    RETURNING job_id, state, attempt, last_error_json
), logged AS (
    @ended_event
    FROM ended
)
SELECT state, @room FROM ended;

-- name: release
-- Without an owner and with a lease that ends now the job is due for a wake-up at once.
WITH changed AS (
    UPDATE backtest_jobs
    SET locked_by = NULL,
        lease_expires_at = now(),
        updated_at = now()
    WHERE @guard
    RETURNING job_id, attempt, stage
), logged AS (
    INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
    SELECT job_id, 'lease_released', attempt, %(locked_by)s, jsonb_build_object('stage', stage)
    FROM changed
)
SELECT @room FROM changed;

-- name: own_end
SELECT state
FROM backtest_jobs
WHERE job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
  AND state IN ('succeeded', 'failed', 'cancelled');
