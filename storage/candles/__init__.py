"""The candle store: 1-minute candles in ClickHouse, or in Parquet files read by embedded chDB.

Both are reached through clickhouse-connect with the same SQL. Nothing here opens an engine or a
connection at import: chDB must live only in the process that uses it, and that process must not
fork afterwards.
"""

from storage.candles.ingest import ImportReport, import_file
from storage.candles.records import Bars, CandleSourceUnavailable, Instrument
from storage.candles.rows import CandleFileError
from storage.candles.store import CandleStore, open_store

__all__ = [
    "Bars",
    "CandleFileError",
    "CandleSourceUnavailable",
    "CandleStore",
    "ImportReport",
    "Instrument",
    "import_file",
    "open_store",
]
