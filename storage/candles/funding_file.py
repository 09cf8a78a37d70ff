"""Rates of funding in a candle folder: one small Parquet file beside an instrument's bars.

Its name is none that a reader of bars looks at. Whoever changes it holds the lock of the folder; a
new version takes the place of the old one in a single step, so that readers need none.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.candles import side_file
from storage.candles.arrow import as_numpy
from storage.candles.funding import FundingRates, FundingSeries, changed_funding
from storage.candles.records import CandleSourceUnavailable, utc

NAME = "funding.rates"
SCHEMA = pa.schema(
    [
        pa.field("time", pa.timestamp("ms", "UTC"), nullable=False),
        pa.field("rate_pct", pa.float64(), nullable=False),
    ]
)


def read(folder: Path) -> FundingRates:
    """Return all payments in an instrument's folder; raises `CandleSourceUnavailable`."""
    path = folder / NAME
    try:
        table = pq.ParquetFile(path).read(use_threads=False)
        if table.schema != SCHEMA:
            raise pa.ArrowInvalid("other columns")
    except (FileNotFoundError, NotADirectoryError):
        return FundingRates.none()
    except (pa.ArrowException, OSError) as error:
        raise CandleSourceUnavailable(
            f"{path} is damaged: delete it and import the funding rates again", permanent=True
        ) from error
    times = table.column("time").cast(pa.int64())
    return FundingRates(as_numpy(times), as_numpy(table.column("rate_pct")))


def write(folder: Path, rates: FundingRates) -> int:
    """Put payments among those that are there; returns how many were new or changed."""
    present = read(folder)
    added = changed_funding(rates, present)
    if not len(added):
        return 0
    kept = ~np.isin(present.times, added.times)
    times = np.concatenate((present.times[kept], added.times))
    values = np.concatenate((present.rates[kept], added.rates))
    order = np.argsort(times)
    columns = [pa.array(times[order]).cast(SCHEMA.field("time").type), pa.array(values[order])]
    unfinished = folder / "funding.tmp"
    try:
        table = pa.Table.from_arrays(columns, schema=SCHEMA)
        pq.write_table(table, unfinished, compression="zstd", write_page_checksum=True)
        side_file.flush(unfinished)
        unfinished.rename(folder / NAME)
        side_file.flush(folder)
    finally:
        unfinished.unlink(missing_ok=True)
    return len(added)


def series(store: Path) -> Iterator[FundingSeries]:
    """List the series of a candle folder."""
    for path in sorted(store.glob(f"*/*/{NAME}")):
        market, symbol = path.parent.parent.name, unquote(path.parent.name)
        rates = read(path.parent)
        if market.isdecimal() and len(rates):
            first, last = utc(int(rates.times[0])), utc(int(rates.times[-1]))
            yield FundingSeries(int(market), symbol, len(rates), first, last)
