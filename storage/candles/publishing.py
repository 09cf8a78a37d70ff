"""Writing bars into the folder of an instrument, whose lock the caller holds."""

import contextlib
import fcntl
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.candles import side_file
from storage.candles.instrument_files import COARSE_SUFFIX, SUFFIX, imports
from storage.candles.known import Known
from storage.candles.minutes import COARSE_SCHEMA, SCHEMA, bars_table, changed, check_bars
from storage.candles.records import MINUTE_MS, Bars
from storage.candles.windows import EARLIEST_MS, LATEST_MS

# Eleven days: who reads a month decodes little else.
ROW_GROUP = 16_384
# Prices hardly repeat: a dictionary of them is larger than the prices and slower to read.
DICTIONARIES = ["market_id", "symbol", "ingested_at"]


def write(folder: Path, market_id: int, symbol: str, parts: Iterable[Bars], step: int) -> int:
    """Write bars as one new file, which appears complete or not at all; returns their number."""
    published = imports(folder, step)
    newest = int(published[-1].stem) if published else 0
    ingested_at = max(time.time_ns() // 1_000_000, newest + 1)
    # Left over by a killed import, or ours: the lock is held.
    unfinished = folder / "import.tmp"
    schema = SCHEMA if step == MINUTE_MS else COARSE_SCHEMA
    try:
        bars = 0
        with pq.ParquetWriter(
            unfinished,
            schema,
            compression="zstd",
            use_dictionary=DICTIONARIES,
            write_page_checksum=True,
        ) as writer:
            for part in parts:
                table = bars_table(market_id, symbol, part, ingested_at, step)
                writer.write_table(table, row_group_size=ROW_GROUP)
                bars += len(part)
        if bars:
            side_file.flush(unfinished)
            suffix = SUFFIX if step == MINUTE_MS else COARSE_SUFFIX
            unfinished.rename(folder / f"{ingested_at:013d}{suffix}")
            side_file.flush(folder)
    finally:
        unfinished.unlink(missing_ok=True)
    return bars


def changes(
    published: list[Path], symbol: str, chunks: Iterable[Bars], said: Known
) -> Iterator[Bars]:
    """Yield what of the chunks is not published, or with other values; raises `ValueError`."""
    after_ms = -1
    for chunk in chunks:
        check_bars(chunk, after_ms, said)
        if len(chunk.ts_open) == 0:
            continue
        after_ms = int(chunk.ts_open[-1])
        part = changed(chunk, present(published, symbol, int(chunk.ts_open[0]), after_ms))
        if len(part):
            yield part


def span(path: Path) -> tuple[int, int]:
    """First and last open of a file, which has rows; all there may be where it does not tell."""
    metadata = pq.read_metadata(path)
    column = metadata.schema.names.index("ts_open")
    groups = [metadata.row_group(i).column(column) for i in range(metadata.num_row_groups)]
    if any(not g.is_stats_set or not g.statistics.has_min_max for g in groups):
        return EARLIEST_MS, LATEST_MS
    return (
        min(group.statistics.min_raw for group in groups),
        max(group.statistics.max_raw for group in groups),
    )


def present(published: list[Path], symbol: str, first_ms: int, last_ms: int) -> Bars:
    """Read the canonical bars of `[first_ms, last_ms]`; `published` is in the order of import."""
    time_type = SCHEMA.field("ts_open").type
    within = [
        ("symbol", "=", symbol),
        ("ts_open", ">=", pa.scalar(first_ms, time_type)),
        ("ts_open", "<=", pa.scalar(last_ms, time_type)),
    ]
    names = ["ts_open", "open", "high", "low", "close", "volume_base"]
    tables = [pq.read_table(file, columns=names, filters=within) for file in published]
    if not tables:
        return Bars(np.empty(0, np.int64), *(np.empty(0) for _ in range(5)))
    table = pa.concat_tables(tables)
    ts_open = table.column("ts_open").cast(pa.int64()).to_numpy()
    order = np.argsort(ts_open, kind="stable")
    ts_sorted = ts_open[order]
    newest = order[np.append(ts_sorted[1:] != ts_sorted[:-1], True)[: len(order)]]
    return Bars(ts_open[newest], *(table.column(name).to_numpy()[newest] for name in names[1:]))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of an instrument, which ends with the process: one writes at a time."""
    with (folder / "import.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
