-- Saved strategies. Every statement is of one user and touches rows of that user alone.

-- name: create
INSERT INTO backtest_strategies (
    user_id, name, note, template_json, source_job_id, source_variant_key
)
VALUES (
    %(user_id)s, %(name)s, %(note)s, %(template_json)s, %(source_job_id)s, %(source_variant_key)s
)
RETURNING @strategy;

-- name: page
SELECT @strategy
FROM backtest_strategies
WHERE user_id = %(user_id)s
  AND (created_at, strategy_id) < (%(before_created_at)s::timestamptz, %(before_id)s)
ORDER BY created_at DESC, strategy_id DESC
LIMIT %(limit)s;

-- name: get
SELECT @strategy
FROM backtest_strategies
WHERE user_id = %(user_id)s AND strategy_id = %(strategy_id)s;

-- name: update
UPDATE backtest_strategies
SET name = %(name)s,
    note = %(note)s,
    template_json = %(template_json)s,
    source_job_id = %(source_job_id)s,
    source_variant_key = %(source_variant_key)s,
    updated_at = now()
WHERE user_id = %(user_id)s AND strategy_id = %(strategy_id)s
RETURNING @strategy;

-- name: delete
DELETE FROM backtest_strategies
WHERE user_id = %(user_id)s AND strategy_id = %(strategy_id)s;
