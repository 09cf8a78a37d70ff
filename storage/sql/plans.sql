-- What the owner of a job does with the plans of its stages: their coordinator. Every write locks the
-- job's row first, and says whether that is still its own.

-- name: plan
-- Sent again after its answer was lost, it changes nothing. A new plan is a reason to dispatch at once:
-- idle workers are called to its help.
WITH owned AS (
    @owned
), planned AS (
    INSERT INTO backtest_job_plans (
        job_id, stage, plan_id, engine_identity, candles_hash, shards
    )
    SELECT job_id, %(stage)s, %(plan_id)s, %(engine_identity)s, %(candles_hash)s,
           jsonb_array_length(%(shards)s::jsonb)
    FROM owned
    ON CONFLICT (job_id, stage) DO NOTHING
    RETURNING job_id, stage, plan_id
), pieces AS (
    INSERT INTO backtest_job_shards (job_id, stage, shard, plan_id, part, total_units)
    SELECT job_id, stage, number - 1, plan_id, listed -> 'part', (listed ->> 'units')::bigint
    FROM planned,
         jsonb_array_elements(%(shards)s::jsonb) WITH ORDINALITY AS piece (listed, number)
)
SELECT cancel_requested, (SELECT pg_notify('backtest_jobs', job_id::text)::text FROM planned)
FROM owned;

-- name: planned
SELECT job_id, stage, plan_id, engine_identity, candles_hash, shards, created_at
FROM backtest_job_plans
WHERE job_id = %(job_id)s AND stage = %(stage)s;

-- name: adopt
-- A plan made by another engine, or from other candles, is of no use in any stage.
WITH owned AS (
    @owned
), useless AS (
    DELETE FROM backtest_job_plans AS plan
    USING owned
    WHERE plan.job_id = owned.job_id
      AND (engine_identity, candles_hash) <> (%(engine_identity)s, %(candles_hash)s)
)
SELECT owned.cancel_requested,
       plan.job_id, stage, plan_id, engine_identity, candles_hash, shards, created_at
FROM owned
LEFT JOIN backtest_job_plans AS plan
    ON plan.job_id = owned.job_id
   AND stage = %(stage)s
   AND (engine_identity, candles_hash) = (%(engine_identity)s, %(candles_hash)s);

-- name: claim
-- As a helper's claim, without the bound of crashes, and what failed elsewhere is tried here.
WITH owned AS (
    @owned
), next AS (
    SELECT piece.shard, @crashed AS crashed
    FROM owned
    JOIN backtest_job_shards AS piece USING (job_id)
    WHERE stage = %(stage)s AND plan_id = %(plan_id)s
      AND (state IN ('open', 'failed') OR (@expired) OR @mine)
    ORDER BY piece.shard
    LIMIT 1
    FOR UPDATE OF piece SKIP LOCKED
), claimed AS (
    UPDATE backtest_job_shards AS piece
    SET @shard_taken
    FROM next
    WHERE @of_plan AND piece.shard = next.shard
    RETURNING piece.shard, attempt, part, total_units, crash_count
)
SELECT cancel_requested, claimed.*
FROM owned
LEFT JOIN claimed ON true;

-- name: progress
UPDATE backtest_jobs
SET stage = %(stage)s,
    processed_units = %(before)s::bigint + found.processed,
    total_units = %(before)s::bigint + found.total,
    progress_updated_at = now(),
    @renewed
FROM (
    SELECT coalesce(sum(piece.processed_units), 0) AS processed,
           coalesce(sum(piece.total_units), 0) AS total
    FROM backtest_job_shards AS piece
    WHERE @of_plan
) AS found
WHERE @guard
RETURNING cancel_requested_at IS NOT NULL;

-- name: tally
SELECT count(*) FILTER (WHERE state = 'open') AS open,
       count(*) FILTER (WHERE state = 'running') AS running,
       count(*) FILTER (WHERE state = 'done') AS done,
       count(*) FILTER (WHERE state = 'failed') AS failed,
       count(*) FILTER (WHERE @expired) AS expired,
       coalesce(sum(processed_units), 0)::bigint AS processed_units,
       coalesce(sum(total_units), 0)::bigint AS total_units
FROM backtest_job_shards
WHERE @of_plan;

-- name: next_result
SELECT shard, result
FROM backtest_job_shards
WHERE @of_plan AND state = 'done' AND shard > %(after)s
ORDER BY shard
LIMIT 1;

-- name: discard
WITH owned AS (
    @owned
), discarded AS (
    DELETE FROM backtest_job_plans AS plan
    USING owned
    WHERE plan.job_id = owned.job_id AND plan.stage = ANY(%(stages)s)
)
SELECT cancel_requested FROM owned;
