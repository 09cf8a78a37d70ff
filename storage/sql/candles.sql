-- Statements of the candle store, in ClickHouse's dialect; parameters are bound by the server.
-- One text for a ClickHouse server and for embedded chDB.

-- name: roll_up
-- Minutes of [from_ms, to_ms) as bars of timeframe_ms, buckets aligned to the epoch.
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
    ) AS volume
FROM (
    @valid_minutes
)
GROUP BY bucket
ORDER BY bucket;

-- name: presence
-- Which bars of timeframe_ms have a minute, of the minutes of [from_ms, to_ms). Always one row.
-- earliest_ms and latest_ms are of all bars but those that end after end_ms, the rest is of those
-- that lie in [start_ms, end_ms) whole: how many, first and last, the two with the widest gap
-- between them (the first of several), the extremes of their prices.
WITH bars AS (
    SELECT
        intDiv(minute, {timeframe_ms:Int64}) * {timeframe_ms:Int64} AS opens,
        opens >= {start_ms:Int64} AND opens + {timeframe_ms:Int64} <= {end_ms:Int64} AS whole,
        min(low) AS least,
        max(high) AS most
    FROM (
        @valid_minutes
    )
    GROUP BY opens
), found AS (
    SELECT
        arraySort(groupArrayIf(opens, whole)) AS wholes,
        minIfOrNull(least, whole) AS lowest,
        maxIfOrNull(most, whole) AS highest,
        minOrNull(opens) AS earliest_ms,
        maxOrNull(least(
            opens,
            intDiv({end_ms:Int64}, {timeframe_ms:Int64}) * {timeframe_ms:Int64}
                - {timeframe_ms:Int64}
        )) AS latest_ms
    FROM bars
)
SELECT
    toInt64(length(wholes)) AS bars,
    if(bars > 0, wholes[1], NULL) AS first_ms,
    if(bars > 0, wholes[-1], NULL) AS last_ms,
    if(bars > 1, wholes[indexOf(steps, arrayMax(steps)) - 1], NULL) AS gap_after_ms,
    if(bars > 1, wholes[indexOf(steps, arrayMax(steps))], NULL) AS gap_before_ms,
    earliest_ms,
    latest_ms,
    lowest,
    highest
FROM (SELECT *, arrayDifference(wholes) AS steps FROM found);

-- name: names
SELECT DISTINCT market_id, symbol
FROM {database:Identifier}.canonical_candles_1m
ORDER BY market_id, symbol;

-- name: bounds
-- First and last minute of the range; always one row.
SELECT
    count() AS found,
    toUnixTimestamp64Milli(min(ts_open)) AS first_ms,
    toUnixTimestamp64Milli(max(ts_open)) AS last_ms
FROM {database:Identifier}.canonical_candles_1m
WHERE market_id = {market_id:UInt16}
    AND symbol = {symbol:String}
    AND ts_open >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND ts_open < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC');

-- name: instruments
-- The bitmap counts a minute once however often it was written, in a few bytes per thousand.
SELECT
    market_id,
    symbol,
    toUnixTimestamp64Milli(min(ts_open)) AS first_ms,
    toUnixTimestamp64Milli(max(ts_open)) AS last_ms,
    toInt64(groupBitmap(toUInt32(intDiv(toUnixTimestamp64Milli(ts_open), 60000)))) AS minutes
FROM {database:Identifier}.canonical_candles_1m
GROUP BY market_id, symbol
ORDER BY market_id, symbol;

-- name: has_table
EXISTS TABLE {database:Identifier}.canonical_candles_1m;

-- name: clock
-- The server's time: the version of all rows of one import.
SELECT toUnixTimestamp64Milli(now64(3));

-- name: create_database
CREATE DATABASE IF NOT EXISTS {database:Identifier};

-- name: create_table
CREATE TABLE IF NOT EXISTS {database:Identifier}.canonical_candles_1m
(
    market_id UInt16,
    symbol String,
    ts_open DateTime64(3, 'UTC'),
    open Float64,
    high Float64,
    low Float64,
    close Float64,
    volume_base Float64,
    ingested_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(ingested_at)
ORDER BY (market_id, symbol, ts_open);

-- name: version
SELECT version() AS version;
