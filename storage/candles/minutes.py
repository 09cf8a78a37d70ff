"""Bars on their way into a store: what is refused, what is new, how they are laid out."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa

from storage.candles.known import ImportedFile, Known
from storage.candles.records import MINUTE_MS, Bars

SCHEMA = pa.schema(
    [
        pa.field("market_id", pa.uint16(), nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("ts_open", pa.timestamp("ms", "UTC"), nullable=False),
        *(
            pa.field(name, pa.float64(), nullable=False)
            for name in ("open", "high", "low", "close", "volume_base")
        ),
        pa.field("ingested_at", pa.timestamp("ms", "UTC"), nullable=False),
    ]
)


COARSE_SCHEMA = SCHEMA.append(pa.field("timeframe_ms", pa.uint32(), nullable=False))
"""Of bars that are longer than a minute."""


class Compared(NamedTuple):
    """How many bars a store lacks, holds with other values, and holds as they are.

    `first_ms` and `last_ms` are the opens of the first and the last of those with other values, 0
    without any.
    """

    new: int
    changed: int
    same: int
    first_ms: int = 0
    last_ms: int = 0

    def then(self, later: Self) -> Self:
        """Add what is found of bars that follow."""
        return type(self)(
            self.new + later.new,
            self.changed + later.changed,
            self.same + later.same,
            self.first_ms or later.first_ms,
            later.last_ms or self.last_ms,
        )


def check_instrument(market_id: int, symbol: str) -> None:
    """Raise `ValueError` for what cannot name an instrument."""
    if not 0 <= market_id <= 65_535:
        raise ValueError(f"market_id must be from 0 to 65535, got {market_id}")
    if not symbol or len(symbol) > 64 or not symbol.isprintable() or symbol != symbol.strip():
        raise ValueError(f"a symbol has 1 to 64 printable characters, got {symbol!r}")


def possible(market_id: int, symbol: str) -> bool:
    """Whether anything can have been stored under such a name."""
    try:
        check_instrument(market_id, symbol)
    except ValueError:
        return False
    return True


def check_bars(chunk: Bars, after_ms: int, known: Known) -> None:
    """Raise `ValueError` unless the bars are as is known, ascending and later than `after_ms`."""
    ts_open = chunk.ts_open
    if any(len(column) != len(ts_open) for column in chunk.values()):
        raise ValueError("the columns of a candle chunk differ in length")
    if (ts_open % known.timeframe_ms != known.phase_ms).any():
        unit = f"multiple of {known.timeframe_ms} ms"
        unit = "minute" if known.timeframe_ms == MINUTE_MS else unit
        after = f" and {known.phase_ms} ms" if known.phase_ms else ""
        raise ValueError(f"a candle opens at a time that is no whole {unit}{after}")
    if len(ts_open) and (ts_open[0] <= after_ms or (np.diff(ts_open) <= 0).any()):
        raise ValueError("candles must ascend by their open time")


def bars_table(
    market_id: int, symbol: str, bars: Bars, ingested_at: int, timeframe_ms: int
) -> pa.Table:
    """Rows of `canonical_candles_1m`, of longer bars of `canonical_candles_coarse`."""
    count = len(bars.ts_open)
    columns = [
        pa.array(np.full(count, market_id, np.uint16)),
        pa.repeat(symbol, count),
        pa.array(bars.ts_open).cast(SCHEMA.field("ts_open").type),
        *(pa.array(column, pa.float64()) for column in bars.values()),
        pa.repeat(pa.scalar(ingested_at, SCHEMA.field("ingested_at").type), count),
    ]
    if timeframe_ms == MINUTE_MS:
        return pa.Table.from_arrays(columns, schema=SCHEMA)
    columns.append(pa.repeat(pa.scalar(timeframe_ms, pa.uint32()), count))
    return pa.Table.from_arrays(columns, schema=COARSE_SCHEMA)


def files_table(
    market_id: int, symbol: str, said: Known, files: Sequence[ImportedFile], imported_at: int
) -> pa.Table:
    """Rows of `instruments`: files that were imported whole, and what was said with them."""
    columns = {
        "market_id": pa.array([market_id], pa.uint16()),
        "symbol": pa.array([symbol]),
        "timeframe_ms": pa.array([said.timeframe_ms], pa.uint32()),
        "sessions": pa.array([int(said.sessions)], pa.uint8()),
        "has_volume": pa.array([int(said.has_volume)], pa.uint8()),
        "original": pa.array([said.original]),
        "phase_ms": pa.array([said.phase_ms], pa.uint32()),
        "imported_at": pa.array([imported_at], SCHEMA.field("ingested_at").type),
    }
    repeated = {name: pa.repeat(column[0], len(files)) for name, column in columns.items()}
    return pa.table(
        {
            **repeated,
            "file": pa.array([file.name for file in files]),
            "sha256": pa.array([file.sha256 for file in files]),
            "rows": pa.array([file.rows for file in files], pa.uint64()),
        }
    )


def compared(bars: Bars, present: Bars) -> Compared:
    """Compare bars with those that are present; both are ascending."""
    differing = changed(bars, present).ts_open
    other = np.intersect1d(differing, present.ts_open, assume_unique=True)
    ends = (int(other[0]), int(other[-1])) if len(other) else (0, 0)
    new, same = len(differing) - len(other), len(bars) - len(differing)
    return Compared(new, len(other), same, *ends)


def changed(minutes: Bars, present: Bars) -> Bars:
    """Pick those of `minutes` that `present` lacks or holds with other bits; both are ascending."""
    position = np.searchsorted(present.ts_open, minutes.ts_open)
    known = position < len(present.ts_open)
    known[known] = present.ts_open[position[known]] == minutes.ts_open[known]
    equal = known.copy()
    for ours, theirs in zip(minutes.values(), present.values(), strict=True):
        bits = np.ascontiguousarray(ours).view(np.int64)
        equal[known] &= bits[known] == np.ascontiguousarray(theirs).view(np.int64)[position[known]]
    return minutes.take(~equal)
