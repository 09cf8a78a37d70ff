"""The candle store: candles in ClickHouse, or in Parquet files.

Both answer the same SQL, files by embedded chDB; bars of files are read without it. Nothing here
opens an engine or a connection at import: chDB must live only in the process that uses it, and that
process must not fork afterwards.
"""

from configs.environment import CandlesFolder, ClickHouseServer
from storage.candles.funding import FundingRates, FundingSeries
from storage.candles.known import ImportedFile, Known, OtherTimeframe, length, normalised
from storage.candles.minutes import Compared
from storage.candles.presence import Presence
from storage.candles.records import Bars, CandleSourceUnavailable, Instrument
from storage.candles.store import CandleStore
from storage.candles.verifying import Flaw, Verified

__all__ = [
    "Bars",
    "CandleSourceUnavailable",
    "CandleStore",
    "Compared",
    "Flaw",
    "FundingRates",
    "FundingSeries",
    "ImportedFile",
    "Instrument",
    "Known",
    "OtherTimeframe",
    "Presence",
    "Verified",
    "length",
    "normalised",
    "open_store",
]


def open_store(
    source: ClickHouseServer | CandlesFolder, *, answer_seconds: int | None = None
) -> CandleStore:
    """Store of `configs.environment.candle_source`; opens nothing until it is used.

    `answer_seconds`: how long a server may take for one query, where the caller cannot wait long.
    """
    # Each brings libraries that the other does not need.
    if isinstance(source, CandlesFolder):
        from storage.candles.folder import FolderStore

        return FolderStore(source.path)
    from storage.candles.server import ANSWER_SECONDS, ServerStore

    return ServerStore(source, answer_seconds=answer_seconds or ANSWER_SECONDS)
