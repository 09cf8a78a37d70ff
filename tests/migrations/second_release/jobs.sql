-- name: lock_user
SELECT pg_advisory_xact_lock(hashtext('backtest_jobs.submit'), hashtext(%(user_id)s::text));

-- name: get_by_idempotency_key
SELECT *
FROM backtest_jobs
WHERE user_id = %(user_id)s AND idempotency_key = %(idempotency_key)s;

-- name: count_active
SELECT count(*) AS active
FROM backtest_jobs
WHERE user_id = %(user_id)s AND state IN ('queued', 'running');

-- name: insert_job
-- A new job is due for its first wake-up at once (the default of next_dispatch_at).
WITH inserted AS (
    INSERT INTO backtest_jobs (
        user_id, mode, priority, idempotency_key, request_json, request_hash,
        engine_params_hash, backtest_runtime_config_hash, spec_hash, spec_payload_json
    )
    VALUES (
        %(user_id)s, %(mode)s, %(priority)s, %(idempotency_key)s, %(request_json)s,
        %(request_hash)s, %(engine_params_hash)s, %(backtest_runtime_config_hash)s,
        %(spec_hash)s, %(spec_payload_json)s
    )
    RETURNING *
), logged AS (
    INSERT INTO backtest_job_events (job_id, event, attempt, actor)
    SELECT job_id, 'queued', attempt, 'api' FROM inserted
)
SELECT inserted.*, pg_notify('backtest_jobs', job_id::text) AS notified
FROM inserted;

-- name: get_job
SELECT *
FROM backtest_jobs
WHERE job_id = %(job_id)s;

-- name: list_jobs
SELECT *
FROM backtest_jobs
WHERE user_id = %(user_id)s
  AND (created_at, job_id) < (%(before_created_at)s::timestamptz, %(before_job_id)s)
ORDER BY created_at DESC, job_id DESC
LIMIT %(limit)s;

-- name: list_jobs_in_state
SELECT *
FROM backtest_jobs
WHERE user_id = %(user_id)s
  AND state = %(state)s
  AND (created_at, job_id) < (%(before_created_at)s::timestamptz, %(before_job_id)s)
ORDER BY created_at DESC, job_id DESC
LIMIT %(limit)s;

-- name: cancel_job
-- The first request counts; a terminal job and a repeated request match no row of `asked`.
WITH asked AS (
    SELECT job_id
    FROM backtest_jobs
    WHERE job_id = %(job_id)s
      AND state IN ('queued', 'running')
      AND cancel_requested_at IS NULL
    FOR UPDATE
), changed AS (
    UPDATE backtest_jobs AS job
    SET state = CASE job.state WHEN 'queued' THEN 'cancelled' ELSE job.state END,
        finished_at = CASE job.state WHEN 'queued' THEN now() END,
        next_dispatch_at = CASE job.state WHEN 'queued' THEN NULL ELSE next_dispatch_at END,
        cancel_requested_at = now(),
        updated_at = now()
    FROM asked
    WHERE job.job_id = asked.job_id
    RETURNING job.job_id, job.state, job.attempt
)
INSERT INTO backtest_job_events (job_id, event, attempt, actor)
SELECT job_id, CASE state WHEN 'cancelled' THEN 'cancelled' ELSE 'cancel_requested' END,
       attempt, %(actor)s
FROM changed;

-- name: events_of_job
SELECT event_id, job_id, at, event, attempt, actor, details
FROM backtest_job_events
WHERE job_id = %(job_id)s
ORDER BY event_id;

-- name: delete_finished
-- One connection at a time deletes; to the others there is nothing to do.
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtextextended('backtest_jobs.retention', 0)) AS mine
), old AS (
    SELECT job_id
    FROM backtest_jobs
    WHERE (SELECT mine FROM turn)
      AND finished_at IS NOT NULL
      AND finished_at < now() - %(days)s * interval '1 day'
    ORDER BY finished_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
)
DELETE FROM backtest_jobs AS job
USING old
WHERE job.job_id = old.job_id;
