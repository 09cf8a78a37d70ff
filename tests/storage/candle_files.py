"""Small candle files for tests: invented bars, and a store that keeps what is imported."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from storage.candles import CandleStore
from storage.candles.folder import FolderStore
from storage.candles.importing import Choices, ImportReport
from storage.candles.ingest import import_files
from storage.candles.store import EARLIEST_MS, LATEST_MS

MINUTE = 60_000
START = 1_704_067_200_000  # 2024-01-01T00:00:00Z

Row = tuple[int, float, float, float, float, float]


def some_bars(count: int = 12, step_ms: int = MINUTE, start_ms: int = START) -> list[Row]:
    """Bars with different prices in each, all exact in two decimals."""
    bars = []
    for i in range(count):
        low = 100 + (7 * i % 11) / 4
        bars.append((start_ms + i * step_ms, low + 0.5, low + 1.25, low, low + 0.75, i % 5 + 0.5))
    return bars


def moment(ms: int, form: str) -> str:
    """Write a time as `strftime` does, in UTC."""
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms):{form}}"


def lines(bars: Iterable[Row], time: str | None = None, mark: str = ",", more: str = "") -> str:
    """One line for each bar; `time` is a form of `strftime`, milliseconds without one."""
    return "".join(
        mark.join((moment(row[0], time) if time else str(row[0]), *map(str, row[1:]))) + more + "\n"
        for row in bars
    )


def stored(
    paths: Path | list[Path], choices: Choices | None = None, symbol: str = "BTCUSDT"
) -> tuple[list[Row], ImportReport]:
    """Import into a folder; returns the bars as stored, and the report."""
    with TemporaryDirectory() as folder, FolderStore(Path(folder)) as store:
        files = paths if isinstance(paths, list) else [paths]
        report = import_files(store, files, 1, symbol, choices)
        return rows_of(store, report.symbol), report


def rows_of(store: CandleStore, symbol: str = "BTCUSDT") -> list[Row]:
    """All bars of an instrument as they are stored."""
    step = store.known(1, symbol).timeframe_ms
    bars = store.bars(1, symbol, EARLIEST_MS, LATEST_MS, step)
    return list(zip(*(column.tolist() for column in (bars.ts_open, *bars.values())), strict=True))
