-- Statements of the candle store, in ClickHouse's dialect; parameters are bound by the server.
-- One text for a ClickHouse server and for embedded chDB.

-- name: roll_up
-- Minutes of [from_ms, to_ms) as bars of timeframe_ms.
@rolled_up
FROM (
    @valid_minutes
)
GROUP BY bucket
ORDER BY bucket;

-- name: roll_up_coarse
-- Bars of base_ms in [from_ms, to_ms) as bars of timeframe_ms, which is a multiple. They all open
-- phase_ms after a multiple, which is taken away before they are rolled up, and given back.
SELECT
    unshifted.bucket + {phase_ms:Int64} AS bucket,
    first_open, highest, lowest, last_close, volume
FROM (
    @rolled_up
    FROM (
        @valid_coarse
    )
    GROUP BY bucket
) AS unshifted
ORDER BY bucket;

-- name: opens
-- When the minutes of [from_ms, to_ms) open.
SELECT minute
FROM (
    @valid_minutes
)
ORDER BY minute;

-- name: opens_coarse
SELECT minute + {phase_ms:Int64}
FROM (
    @valid_coarse
)
ORDER BY minute;

-- name: wrong
-- Minutes of [from_ms, to_ms) that are no bars: nobody who reads candles ever sees them.
SELECT *
FROM (
    @canonical_minutes
)
WHERE @wrong
ORDER BY minute;

-- name: wrong_coarse
SELECT minute + {phase_ms:Int64}, open, high, low, close, volume_base
FROM (
    @canonical_coarse
)
WHERE @wrong
ORDER BY minute;

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

-- name: coarse_names
SELECT DISTINCT market_id, symbol
FROM {database:Identifier}.canonical_candles_coarse
ORDER BY market_id, symbol;

-- name: bounds
@bounded
FROM {database:Identifier}.canonical_candles_1m
WHERE @between;

-- name: bounds_coarse
@bounded
FROM {database:Identifier}.canonical_candles_coarse
WHERE timeframe_ms = {base_ms:UInt32}
    AND @between;

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

-- name: coarse_instruments
SELECT
    market_id,
    symbol,
    timeframe_ms,
    toUnixTimestamp64Milli(min(ts_open)) AS first_ms,
    toUnixTimestamp64Milli(max(ts_open)) AS last_ms,
    toInt64(
        groupBitmap(toUInt32(intDiv(toUnixTimestamp64Milli(ts_open), 60000)))
    ) * intDiv(timeframe_ms, 60000) AS minutes
FROM {database:Identifier}.canonical_candles_coarse
GROUP BY market_id, symbol, timeframe_ms
ORDER BY market_id, symbol, timeframe_ms;

-- name: known
-- What the imports of an instrument have said together; no row where none said anything. Of the
-- length of bars and of the symbol's spelling the first word counts.
SELECT
    argMin(timeframe_ms, (imported_at, sha256)) AS timeframe_ms,
    max(sessions) AS sessions,
    min(has_volume) AS has_volume,
    argMin(original, (imported_at, sha256)) AS original,
    argMin(phase_ms, (imported_at, sha256)) AS phase_ms
FROM {database:Identifier}.instruments
WHERE market_id = {market_id:UInt16} AND symbol = {symbol:String}
HAVING count() > 0;

-- name: imported_files
SELECT
    sha256,
    argMax(file, imported_at) AS file,
    toInt64(argMax(rows, imported_at)) AS rows,
    toUnixTimestamp64Milli(max(imported_at)) AS imported_ms
FROM {database:Identifier}.instruments
WHERE market_id = {market_id:UInt16} AND symbol = {symbol:String} AND sha256 != ''
GROUP BY sha256
ORDER BY sha256;

-- name: say
-- Each import adds rows and changes none: of two at once, both count.
INSERT INTO {database:Identifier}.instruments
SELECT
    {market_id:UInt16}, {symbol:String}, {timeframe_ms:UInt32}, {sessions:UInt8},
    {has_volume:UInt8}, {original:String}, {phase_ms:UInt32}, '', '', 0, now64(3);

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

