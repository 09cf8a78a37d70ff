"""Importing candle files."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from storage.candles.store import CandleStore


class CandleFileError(ValueError):
    """The file cannot be imported; the message names file, line or column and what to do."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import found and did; every dropped row is counted here."""

    path: Path
    market_id: int
    symbol: str
    rows: int  # candles read from the file
    minutes: int  # minutes published
    first: datetime  # open time of the first minute, UTC
    last: datetime
    duplicates: int  # rows replaced by a later row of the same minute
    unsorted: int  # rows that came before an earlier row's minute
    invalid: int  # dropped: non-finite or non-positive price, non-finite or negative volume
    inconsistent: int  # kept: high or low does not enclose open and close
    gaps: int  # stretches of missing minutes between first and last
    missing_minutes: int
    unchanged: bool  # the store already held exactly these minutes

    def remarks(self) -> tuple[str, ...]:
        """One sentence for everything a user should know; empty for a flawless file."""
        raise NotImplementedError


def import_file(
    store: CandleStore,
    path: Path,
    market_id: int,
    symbol: str,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Import a .csv, .csv.gz, .parquet file or exchange kline dump; `progress(done, total)`."""
    raise NotImplementedError
