-- Statements of the candle store, in ClickHouse's dialect; parameters are bound by the server.
-- One text for a ClickHouse server and for embedded chDB.

-- name: roll_up
-- Minutes of [from_ms, to_ms) as bars of timeframe_ms, buckets aligned to the epoch.
-- The inner query picks the canonical row of each minute: ReplacingMergeTree has merged at some
-- time or never, so the newest ingested_at is chosen here, on a tie the larger tuple of values
-- (DESC puts NaN last). Only then invalid minutes are left out: a newer invalid row hides an older
-- valid one.
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
    SELECT toUnixTimestamp64Milli(ts_open) AS minute, open, high, low, close, volume_base
    FROM {database:Identifier}.canonical_candles_1m
    WHERE market_id = {market_id:UInt16}
        AND symbol = {symbol:String}
        AND ts_open >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
        AND ts_open < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
    ORDER BY
        ts_open, ingested_at DESC,
        open DESC, high DESC, low DESC, close DESC, volume_base DESC
    LIMIT 1 BY ts_open
)
WHERE isFinite(open) AND open > 0
    AND isFinite(high) AND high > 0
    AND isFinite(low) AND low > 0
    AND isFinite(close) AND close > 0
    AND isFinite(volume_base) AND volume_base >= 0
GROUP BY bucket
ORDER BY bucket;

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

-- name: nothing
SELECT 1;

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
