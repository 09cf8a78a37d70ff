"""Rows as a candle table can hold them – duplicates, ties, invalid values – and what they mean.

`roll_up` says in slow and plain Python what the store has to answer.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from storage.candles import Bars

MINUTE = 60_000
# A Thursday midnight, so that every timeframe has a bucket border here.
START = 1_706_745_600_000


class Row(NamedTuple):
    ts_open: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    ingested_at: int


class Bar(NamedTuple):
    ts_open: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def random_rows(
    seed: int, minutes: int = 3_000, *, ties: bool = True, step: int = MINUTE
) -> list[Row]:
    """Bars with gaps, several versions of some, some of them invalid; in random order."""
    rng = random.Random(seed)
    rows = []
    minute = 0
    while minute < minutes:
        versions = rng.choices([1, 2, 3], [80, 15, 5])[0]
        for version in range(versions):
            ingested_at = START + (rng.randrange(2) if ties else version)
            rows.append(Row(START + minute * step, *_values(rng), ingested_at))
        minute += 1 if rng.random() < 0.995 else rng.randrange(2, 200)
    rng.shuffle(rows)
    return rows


def _values(rng: random.Random) -> tuple[float, ...]:
    values = [rng.uniform(90, 110) for _ in range(4)] + [
        rng.expovariate(1) * 10.0 ** rng.randrange(-6, 7)
    ]
    if rng.random() < 0.05:
        values[rng.randrange(5)] = rng.choice([math.nan, math.inf, -math.inf, -1.0])
    elif rng.random() < 0.05:
        values[rng.randrange(5)] = 0.0  # no price, but a volume
    return tuple(values)


def roll_up(rows: Sequence[Row], from_ms: int, to_ms: int, timeframe_ms: int) -> list[Bar]:
    canonical: dict[int, Row] = {}
    for row in rows:
        if from_ms <= row.ts_open < to_ms:
            canonical[row.ts_open] = max(canonical.get(row.ts_open, row), row, key=_version)
    buckets: dict[int, list[Row]] = {}
    for ts_open in sorted(canonical):
        row = canonical[ts_open]
        if _valid(row):
            buckets.setdefault(ts_open // timeframe_ms * timeframe_ms, []).append(row)
    return [_bar(ts_open, minutes) for ts_open, minutes in buckets.items()]


def _version(row: Row) -> tuple[float, ...]:
    return (row.ingested_at, *(-math.inf if math.isnan(value) else value for value in row[1:6]))


def _valid(row: Row) -> bool:
    prices_right = all(math.isfinite(price) and price > 0 for price in row[1:5])
    return prices_right and math.isfinite(row.volume) and row.volume >= 0


def _bar(ts_open: int, minutes: list[Row]) -> Bar:
    volume = 0.0
    for minute in minutes:
        volume += minute.volume
    return Bar(
        ts_open,
        minutes[0].open,
        max(minute.high for minute in minutes),
        min(minute.low for minute in minutes),
        minutes[-1].close,
        volume,
    )


def coarse_table(rows: Sequence[Row], timeframe_ms: int) -> pa.Table:
    """The rows as longer bars are stored."""
    lengths = pa.array([timeframe_ms] * len(rows), pa.uint32())
    return table(rows).append_column("timeframe_ms", lengths)


def table(rows: Sequence[Row], market_id: int = 1, symbol: str = "BTCUSDT") -> pa.Table:
    """The rows as they are stored, in their order."""
    time = pa.timestamp("ms", "UTC")
    ts_open, *values, ingested_at = zip(*rows, strict=True)
    names = ("open", "high", "low", "close", "volume_base")
    return pa.table(
        {
            "market_id": pa.array([market_id] * len(rows), pa.uint16()),
            "symbol": pa.array([symbol] * len(rows)),
            "ts_open": pa.array(ts_open, pa.int64()).cast(time),
            **{name: pa.array(v, pa.float64()) for name, v in zip(names, values, strict=True)},
            "ingested_at": pa.array(ingested_at, pa.int64()).cast(time),
        }
    )


def write(folder: Path, rows: Sequence[Row], files: int = 1) -> None:
    """Put the rows into a folder store, spread over several files, as nobody's import would."""
    for number in range(files):
        part = folder / "1" / "BTCUSDT" / f"{number:013d}.parquet"
        part.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(rows[number::files]), part)


def as_tuples(bars: Bars) -> list[tuple[float, ...]]:
    columns = [getattr(bars, field.name).tolist() for field in fields(Bars)]
    return list(zip(*columns, strict=True))
