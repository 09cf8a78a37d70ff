-- What users do with jobs. Every statement that changes a job appends its event itself.

-- name: lock_user
SELECT pg_advisory_xact_lock(hashtext('backtest_jobs.submit'), hashtext(%(user_id)s::text));

-- name: get_by_idempotency_key
SELECT @job_row
FROM backtest_jobs
WHERE user_id = %(user_id)s AND idempotency_key = %(idempotency_key)s;

-- name: give_key_up
-- The rest of the row stays as it ended.
UPDATE backtest_jobs
SET idempotency_key = NULL
WHERE job_id = %(job_id)s;

-- name: count_active
SELECT count(*) AS active
FROM backtest_jobs
WHERE user_id = %(user_id)s AND state IN ('queued', 'running');

-- name: insert_job
-- A new job is due for its first wake-up at once (the default of next_dispatch_at).
WITH inserted AS (
    INSERT INTO backtest_jobs (
        user_id, name, name_folded, note, mode, priority, idempotency_key, submission_hash,
        request_json, request_hash, engine_params_hash, backtest_runtime_config_hash,
        spec_hash, spec_payload_json, coverage_json, traceparent
    )
    VALUES (
        %(user_id)s, %(name)s, %(name_folded)s, %(note)s, %(mode)s, %(priority)s,
        %(idempotency_key)s, %(submission_hash)s, %(request_json)s, %(request_hash)s,
        %(engine_params_hash)s, %(backtest_runtime_config_hash)s, %(spec_hash)s,
        %(spec_payload_json)s, %(coverage_json)s, %(traceparent)s
    )
    RETURNING *
), logged AS (
    INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
    SELECT job_id, 'queued', attempt, @by_user FROM inserted
)
SELECT inserted.*, pg_notify('backtest_jobs', job_id::text) AS notified
FROM inserted;

-- name: get_job
SELECT @job_row
FROM backtest_jobs
WHERE job_id = %(job_id)s;

-- name: head
SELECT user_id, state
FROM backtest_jobs
WHERE job_id = %(job_id)s;

-- name: find_jobs
-- An id is a number to Postgres, so the ids that begin alike are a range of the primary key. In its
-- order, few rows are read whatever the number of jobs.
SELECT @job_row
FROM backtest_jobs
WHERE user_id = %(user_id)s AND job_id BETWEEN %(first)s AND %(last)s
ORDER BY job_id
LIMIT %(limit)s;

-- name: jobs_of_user
SELECT @job_row
FROM backtest_jobs
WHERE user_id = %(user_id)s AND job_id = ANY(%(job_ids)s)
ORDER BY job_id;

-- name: alike
SELECT job_id
FROM backtest_jobs
WHERE user_id = %(user_id)s AND request_hash = %(request_hash)s AND state = 'succeeded'
ORDER BY created_at DESC
LIMIT 1;

-- name: describe
-- What is not given stays as it is.
UPDATE backtest_jobs
SET name = CASE WHEN %(renames)s THEN %(name)s ELSE name END,
    name_folded = CASE WHEN %(renames)s THEN %(name_folded)s ELSE name_folded END,
    note = CASE WHEN %(notes)s THEN %(note)s ELSE note END,
    updated_at = now()
WHERE user_id = %(user_id)s AND job_id = %(job_id)s
RETURNING @job_row;

-- name: cancel_jobs
-- The jobs of a user, or whosever they are. The first request counts; a terminal job and a repeated
-- request match no row of `asked`. Rows are locked by id: two who cancel the same jobs take turns.
WITH asked AS (
    SELECT job_id
    FROM backtest_jobs
    WHERE job_id = ANY(%(job_ids)s)
      AND (%(user_id)s::uuid IS NULL OR user_id = %(user_id)s)
      AND state IN ('queued', 'running')
      AND cancel_requested_at IS NULL
    ORDER BY job_id
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
INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
SELECT job_id, CASE state WHEN 'cancelled' THEN 'cancelled' ELSE 'cancel_requested' END,
       attempt, @by_user
FROM changed;

-- name: events_of_job
SELECT event_id, job_id, at, event, attempt, actor, details
FROM backtest_job_events
WHERE job_id = %(job_id)s AND event_id > %(after)s
ORDER BY event_id;

-- name: of_instrument
-- All users' jobs of an instrument, those alike together. Users are found one after the other, for
-- the index of symbols begins with them.
WITH RECURSIVE users AS (
    (SELECT user_id FROM backtest_jobs ORDER BY user_id LIMIT 1)
    UNION ALL
    SELECT following.user_id
    FROM users
    JOIN LATERAL (
        SELECT user_id
        FROM backtest_jobs
        WHERE user_id > users.user_id
        ORDER BY user_id
        LIMIT 1
    ) AS following ON true
)
SELECT
    job.state,
    job.request_json #>> '{time_range,start}' AS start,
    job.request_json #>> '{time_range,end}' AS "end",
    job.request_json #>> '{template,timeframe}' AS timeframe,
    job.request_json ->> 'warmup_bars' AS warmup_bars,
    count(*) AS number,
    min(job.job_id::text) AS example
FROM users
JOIN LATERAL (
    SELECT job_id, state, request_json
    FROM backtest_jobs
    WHERE user_id = users.user_id
      AND @symbol = %(symbol)s
      AND request_json #>> '{template,instrument_id,market_id}' = %(market_id)s
) AS job ON true
GROUP BY 1, 2, 3, 4, 5;

-- name: finished_before
-- What the deletion would find.
SELECT state, count(*) AS number, min(finished_at) AS first, max(finished_at) AS last
FROM backtest_jobs
WHERE finished_at IS NOT NULL
  AND finished_at < now() - %(days)s * interval '1 day'
GROUP BY state
ORDER BY state;

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
