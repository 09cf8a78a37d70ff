-- What operators turn on and off.

-- name: paused
SELECT changed_at, changed_by, reason
FROM backtest_switches
WHERE name = 'pause' AND is_on;

-- name: pause
-- Who paused first is kept, with the reason.
INSERT INTO backtest_switches AS switch (name, is_on, reason, changed_by)
VALUES ('pause', true, %(reason)s, %(by)s)
ON CONFLICT (name) DO UPDATE
SET is_on = true,
    reason = excluded.reason,
    changed_by = excluded.changed_by,
    changed_at = now()
WHERE NOT switch.is_on;

-- name: resume
UPDATE backtest_switches
SET is_on = false,
    reason = NULL,
    changed_by = %(by)s,
    changed_at = now()
WHERE name = 'pause' AND is_on;

-- name: wake_all
-- Wake-ups that were sent before the pause and arrived in it were dropped: nobody waits for them to be
-- repeated. One that still waits in the broker is found there, as always.
WITH dropped AS (
    SELECT job_id
    FROM backtest_jobs
    WHERE state IN ('queued', 'running') AND next_dispatch_at > now()
    FOR UPDATE SKIP LOCKED
), due AS (
    UPDATE backtest_jobs AS job
    SET next_dispatch_at = now(),
        updated_at = now()
    FROM dropped
    WHERE job.job_id = dropped.job_id
)
SELECT pg_notify('backtest_jobs', '');
