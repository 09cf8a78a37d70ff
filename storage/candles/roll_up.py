"""Minutes as a store holds them, rolled up to bars without an engine.

It says in numpy what the statement `roll_up` of candles.sql says in SQL, and gives the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from storage.candles.records import Bars, Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of one instrument in any order: several versions of a minute, invalid values.

    All columns are of one length, `ts_open` and `ingested_at` int64 milliseconds since the epoch,
    the others float64.
    """

    ts_open: Int64
    open: Float64
    high: Float64
    low: Float64
    close: Float64
    volume: Float64
    ingested_at: Int64

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """All rows of one or more parts, in their order."""
        if len(parts) == 1:
            return parts[0]
        columns = zip(*(part.columns() for part in parts), strict=True)
        return cls(*(np.concatenate(pieces) for pieces in columns))

    def columns(self) -> tuple[NDArray[Any], ...]:
        """Return the columns in the order of the fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Pick rows by their numbers or by a mask."""
        return type(self)(*(column[which] for column in self.columns()))

    def __len__(self) -> int:
        return len(self.ts_open)


def roll_up(rows: Rows, timeframe_ms: int, phase_ms: int = 0) -> Bars:
    """Bars of the valid minutes among the canonical rows; buckets open `phase_ms` after multiples.

    Volumes are added in time order, one after the other from 0.0: floating-point addition is not
    associative (`np.add.reduceat` adds in pairs).
    """
    minutes = _valid(_canonical(rows))
    bucket = (minutes.ts_open - phase_ms) // timeframe_ms
    begins = np.append(True, bucket[1:] != bucket[:-1])[: len(bucket)]
    first = np.flatnonzero(begins)
    if len(first) == 0:
        return Bars(np.empty(0, np.int64), *(np.empty(0) for _ in range(5)))
    last = np.append(first[1:], len(bucket)) - 1
    return Bars(
        ts_open=bucket[first] * timeframe_ms + phase_ms,
        open=minutes.open[first],
        high=np.maximum.reduceat(minutes.high, first),
        low=np.minimum.reduceat(minutes.low, first),
        close=minutes.close[last],
        volume=_added(np.cumsum(begins) - 1, minutes.volume),
    )


def _added(bar: Int64, volume: Float64) -> Float64:
    """Add the volumes of each bar, one after the other."""
    return np.asarray(np.bincount(bar, volume), np.float64)


def _canonical(rows: Rows) -> Rows:
    """Pick the row of each minute that counts, ascending.

    The newest `ingested_at` wins, on a tie the larger tuple of values, where NaN is the least.
    """
    if (rows.ts_open[1:] > rows.ts_open[:-1]).all():
        return rows
    order = np.lexsort((rows.ingested_at, rows.ts_open))
    minute, version = rows.ts_open[order], rows.ingested_at[order]
    repeats = minute[1:] == minute[:-1]
    tied = repeats & (version[1:] == version[:-1])
    if tied.any():
        # Values are compared among the rows of ties only.
        among = np.append(tied, False)
        among[1:] |= tied
        places = np.flatnonzero(among)
        values = [
            np.where(np.isnan(column), -np.inf, column)[order[places]]
            for column in (rows.volume, rows.close, rows.low, rows.high, rows.open)
        ]
        order[places] = order[places][np.lexsort((*values, version[places], minute[places]))]
    return rows.take(order[np.append(~repeats, True)])


def _valid(rows: Rows) -> Rows:
    valid = (rows.volume >= 0) & (rows.volume < np.inf)
    for price in (rows.open, rows.high, rows.low, rows.close):
        valid &= (price > 0) & (price < np.inf)
    return rows if valid.all() else rows.take(valid)
