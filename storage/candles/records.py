"""Plain values of the candle store."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray


class CandleSourceUnavailable(Exception):  # noqa: N818 – the name is the failure code
    """The candle source cannot be read now; the message is fit for a user and holds no secret.

    `permanent` means that trying again cannot help before an operator changes something
    (credentials, a database or table that does not exist).
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Candles as a structure of arrays, ascending by `ts_open`; gaps are left out.

    `ts_open` is int64 milliseconds since the epoch (UTC), all others float64 of the same length.
    """

    ts_open: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ts_open)


@dataclass(frozen=True, slots=True)
class Instrument:
    """What the store holds of one instrument: its first and last minute (UTC) and their number."""

    market_id: int
    symbol: str
    first: datetime
    last: datetime
    minutes: int
