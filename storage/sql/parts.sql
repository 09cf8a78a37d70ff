-- What several statements share. A statement inserts one of these where it says @name.

-- name: job_row
-- What a program reads of a job: all of it but the histograms of its outcomes, which are large.
job_id, user_id, name, note, mode, priority, idempotency_key, submission_hash,
state, created_at, updated_at, started_at, finished_at, cancel_requested_at,
request_json, request_hash, engine_params_hash, backtest_runtime_config_hash, engine_version,
spec_hash, spec_payload_json, stage, processed_units, total_units, progress_updated_at,
locked_by, locked_at, lease_expires_at, heartbeat_at, attempt, crash_count,
next_dispatch_at, dispatch_count, last_error, last_error_json, coverage_json, traceparent,
outcomes_json #- '{total_return_pct,bins}' #- '{primary,bins}' AS outcomes_json;

-- name: guard
-- The lease: the job, its owner, the fencing token, still running, not yet run out. Shards are held
-- by columns of the same names, so the parts about leases speak of them as well.
job_id = %(job_id)s AND locked_by = %(locked_by)s AND attempt = %(attempt)s
AND @alive;

-- name: alive
state = 'running' AND lease_expires_at > now();

-- name: owned
-- Locks the job's row, if it is still ours. Whatever touches a plan or its shards comes after it.
UPDATE backtest_jobs
SET @renewed
WHERE @guard
RETURNING job_id, cancel_requested_at IS NOT NULL AS cancel_requested;

-- name: renewed
lease_expires_at = greatest(
    lease_expires_at, now() + make_interval(secs => %(lease_seconds)s)
),
heartbeat_at = now(),
updated_at = now();

-- name: expired
state = 'running' AND lease_expires_at <= now();

-- name: paused
-- Looked up once for a statement, however many rows it reads.
(SELECT EXISTS (SELECT FROM backtest_switches WHERE name = 'pause' AND is_on));

-- name: known_version
-- A request of a newer version waits for a program that knows it; none says version 1.
CASE jsonb_typeof(request_json -> 'version')
    WHEN 'number' THEN (request_json -> 'version')::numeric ELSE 1
END <= %(request_version)s;

-- name: claimable
NOT @paused
AND (state = 'queued' OR (@expired))
AND @known_version;

-- name: due
-- A wake-up is owed: queued, or the owner is gone; and none was sent a moment ago.
(NOT @paused
 AND ((state = 'queued' AND next_dispatch_at <= now())
      OR ((@expired) AND (next_dispatch_at IS NULL OR next_dispatch_at <= now()))));

-- name: taken
-- What a claim writes.
state = 'running',
locked_by = %(actor)s,
locked_at = now(),
heartbeat_at = now(),
lease_expires_at = now() + make_interval(secs => %(lease_seconds)s),
attempt = job.attempt + 1,
engine_version = %(engine_version)s,
stage = 'stage_a',
processed_units = 0,
total_units = 0,
progress_updated_at = NULL,
started_at = coalesce(started_at, now()),
next_dispatch_at = NULL,
dispatch_count = 0,
updated_at = now();

-- name: crashed
-- A released job has no owner, and nobody crashes by asking again for what is already theirs.
(state = 'running' AND locked_by IS NOT NULL AND locked_by <> %(actor)s);

-- name: next_state
-- What becomes of a job that has no owner any more: a requested cancel wins, and an owner that
-- vanished once too often ends it.
CASE
    WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
    WHEN @crashed AND crash_count + 1 > %(max_crashes)s THEN 'failed'
    ELSE 'running'
END;

-- name: still_wanted
-- The job has not ended, and nobody wants it to. Whether it has an owner at the moment makes no
-- difference to what is being computed for it. Its row is read and not locked: a helper never makes the
-- owner wait.
EXISTS (
    SELECT
    FROM backtest_jobs
    WHERE job_id = %(job_id)s AND state = 'running' AND cancel_requested_at IS NULL
);

