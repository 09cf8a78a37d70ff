-- What operators look at. What these read grows with the jobs that are queued or running, never with
-- those that have ended.

-- name: queue
-- Of each state how many jobs have an age up to each of the bounds, and beyond the last.
SELECT state,
       width_bucket(extract(epoch FROM now() - created_at)::float8, %(bounds)s::float8[]) AS age,
       count(*) AS number,
       min(created_at) AS oldest
FROM backtest_jobs
WHERE state IN ('queued', 'running')
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: ended
SELECT state, count(*)
FROM (
    SELECT state
    FROM backtest_jobs
    WHERE finished_at IS NOT NULL AND finished_at > now() - make_interval(secs => %(within)s)
    ORDER BY finished_at DESC
    LIMIT %(limit)s
) AS job
GROUP BY state;

-- name: leases
SELECT job.job_id, job.user_id, job.locked_by, job.attempt, job.crash_count, job.stage,
       job.processed_units, job.total_units, job.locked_at, stage.started_at AS stage_started_at,
       job.progress_updated_at, job.heartbeat_at,
       job.lease_expires_at, job.cancel_requested_at,
       job.lease_expires_at <= now() AS expired
FROM backtest_jobs AS job
@stage_source
WHERE job.state = 'running'
ORDER BY job.lease_expires_at, job.job_id
LIMIT %(limit)s;

-- name: running_stuck
-- A healthy owner renews its lease three times before half of it is over.
WITH judged AS (
    SELECT job.*, stage.started_at AS stage_started_at,
           CASE
               WHEN lease_expires_at <= now()
                   THEN CASE
                       WHEN lease_expires_at > now() - make_interval(secs => %(expired)s) THEN NULL
                       WHEN @paused THEN 'paused'
                       ELSE 'expired_lease'
                   END
               WHEN locked_by IS NOT NULL
                    AND now() - heartbeat_at > (lease_expires_at - heartbeat_at) / 2
                   THEN 'silent_owner'
               WHEN cancel_requested_at <= now() - make_interval(secs => %(cancel)s)
                   THEN 'cancel_not_heard'
               WHEN stage = 'finalizing'
                   THEN CASE WHEN stage.started_at <= now() - make_interval(secs => %(finalizing)s)
                             THEN 'finalizing_long' END
               WHEN coalesce(progress_updated_at, locked_at)
                    <= now() - make_interval(secs => %(progress)s)
                   THEN 'no_progress'
           END AS problem
    FROM backtest_jobs AS job
    @stage_source
    WHERE job.state = 'running'
)
SELECT job_id, user_id, state, problem,
       CASE problem
           WHEN 'silent_owner' THEN heartbeat_at
           WHEN 'cancel_not_heard' THEN cancel_requested_at
           WHEN 'finalizing_long' THEN stage_started_at
           WHEN 'no_progress' THEN coalesce(progress_updated_at, locked_at)
           ELSE lease_expires_at
       END AS since,
       locked_by, stage, attempt, now() AS at, count(*) OVER () AS found
FROM judged
WHERE problem IS NOT NULL
ORDER BY since, job_id
LIMIT %(limit)s;

-- name: queued_stuck
-- Why the first of them does not start: what holds up all is asked before what is the job's own. A
-- wake-up that was sent and is not due again says that a scheduler is at work.
WITH signs AS (
    SELECT @paused AS paused,
           (SELECT true
            FROM backtest_jobs
            WHERE state = 'queued' AND dispatch_count > 0 AND next_dispatch_at > now()
            ORDER BY priority DESC, created_at, job_id
            LIMIT 1) AS dispatched,
           (SELECT true
            FROM backtest_jobs
            WHERE state = 'running' AND locked_by IS NOT NULL AND lease_expires_at > now()
            ORDER BY priority DESC, created_at, job_id
            LIMIT 1) AS owned
)
SELECT job_id, user_id, state,
       CASE
           WHEN signs.paused THEN 'paused'
           WHEN NOT (@known_version) THEN 'newer_version'
           WHEN signs.dispatched IS NULL THEN 'not_dispatched'
           WHEN signs.owned IS NULL THEN 'no_worker'
           ELSE 'workers_busy'
       END AS problem,
       created_at AS since, locked_by, stage, attempt, now() AS at, count(*) OVER () AS found
FROM backtest_jobs, signs
WHERE state = 'queued'
  AND created_at <= now() - make_interval(secs => %(queued)s)
ORDER BY created_at, job_id
LIMIT %(limit)s;

-- name: events
SELECT event_id, job_id, at, event, attempt, actor, details
FROM backtest_job_events
ORDER BY event_id DESC
LIMIT %(limit)s;
