-- What a job has found. Every write first locks the job's row, by a renewal or by its end.

-- name: save_coverage
UPDATE backtest_jobs
SET coverage_json = %(coverage)s,
    @renewed
WHERE @guard;

-- name: save_outcomes
UPDATE backtest_jobs
SET outcomes_json = %(outcomes)s,
    @renewed
WHERE @guard;

-- name: forget_twins
-- Runs in the transaction that holds the row by save_outcomes, before save_shortlist: whoever
-- replaces a shortlist and leaves its twins as they were is a program that knows none, and a
-- trigger takes them away then.
UPDATE backtest_job_stage_a_shortlist
SET twins_json = NULL
WHERE job_id = (SELECT job_id FROM backtest_jobs WHERE @guard);

-- name: save_shortlist
-- Runs in the transaction that holds the row by save_outcomes.
INSERT INTO backtest_job_stage_a_shortlist (
    job_id, stage_a_indexes_json, twins_json, stage_a_variants_total, risk_total, preselect_used,
    attempt, engine_version, candles_hash
)
SELECT job_id, %(indexes)s::jsonb, %(twins)s::jsonb, %(stage_a_variants_total)s, %(risk_total)s,
       %(preselect_used)s, attempt, %(engine_version)s, %(candles_hash)s
FROM backtest_jobs
WHERE @guard
ON CONFLICT (job_id) DO UPDATE
SET stage_a_indexes_json = excluded.stage_a_indexes_json,
    twins_json = excluded.twins_json,
    stage_a_variants_total = excluded.stage_a_variants_total,
    risk_total = excluded.risk_total,
    preselect_used = excluded.preselect_used,
    attempt = excluded.attempt,
    engine_version = excluded.engine_version,
    candles_hash = excluded.candles_hash,
    updated_at = now();

-- name: shortlist
SELECT stage_a_indexes_json AS indexes, twins_json AS twins, stage_a_variants_total, risk_total,
       preselect_used, engine_version, candles_hash, attempt, updated_at
FROM backtest_job_stage_a_shortlist
WHERE job_id = %(job_id)s;

-- name: candles_hash
SELECT candles_hash
FROM backtest_job_stage_a_shortlist
WHERE job_id = %(job_id)s;

-- name: outcomes
SELECT outcomes_json
FROM backtest_jobs
WHERE job_id = %(job_id)s;

-- name: replace_top
-- Runs in the transaction that has locked the job's row. Counting what is gone has it gone before
-- the first row comes. JSON nulls, and fields that a snapshot leaves out, become SQL nulls.
WITH gone AS (
    DELETE FROM backtest_job_top_variants
    WHERE job_id = %(job_id)s
    RETURNING rank
)
INSERT INTO backtest_job_top_variants (
    job_id, rank, variant_key, indicator_variant_key, variant_index, total_return_pct, twins,
    metrics_json, payload_json, report_table_md, trades_json, equity_json, trades_omitted,
    test_metrics_json, test_trades_json, test_equity_json, beside_json
)
SELECT %(job_id)s, rank, variant_key, indicator_variant_key, variant_index, total_return_pct, twins,
       metrics_json, payload_json, report_table_md, trades_json, equity_json,
       coalesce(trades_omitted, false), test_metrics_json, test_trades_json, test_equity_json,
       beside_json
FROM jsonb_to_recordset(%(rows)s::jsonb) AS variant (
    rank int,
    variant_key text,
    indicator_variant_key text,
    variant_index bigint,
    total_return_pct double precision,
    twins bigint,
    metrics_json jsonb,
    payload_json jsonb,
    report_table_md text,
    trades_json jsonb,
    equity_json jsonb,
    trades_omitted boolean,
    test_metrics_json jsonb,
    test_trades_json jsonb,
    test_equity_json jsonb,
    beside_json jsonb
)
WHERE (SELECT count(*) FROM gone) >= 0;