-- name: coordinated_alike
-- The job goes on, and it has an owner who will merge what its shards find: one of the same engine, for
-- any other cannot use it. While the queue is paused, nobody begins anything.
EXISTS (
    SELECT
    FROM backtest_jobs
    WHERE job_id = %(job_id)s AND engine_version = %(engine_identity)s AND @wants_help
      AND NOT @paused
);

-- name: wants_help
@alive AND cancel_requested_at IS NULL;

-- name: of_plan
-- The shards of one plan.
job_id = %(job_id)s AND stage = %(stage)s AND plan_id = %(plan_id)s;

-- name: held
-- The lease of a shard.
@guard AND stage = %(stage)s AND shard = %(shard)s AND plan_id = %(plan_id)s;

-- name: free
-- To be had by a helper. A shard whose owners vanished too often is left to the coordinator, with
-- whose end its job is done for.
(state = 'open' OR ((@expired) AND crash_count < %(max_crashes)s));

-- name: mine
-- A claim whose answer was lost finds what it has got. Nobody holds two shards at a time.
(state = 'running' AND locked_by = %(actor)s);

-- name: shard_taken
-- What the claim of a shard writes.
state = 'running',
locked_by = %(actor)s,
attempt = piece.attempt + 1,
crash_count = piece.crash_count + next.crashed::int,
lease_expires_at = now() + make_interval(secs => %(shard_lease_seconds)s),
heartbeat_at = now(),
processed_units = 0,
error = NULL,
updated_at = now();

-- name: let_go
-- Ends the lease of a shard.
lease_expires_at = NULL,
updated_at = now();

-- name: end_state
-- What becomes of a job that its owner ends.
CASE WHEN cancel_requested_at IS NULL THEN %(state)s ELSE 'cancelled' END;

-- name: over
finished_at = now(),
lease_expires_at = NULL,
next_dispatch_at = NULL,
updated_at = now();

-- name: give_up
-- Ends the jobs of `judged` whose next state is an end.
UPDATE backtest_jobs AS job
SET state = judged.next_state,
    crash_count = job.crash_count + judged.crashed::int,
    last_error = CASE judged.next_state WHEN 'failed' THEN error.message END,
    last_error_json = CASE judged.next_state WHEN 'failed' THEN jsonb_build_object(
        'code', 'worker_crashed_repeatedly',
        'message', error.message,
        'details', jsonb_build_object(
            'last_owner', judged.locked_by,
            'last_heartbeat', judged.heartbeat_at,
            'stage', judged.stage
        )
    ) END,
    @over
FROM judged
CROSS JOIN LATERAL (
    SELECT format('The job was given up after its worker crashed %%s times.',
                  judged.crash_count + 1) AS message
) AS error
WHERE job.job_id = judged.job_id AND judged.next_state <> 'running'
RETURNING job.*;

-- name: ended_event
-- The event of a job that ended, from its row.
INSERT INTO backtest_job_events (job_id, event, attempt, actor, details)
SELECT job_id, state, attempt, %(actor)s,
       CASE state
           WHEN 'failed' THEN last_error_json - 'details' || (last_error_json -> 'details')
           ELSE '{}'
       END;

-- name: room
-- Has the scheduler look what is due: this job needs no worker any more, or another one. It takes
-- the lock that the event of the same transaction takes by its trigger, and none besides.
pg_notify('backtest_jobs', job_id::text)::text;

-- name: by_user
-- Actor and details of the event of what a user does.
'user', jsonb_build_object('client', %(client)s::text);

-- name: valid_minutes
SELECT *
FROM (
    @canonical_minutes
)
WHERE @valid;

-- name: valid_coarse
SELECT *
FROM (
    @canonical_coarse
)
WHERE @valid;

