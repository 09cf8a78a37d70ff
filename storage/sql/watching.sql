-- What changes about the jobs that somebody looks at.

-- name: watched
SELECT job.job_id, job.user_id, job.state, job.stage, job.processed_units, job.total_units,
       job.progress_updated_at, stage.started_at AS stage_started_at, job.attempt,
       job.cancel_requested_at, best.updated_at AS snapshot_at, sharing.found AS sharing
FROM backtest_jobs AS job
@stage_source
@best_source
@sharing_source
WHERE job.job_id = ANY(%(job_ids)s);

-- name: events
-- What of each job came after the last event that was seen of it.
SELECT event.event_id, event.job_id, event.at, event.event, event.attempt, event.actor,
       event.details
FROM unnest(%(job_ids)s::uuid[], %(seen)s::bigint[]) AS seen (job_id, event_id)
CROSS JOIN LATERAL (
    SELECT *
    FROM backtest_job_events AS later
    WHERE later.job_id = seen.job_id AND later.event_id > seen.event_id
    ORDER BY later.event_id
) AS event
ORDER BY event.event_id;

-- name: lines
SELECT @line
FROM (
    SELECT *
    FROM backtest_jobs
    WHERE user_id = ANY(%(user_ids)s) AND state IN ('queued', 'running')
    UNION ALL
    SELECT *
    FROM backtest_jobs
    WHERE user_id = ANY(%(user_ids)s)
      AND finished_at IS NOT NULL
      AND finished_at > now() - make_interval(secs => %(finished_within)s)
    UNION ALL
    -- Looked up by id, for `updated_at` may have no index: every heartbeat changes it.
    SELECT *
    FROM backtest_jobs
    WHERE job_id = ANY(%(listed)s)
      AND user_id = ANY(%(user_ids)s)
      AND finished_at <= now() - make_interval(secs => %(finished_within)s)
      AND updated_at > now() - make_interval(secs => %(finished_within)s)
) AS job
@line_sources
ORDER BY job.created_at DESC, job.job_id DESC;