-- name: create_coarse_table
-- Bars that are longer than a minute, of instruments that have no minutes.
CREATE TABLE IF NOT EXISTS {database:Identifier}.canonical_candles_coarse
(
    market_id UInt16,
    symbol String,
    timeframe_ms UInt32,
    ts_open DateTime64(3, 'UTC'),
    open Float64,
    high Float64,
    low Float64,
    close Float64,
    volume_base Float64,
    ingested_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(ingested_at)
ORDER BY (market_id, symbol, timeframe_ms, ts_open);

-- name: has_instruments
EXISTS TABLE {database:Identifier}.instruments;

-- name: create_instruments
-- What imports say of an instrument: a row of each file, one without a file before its bars.
CREATE TABLE IF NOT EXISTS {database:Identifier}.instruments
(
    market_id UInt16,
    symbol String,
    timeframe_ms UInt32,
    sessions UInt8,
    has_volume UInt8,
    original String,
    phase_ms UInt32,
    file String,
    sha256 String,
    rows UInt64,
    imported_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (market_id, symbol, imported_at);

-- name: funding
-- Payments of [from_ms, to_ms), the newest row of each; what is no rate is never read.
SELECT toUnixTimestamp64Milli(time) AS time_ms, argMax(rate_pct, ingested_at) AS newest
FROM {database:Identifier}.funding_rates
WHERE market_id = {market_id:UInt16}
    AND symbol = {symbol:String}
    AND time >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND time < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
GROUP BY time_ms
HAVING abs(newest) <= 10
ORDER BY time_ms;

-- name: funding_series
SELECT
    market_id,
    symbol,
    toInt64(uniqExact(time)) AS rates,
    toUnixTimestamp64Milli(min(time)) AS first_ms,
    toUnixTimestamp64Milli(max(time)) AS last_ms
FROM {database:Identifier}.funding_rates
GROUP BY market_id, symbol
ORDER BY market_id, symbol;

-- name: has_funding
EXISTS TABLE {database:Identifier}.funding_rates;

-- name: create_funding
-- What longs paid shorts, in percent of the notional; of several rows of a payment the newest wins.
CREATE TABLE IF NOT EXISTS {database:Identifier}.funding_rates
(
    market_id UInt16,
    symbol String,
    time DateTime64(3, 'UTC'),
    rate_pct Float64,
    ingested_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(ingested_at)
ORDER BY (market_id, symbol, time);

-- name: delete_funding
ALTER TABLE {database:Identifier}.funding_rates
DELETE WHERE market_id = {market_id:UInt16} AND symbol = {symbol:String}
SETTINGS mutations_sync = 2;

-- name: delete_minutes
ALTER TABLE {database:Identifier}.canonical_candles_1m
DELETE WHERE market_id = {market_id:UInt16} AND symbol = {symbol:String}
SETTINGS mutations_sync = 2;

-- name: delete_coarse
ALTER TABLE {database:Identifier}.canonical_candles_coarse
DELETE WHERE market_id = {market_id:UInt16} AND symbol = {symbol:String}
SETTINGS mutations_sync = 2;

-- name: delete_known
ALTER TABLE {database:Identifier}.instruments
DELETE WHERE market_id = {market_id:UInt16} AND symbol = {symbol:String}
SETTINGS mutations_sync = 2;

-- name: version
SELECT version() AS version;

-- name: delete_minutes_between
ALTER TABLE {database:Identifier}.canonical_candles_1m
DELETE WHERE @between
SETTINGS mutations_sync = 2;

-- name: delete_coarse_between
ALTER TABLE {database:Identifier}.canonical_candles_coarse
DELETE WHERE @between
SETTINGS mutations_sync = 2;

-- name: forget_files
-- What the files said of the instrument stays: it is in rows of its own.
ALTER TABLE {database:Identifier}.instruments
DELETE WHERE market_id = {market_id:UInt16} AND symbol = {symbol:String} AND sha256 != ''
SETTINGS mutations_sync = 2;