-- name: save_answers
-- Runs in the transaction that has ended the job, so there are none of it yet.
WITH answers AS MATERIALIZED (
    SELECT %(answers)s::jsonb AS found
), surfaces AS (
    INSERT INTO backtest_job_surfaces (job_id, number, axis_x, axis_y, surface_json)
    SELECT %(job_id)s, number, surface #>> '{x,axis}', surface #>> '{y,axis}', surface
    FROM answers,
         jsonb_array_elements(found -> 'surfaces') WITH ORDINALITY AS listed (surface, number)
)
INSERT INTO backtest_job_validation (job_id, figures_json, pictures_json)
SELECT %(job_id)s, found -> 'figures', found -> 'pictures'
FROM answers;

-- name: figures
SELECT figures_json
FROM backtest_job_validation
WHERE job_id = %(job_id)s;

-- name: validation
SELECT figures_json::text, pictures_json::text, (
    SELECT coalesce(jsonb_agg(
        jsonb_build_object('number', number, 'axis_x', axis_x, 'axis_y', axis_y) ORDER BY number
    ), '[]')::text
    FROM backtest_job_surfaces
    WHERE job_id = %(job_id)s
)
FROM backtest_job_validation
WHERE job_id = %(job_id)s;

-- name: surface
SELECT axis_x, axis_y, surface_json::text
FROM backtest_job_surfaces
WHERE job_id = %(job_id)s AND number = %(number)s;

-- name: outline
-- What a verdict reads of the rows: the figures of the best one, and how many there are.
SELECT total_return_pct, twins, metrics_json, test_metrics_json,
       (SELECT count(*) FROM backtest_job_top_variants WHERE job_id = %(job_id)s) AS variants
FROM backtest_job_top_variants
WHERE job_id = %(job_id)s AND rank = 1;

-- name: top_as_text
-- What is left out is not read either: a large document lies outside the row. The state is looked up
-- once, and not at all where no such part is wanted. Neighbours come without the list of them, which
-- is most of their text.
SELECT rank, variant_key, indicator_variant_key, variant_index, total_return_pct, twins,
       metrics_json::text, payload_json::text,
       CASE WHEN %(report)s AND @ended_well THEN report_table_md END,
       CASE WHEN %(trades)s AND @ended_well THEN trades_json::text END,
       CASE WHEN %(equity)s AND @ended_well THEN equity_json::text END,
       trades_omitted, test_metrics_json::text,
       CASE WHEN %(trades)s AND @ended_well THEN test_trades_json::text END,
       CASE WHEN %(equity)s AND @ended_well THEN test_equity_json::text END,
       (beside_json - 'variants')::text, xmin::text::bigint
FROM backtest_job_top_variants
WHERE job_id = %(job_id)s
ORDER BY rank
LIMIT %(limit)s;

-- name: top_version
SELECT count(*), max(xmin::text::bigint)
FROM (
    SELECT xmin
    FROM backtest_job_top_variants
    WHERE job_id = %(job_id)s
    ORDER BY rank
    LIMIT %(limit)s
) AS shown;

-- name: variant
SELECT rank, variant_key, indicator_variant_key, variant_index, total_return_pct, twins,
       metrics_json, payload_json, report_table_md, trades_json, equity_json, trades_omitted,
       test_metrics_json, test_trades_json, test_equity_json, beside_json
FROM backtest_job_top_variants
WHERE job_id = %(job_id)s AND variant_key = %(variant_key)s;

-- name: variant_as_text
SELECT rank, variant_key, indicator_variant_key, variant_index, total_return_pct, twins,
       metrics_json::text, payload_json::text, report_table_md, trades_json::text,
       equity_json::text, trades_omitted, test_metrics_json::text, test_trades_json::text,
       test_equity_json::text, beside_json::text, xmin::text::bigint
FROM backtest_job_top_variants
WHERE job_id = %(job_id)s AND variant_key = %(variant_key)s;