-- name: canonical_minutes
-- Candles, in ClickHouse's dialect: the minutes of an instrument in [from_ms, to_ms) that count.
SELECT toUnixTimestamp64Milli(ts_open) AS minute, open, high, low, close, volume_base
FROM {database:Identifier}.canonical_candles_1m
WHERE market_id = {market_id:UInt16}
    @canonical;

-- name: canonical_coarse
-- The same of longer bars; each is named by the minute in which it opens, without the phase.
SELECT
    toUnixTimestamp64Milli(ts_open) - {phase_ms:Int64} AS minute,
    open, high, low, close, volume_base
FROM {database:Identifier}.canonical_candles_coarse
WHERE market_id = {market_id:UInt16}
    AND timeframe_ms = {base_ms:UInt32}
    @canonical;

-- name: canonical
-- Picks the row of each minute that counts: ReplacingMergeTree has merged at some time or never, so
-- the newest ingested_at is chosen here, on a tie the larger tuple of values (DESC puts NaN last).
AND symbol = {symbol:String}
        AND ts_open >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
        AND ts_open < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
    ORDER BY
        ts_open, ingested_at DESC,
        open DESC, high DESC, low DESC, close DESC, volume_base DESC
    LIMIT 1 BY ts_open;

-- name: valid
-- Of canonical rows only: a newer invalid row hides an older valid one.
isFinite(open) AND open > 0
    AND isFinite(high) AND high > 0
    AND isFinite(low) AND low > 0
    AND isFinite(close) AND close > 0
    AND isFinite(volume_base) AND volume_base >= 0;

-- name: wrong
NOT (@valid) OR modulo(minute, {base_ms:UInt32}) != 0;

-- name: rolled_up
-- Bars of timeframe_ms, buckets aligned to the epoch.
-- Floating-point addition is not associative and sum() adds in whatever order threads deliver:
-- arrayFold over the sorted array adds in time order, so every run gives the same bytes.
SELECT
    intDiv(minute, {timeframe_ms:Int64}) * {timeframe_ms:Int64} AS bucket,
    argMin(open, minute) AS first_open,
    max(high) AS highest,
    min(low) AS lowest,
    argMax(close, minute) AS last_close,
    arrayFold(
        (total, m) -> total + m.2,
        arraySort(groupArray((minute, volume_base))),
        toFloat64(0)
    ) AS volume;

-- name: bounded
-- First and last row of the range; always one row.
SELECT
    count() AS found,
    toUnixTimestamp64Milli(min(ts_open)) AS first_ms,
    toUnixTimestamp64Milli(max(ts_open)) AS last_ms;

-- name: between
-- The rows of an instrument in [from_ms, to_ms).
market_id = {market_id:UInt16}
    AND symbol = {symbol:String}
    AND ts_open >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND ts_open < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC');

