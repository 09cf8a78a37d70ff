"""Reading and writing 1-minute candles."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from storage.candles.records import Bars, Instrument


class CandleStore:
    """1-minute candles of many instruments; a context manager that closes its engine."""

    def bars(
        self, market_id: int, symbol: str, from_ms: int, to_ms: int, timeframe_ms: int
    ) -> Bars:
        """Buckets of the minutes in `[from_ms, to_ms)`; empty when there are none."""
        raise NotImplementedError

    def instruments(self) -> list[Instrument]:
        """Everything the store holds, ordered by market and symbol."""
        raise NotImplementedError

    def append(self, market_id: int, symbol: str, minutes: Bars) -> bool:
        """Publish minutes; they win over those already there. False when nothing changed."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the engine or connection."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_store(source: Any) -> CandleStore:
    """Store of `configs.environment.candle_source`; opens nothing until it is used."""
    raise NotImplementedError(Path(str(source)))
