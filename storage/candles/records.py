"""Plain values of the candle store."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

MINUTE_MS = 60_000
PRICES = ("open", "high", "low", "close")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CandleSourceUnavailable(Exception):
    """The candle source cannot be read now; the message is fit for a user and holds no secret.

    `permanent` means that trying again cannot help before an operator changes something
    (credentials, a database or table that does not exist, a damaged file).
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Candles as a structure of arrays, ascending by `ts_open`; gaps are left out.

    `ts_open` is int64 milliseconds since the epoch (UTC), all others float64 of the same length.
    """

    ts_open: Int64
    open: Float64
    high: Float64
    low: Float64
    close: Float64
    volume: Float64

    @classmethod
    def of(cls, candles: Any) -> Self:
        """Take the arrays of any object that has them under these names."""
        return cls(*(getattr(candles, field.name) for field in fields(cls)))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Join parts that follow each other in time; without any there are no candles."""
        if len(parts) == 1:
            return parts[0]
        nothing = cls(np.empty(0, np.int64), *(np.empty(0) for _ in range(5)))
        columns = zip(*((p.ts_open, *p.values()) for p in (nothing, *parts)), strict=True)
        return cls(*map(np.concatenate, columns))

    def values(self) -> tuple[Float64, Float64, Float64, Float64, Float64]:
        """Open, high, low, close and volume, in this order."""
        return self.open, self.high, self.low, self.close, self.volume

    def take(self, which: NDArray[np.bool_]) -> Self:
        """Pick bars by a mask."""
        return type(self)(self.ts_open[which], *(column[which] for column in self.values()))

    def __len__(self) -> int:
        return len(self.ts_open)


@dataclass(frozen=True, slots=True)
class Instrument:
    """What the store holds of one instrument: opens of its first and last bar (UTC), their length.

    `minutes` is how many minutes its bars last together.
    """

    market_id: int
    symbol: str
    first: datetime
    last: datetime
    minutes: int
    timeframe_ms: int = MINUTE_MS


def utc(ms: int) -> datetime:
    """Milliseconds since the epoch as an aware datetime, exact."""
    return EPOCH + timedelta(milliseconds=ms)