-- name: symbol
-- As the indexes of lists have it.
left(request_json #>> '{template,instrument_id,symbol}', 64);

-- name: listed
-- A user's jobs that follow in the list, by the filters that are not null.
user_id = %(user_id)s
AND (%(state)s::text IS NULL OR state = %(state)s)
AND (%(symbol)s::text IS NULL OR @symbol = %(symbol)s)
AND (created_at, job_id) < (%(before_created_at)s::timestamptz, %(before_id)s);

-- name: named
-- Jobs by the beginning of their names, in the order of the index of names.
SELECT job_id
FROM backtest_jobs
WHERE user_id = %(user_id)s AND name_folded IS NOT NULL AND name_folded LIKE %(pattern)s
ORDER BY name_folded USING ~<~
LIMIT %(examined)s + 1;

-- name: with_ids
SELECT job_id
FROM backtest_jobs
WHERE user_id = %(user_id)s AND job_id BETWEEN %(first)s AND %(last)s
ORDER BY job_id
LIMIT %(examined)s + 1;

-- name: line
-- A job in a list. Of the request a few values, taken out of it once. Numbers come as text: JSON
-- would have to be read for each of them.
job.job_id, job.user_id, job.name, job.mode, job.state, job.stage, job.attempt,
job.created_at, job.started_at, job.finished_at, job.cancel_requested_at,
job.processed_units, job.total_units, job.progress_updated_at,
stage.started_at AS stage_started_at,
request.template #>> '{instrument_id,market_id}' AS market_id,
request.template #>> '{instrument_id,symbol}' AS symbol,
request.template ->> 'timeframe' AS timeframe,
request.time_range ->> 'start' AS start,
request.time_range ->> 'end' AS "end",
request.ranking ->> 'primary_metric' AS primary_metric,
best.metrics_json ->> (request.ranking ->> 'primary_metric') AS best,
coalesce(best.metrics_json -> 'infinite' ? (request.ranking ->> 'primary_metric'), false)
    AS best_infinite,
job.last_error;

-- name: line_sources
CROSS JOIN LATERAL jsonb_to_record(job.request_json)
    AS request (template jsonb, time_range jsonb, ranking jsonb)
@stage_source
@best_source;

-- name: stage_source
-- Since when a running job has been in its stage.
LEFT JOIN LATERAL (
    SELECT event.at AS started_at
    FROM backtest_job_events AS event
    WHERE job.state = 'running'
      AND event.job_id = job.job_id
      AND event.attempt = job.attempt
      AND event.event = 'stage_started'
      AND event.details ->> 'stage' = job.stage
    ORDER BY event.event_id DESC
    LIMIT 1
) AS stage ON true;

-- name: best_source
LEFT JOIN LATERAL (
    SELECT variant.metrics_json, variant.updated_at
    FROM backtest_job_top_variants AS variant
    WHERE variant.job_id = job.job_id AND variant.rank = 1
    LIMIT 1
) AS best ON true;

-- name: sharing_source
-- How the stage of a running job is shared. Its limit keeps the look for a plan in front: where there is
-- none, no shard is read, and shards of other jobs are not read at all. Within a run of neighbours the
-- number of a shard is ahead of its place among its like by the same.
LEFT JOIN LATERAL (
    SELECT told.found
    FROM (
        SELECT job_id, stage
        FROM backtest_job_plans
        WHERE job.state = 'running' AND job_id = job.job_id AND stage = job.stage
        LIMIT 1
    ) AS plan
    CROSS JOIN LATERAL (
        WITH piece AS MATERIALIZED (
            SELECT shard, locked_by, processed_units, total_units,
                   CASE WHEN @expired THEN 'open' ELSE state END AS state
            FROM backtest_job_shards
            WHERE job_id = plan.job_id AND stage = plan.stage
        ), placed AS (
            SELECT shard, state, owner,
                   shard - row_number() OVER (PARTITION BY state, owner ORDER BY shard) AS ahead
            FROM piece
            CROSS JOIN LATERAL (
                SELECT CASE state WHEN 'running' THEN locked_by END AS owner
            ) AS held
        ), run AS (
            SELECT state, owner, count(*) AS length, min(shard) AS first
            FROM placed
            GROUP BY state, owner, ahead
        ), share AS (
            SELECT locked_by AS owner,
                   count(*) FILTER (WHERE state = 'running') AS running,
                   count(*) FILTER (WHERE state = 'done') AS done
            FROM piece
            WHERE state IN ('running', 'done')
            GROUP BY locked_by
        )
        SELECT jsonb_build_object(
            'strip',
            (SELECT jsonb_agg(jsonb_build_array(state, owner, length) ORDER BY first) FROM run),
            'shares',
            (SELECT jsonb_agg(jsonb_build_array(owner, running, done)) FROM share),
            'processed_units', sum(processed_units),
            'total_units', sum(total_units)
        ) AS found
        FROM piece
    ) AS told
) AS sharing ON true;

-- name: strategy
strategy_id, user_id, name, note, template_json, source_job_id, source_variant_key,
created_at, updated_at;

-- name: ended_well
(SELECT state = 'succeeded' FROM backtest_jobs WHERE job_id = %(job_id)s);
