-- A user's jobs in lists, newest first. A filter that is null is none; as every statement is planned
-- with its values, each combination of filters is read from an index of its own.

-- name: page
SELECT @line
FROM (
    SELECT *
    FROM backtest_jobs
    WHERE @listed
    ORDER BY created_at DESC, job_id DESC
    LIMIT %(limit)s
) AS job
@line_sources
ORDER BY job.created_at DESC, job.job_id DESC;

-- name: page_among
-- The candidates first: their number has a bound, that of the jobs has none.
WITH candidate AS MATERIALIZED (
    SELECT job_id, created_at
    FROM backtest_jobs
    WHERE job_id = ANY(%(candidates)s) AND @listed
    ORDER BY created_at DESC, job_id DESC
    LIMIT %(limit)s
)
SELECT @line
FROM candidate
JOIN backtest_jobs AS job USING (job_id)
@line_sources
ORDER BY job.created_at DESC, job.job_id DESC;

-- name: named
-- Ordered as the index of names is.
SELECT job_id
FROM backtest_jobs
WHERE user_id = %(user_id)s AND name_folded IS NOT NULL AND name_folded LIKE %(pattern)s
ORDER BY name_folded USING ~<~
LIMIT %(limit)s;

-- name: with_ids
SELECT job_id
FROM backtest_jobs
WHERE user_id = %(user_id)s AND job_id BETWEEN %(first)s AND %(last)s
ORDER BY job_id
LIMIT %(limit)s;

-- name: examine
-- Which of the next jobs of the list match; and, where more may follow, the last that was examined.
WITH examined AS MATERIALIZED (
    SELECT job_id, created_at,
           name_folded LIKE %(pattern)s OR job_id BETWEEN %(first)s AND %(last)s AS matches
    FROM backtest_jobs
    WHERE @listed
    ORDER BY created_at DESC, job_id DESC
    LIMIT %(examined)s
)
(
    SELECT job_id, created_at, true AS matches
    FROM examined
    WHERE matches
    ORDER BY created_at DESC, job_id DESC
    LIMIT %(limit)s
)
UNION ALL
(
    SELECT job_id, created_at, false
    FROM examined
    ORDER BY created_at DESC, job_id DESC
    OFFSET %(examined)s - 1
);

-- name: lines
SELECT @line
FROM backtest_jobs AS job
@line_sources
WHERE job.user_id = %(user_id)s AND job.job_id = ANY(%(job_ids)s)
ORDER BY job.created_at DESC, job.job_id DESC;

-- name: counts_of_active
SELECT state, count(*)
FROM backtest_jobs
WHERE user_id = %(user_id)s AND state IN ('queued', 'running')
GROUP BY state;

-- name: count_of_ended
-- No further than anybody wants to know, in the order of the index that is meant.
SELECT count(*)
FROM (
    SELECT
    FROM backtest_jobs
    WHERE user_id = %(user_id)s AND state = %(state)s
    ORDER BY created_at DESC, job_id DESC
    LIMIT %(limit)s
) AS counted;
