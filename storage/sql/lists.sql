-- A user's jobs in lists, newest first. A filter that is null is none; as every statement is planned
-- with its values, each combination of filters is read from an index of its own.

-- name: page
-- Where the jobs are and which version of its row each is: another transaction that changes a row
-- leaves another one, whatever it changes.
SELECT created_at, job_id, xmin::text AS version
FROM backtest_jobs
WHERE @listed
ORDER BY created_at DESC, job_id DESC
LIMIT %(limit)s;

-- name: matches
-- How many match, counted up to a limit.
SELECT (SELECT count(*) FROM (@named) AS named), (SELECT count(*) FROM (@with_ids) AS with_ids);

-- name: page_of_matches
-- All of them first, for their number has a bound: whether they are found at once or at the end of
-- the list makes no difference.
WITH matching AS MATERIALIZED (
    SELECT job_id FROM (@named) AS named
    UNION
    SELECT job_id FROM (@with_ids) AS with_ids
), match AS MATERIALIZED (
    SELECT job_id, created_at
    FROM matching
    JOIN backtest_jobs USING (job_id)
    WHERE @listed
)
SELECT @line
FROM (SELECT * FROM match ORDER BY created_at DESC, job_id DESC LIMIT %(limit)s) AS shown
JOIN LATERAL (SELECT * FROM backtest_jobs WHERE job_id = shown.job_id LIMIT 1) AS job ON true
@line_sources
ORDER BY job.created_at DESC, job.job_id DESC;

-- name: examine
-- Which of the next jobs of the list match, no further than until the page is full; where it is not,
-- and more may follow, also the last job that was examined.
WITH examined AS MATERIALIZED (
    SELECT job_id, created_at,
           name_folded LIKE %(pattern)s OR job_id BETWEEN %(first)s AND %(last)s AS matches
    FROM backtest_jobs
    WHERE @listed
    ORDER BY created_at DESC, job_id DESC
    LIMIT %(examined)s
), matching AS MATERIALIZED (
    SELECT job_id, created_at
    FROM examined
    WHERE matches
    ORDER BY created_at DESC, job_id DESC
    LIMIT %(limit)s
)
SELECT job_id, created_at, true AS matches
FROM matching
UNION ALL
(
    SELECT job_id, created_at, false
    FROM examined
    WHERE (SELECT count(*) FROM matching) < %(limit)s
    ORDER BY created_at DESC, job_id DESC
    OFFSET %(examined)s - 1
);

-- name: lines
SELECT @line
FROM backtest_jobs AS job
@line_sources
WHERE job.user_id = %(user_id)s AND job.job_id = ANY(%(job_ids)s)
ORDER BY job.created_at DESC, job.job_id DESC;

-- name: counts
-- Each state no further than anybody wants to know (null: all of them), in the order of the index
-- that is meant.
SELECT wanted.state, (
    SELECT count(*)
    FROM (
        SELECT
        FROM backtest_jobs
        WHERE user_id = %(user_id)s AND state = wanted.state
        ORDER BY created_at DESC, job_id DESC
        LIMIT wanted.most
    ) AS counted
)
FROM unnest(%(states)s::text[], %(most)s::bigint[]) AS wanted (state, most);
