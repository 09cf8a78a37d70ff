"""Small candle files for tests: invented bars, and a store that keeps what is imported."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from storage.candles import Bars, Choices, ImportReport, import_files
from storage.candles.store import CandleStore

MINUTE = 60_000
START = 1_704_067_200_000  # 2024-01-01T00:00:00Z

Row = tuple[int, float, float, float, float, float]


class Kept(CandleStore):
    """A store that keeps what is published in memory."""

    def __init__(self) -> None:
        self.bars: list[Row] = []
        self.longest_chunk = 0

    def append(self, market_id: int, symbol: str, chunks: Iterable[Bars]) -> int:  # noqa: ARG002
        for chunk in chunks:
            self.longest_chunk = max(self.longest_chunk, len(chunk))
            columns = (chunk.ts_open, *chunk.values())
            self.bars += zip(*(column.tolist() for column in columns), strict=True)
        return len(self.bars)

    def start(self, market_id: int, symbol: str) -> None:
        pass

    def close(self) -> None:
        pass

    def _select(self, statement: str, parameters: object) -> pa.Table:
        raise NotImplementedError


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
    """Import into memory; returns the bars as stored, and the report."""
    store = Kept()
    report = import_files(store, paths if isinstance(paths, list) else [paths], 1, symbol, choices)
    return store.bars, report
