-- What workers do with a shard that they hold. None of it locks the row of the job. What is claimed is
-- computed to its end also while the job has no owner: whoever comes next adopts the plan.

-- name: offer
-- Of several plans with something to do, the one that was made first. Where the job has changed over
-- to an owner of another engine, its plan is none any more.
SELECT job_id, stage, plan_id, engine_identity, candles_hash, shards, created_at
FROM backtest_job_plans AS plan
WHERE plan.job_id = %(job_id)s
  AND engine_identity = %(engine_identity)s
  AND @coordinated_alike
  AND EXISTS (
      SELECT
      FROM backtest_job_shards AS piece
      WHERE piece.job_id = plan.job_id AND piece.stage = plan.stage AND @free
  )
ORDER BY created_at, stage
LIMIT 1;

-- name: claim
WITH next AS (
    SELECT piece.shard, @crashed AS crashed
    FROM backtest_job_shards AS piece
    WHERE @of_plan
      AND (@free OR @mine)
      AND EXISTS (
          SELECT
          FROM backtest_job_plans
          WHERE @of_plan AND engine_identity = %(engine_identity)s
      )
      AND @coordinated_alike
    ORDER BY piece.shard
    LIMIT 1
    FOR UPDATE OF piece SKIP LOCKED
)
UPDATE backtest_job_shards AS piece
SET @shard_taken
FROM next
WHERE @of_plan AND piece.shard = next.shard
RETURNING piece.shard, attempt, part, total_units, crash_count;

-- name: beat
UPDATE backtest_job_shards
SET processed_units = %(processed)s,
    @renewed
WHERE @held AND @still_wanted;

-- name: finish
UPDATE backtest_job_shards
SET state = 'done',
    result = %(result)b,
    processed_units = total_units,
    @let_go
WHERE @held AND @still_wanted;

-- name: fail
UPDATE backtest_job_shards
SET state = 'failed',
    error = jsonb_build_object(
        'code', %(code)s::text,
        'message', %(message)s::text,
        'details', %(details)s::jsonb
    ),
    processed_units = 0,
    @let_go
WHERE @held AND @still_wanted;

-- name: give_back
-- Whether or not the job goes on: who comes next need not wait for the lease to run out.
UPDATE backtest_job_shards
SET state = 'open',
    locked_by = NULL,
    processed_units = 0,
    @let_go
WHERE @held;

-- name: written
-- Whether what was to be written has been: by the same attempt, whose answer got lost.
SELECT
FROM backtest_job_shards
WHERE @of_plan AND shard = %(shard)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
  AND state = %(state)s;

-- name: lines
SELECT stage, shard, state, locked_by, processed_units, total_units
FROM backtest_job_shards
WHERE job_id = %(job_id)s
ORDER BY stage, shard;
