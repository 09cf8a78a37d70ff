"""Bars as the engine sees them: a timeline of float64 arrays and its traded slice.

It is gapless, but for a market that closes (an instrument with sessions): of that it has the bars
there are.

All times are int64 milliseconds since the Unix epoch (UTC). A bar is named by the time it opens
and known at the time it closes. A range trades the bars that lie in it whole, as exchanges label
candles: `1d [Jan 1, Jan 8)` trades the candles of Jan 1..7.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.funding import Funding
from engine.sessions import missing
from engine.timeframes import TIMEFRAMES

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]


class NoMarketData(Exception):
    """No bucket of the traded range has a minute."""


class Bars(Protocol):
    """Candles as a structure of arrays of one length, ascending by `ts_open`, gaps allowed.

    The candle store's own type fits, so does the synthetic generator's: the engine knows neither.
    """

    @property
    def ts_open(self) -> Int64:
        """Milliseconds since the epoch."""

    @property
    def open(self) -> Float64:
        """First price."""

    @property
    def high(self) -> Float64:
        """Highest price."""

    @property
    def low(self) -> Float64:
        """Lowest price."""

    @property
    def close(self) -> Float64:
        """Last price."""

    @property
    def volume(self) -> Float64:
        """Traded amount in the base asset."""


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """T bars of one timeframe; those from `first` on are traded, the others warm up.

    `ts_open` is int64[T] with `ts_open[i + 1] - ts_open[i] == timeframe_ms`; prices and volume are
    finite float64[T]. `filled` int64[F] are the positions of bars without a minute, ascending: they
    repeat the last close.

    All of `ts_open` leave the same rest when divided by the timeframe, 0 unless an instrument has a
    phase. With sessions the steps are multiples of the timeframe and no bar is filled: whoever
    counts bars counts those that there are. `missing` int64[M] are then the opens of bars of the
    asked range that should be there; it is None where every bar should.

    `funding` is what is paid while positions are held; it is None unless a request wants it as it
    is stored.
    """

    ts_open: Int64
    open: Float64
    high: Float64
    low: Float64
    close: Float64
    volume: Float64
    timeframe_ms: int
    first: int
    filled: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    missing: Int64 | None = None
    funding: Funding | None = None

    def close_time(self) -> Int64:
        """int64[T]: when each bar is complete, in ms."""
        return self.ts_open + self.timeframe_ms

    @property
    def traded_bars(self) -> int:
        """Number of bars on which positions may change."""
        return len(self.ts_open) - self.first

    def content_hash(self) -> str:
        """Hex sha256 of the arrays, the timeframe, the traded slice, and the funding if any.

        Equal hashes mean that a computation may be resumed on these candles.
        """
        digest = hashlib.sha256(f"{self.timeframe_ms} {self.first} {len(self.ts_open)}".encode())
        digest.update(np.ascontiguousarray(self.ts_open, dtype="<i8").data)
        for column in (self.open, self.high, self.low, self.close, self.volume):
            digest.update(np.ascontiguousarray(column, dtype="<f8").data)
        if self.funding is not None:
            digest.update(f"funding {len(self.funding)}".encode())
            digest.update(np.ascontiguousarray(self.funding.times, dtype="<i8").data)
            digest.update(np.ascontiguousarray(self.funding.rates, dtype="<f8").data)
        return digest.hexdigest()


def load_range(
    start_ms: int, end_ms: int, timeframe_ms: int, warmup_bars: int, phase_ms: int = 0
) -> tuple[int, int]:
    """Minutes `[from_ms, to_ms)` to read for a traded range `[start_ms, end_ms)`.

    The first traded bar is the one that opens at or right after the start. Bars open `phase_ms`
    after multiples of the timeframe.
    """
    first_open = -(-(start_ms - phase_ms) // timeframe_ms) * timeframe_ms + phase_ms
    return first_open - warmup_bars * timeframe_ms, end_ms


def timeline(
    rows: Bars, *, start_ms: int, end_ms: int, timeframe_ms: int, phase_ms: int = 0
) -> Candles:
    """Make the gapless timeline of the rolled-up buckets `rows` and find its traded slice.

    An empty bucket between two others repeats the last close with volume 0. Nothing is invented
    before the first bucket or after the last one. A bar is traded when it opens at `start_ms` or
    later and closes at `end_ms` or before; later bars are cut off.

    Raises `NoMarketData` when no bucket of `rows` is in the traded range, `ValueError` when `rows`
    are not ascending or do not open `phase_ms` after multiples of the timeframe.
    """
    _check_rows(rows, start_ms, end_ms, timeframe_ms, phase_ms)
    bucket = (rows.ts_open - phase_ms) // timeframe_ms
    length = int(bucket[-1] - bucket[0]) + 1
    filled = np.arange(length, dtype=np.int64)
    # Row of `rows` that each bar is, or repeats.
    origin = np.searchsorted(bucket - bucket[0], filled, side="right") - 1
    empty = (bucket - bucket[0])[origin] != filled
    ts_open = filled * timeframe_ms + rows.ts_open[0]
    keep = slice(0, int(np.searchsorted(ts_open + timeframe_ms, end_ms, side="right")))

    last_close = rows.close[origin]

    def column(values: Float64) -> Float64:
        return np.ascontiguousarray(np.where(empty, last_close, values[origin])[keep], np.float64)

    return Candles(
        ts_open=np.ascontiguousarray(ts_open[keep]),
        open=column(rows.open),
        high=column(rows.high),
        low=column(rows.low),
        close=column(rows.close),
        volume=np.ascontiguousarray(np.where(empty, 0.0, rows.volume[origin])[keep], np.float64),
        timeframe_ms=timeframe_ms,
        first=int(np.searchsorted(ts_open, start_ms, side="left")),
        filled=np.flatnonzero(empty[keep]),
    )


def session_timeline(
    rows: Bars,
    *,
    start_ms: int,
    end_ms: int,
    timeframe_ms: int,
    warmup_bars: int,
    phase_ms: int = 0,
) -> Candles:
    """Make the timeline of an instrument with sessions: the bars there are, none filled.

    `warmup_bars` are the last ones that open before `start_ms`, or as many as there are. Other rows
    tell when the market is closed: `missing` says how.

    Raises what `timeline` raises.
    """
    _check_rows(rows, start_ms, end_ms, timeframe_ms, phase_ms)
    first = int(np.searchsorted(rows.ts_open, start_ms, side="left"))
    begin = max(0, first - warmup_bars)
    kept = slice(begin, int(np.searchsorted(rows.ts_open + timeframe_ms, end_ms, side="right")))

    def column(values: Float64) -> Float64:
        return np.ascontiguousarray(values[kept], np.float64)

    return Candles(
        ts_open=np.ascontiguousarray(rows.ts_open[kept]),
        open=column(rows.open),
        high=column(rows.high),
        low=column(rows.low),
        close=column(rows.close),
        volume=column(rows.volume),
        timeframe_ms=timeframe_ms,
        first=first - begin,
        missing=missing(rows.ts_open, timeframe_ms, start_ms, end_ms),
    )


def _check_rows(rows: Bars, start_ms: int, end_ms: int, timeframe_ms: int, phase_ms: int) -> None:
    """Raise `ValueError` for rows that are no buckets, `NoMarketData` where none is traded."""
    if (np.diff(rows.ts_open) <= 0).any() or (rows.ts_open % timeframe_ms != phase_ms).any():
        after = f" and {phase_ms} ms" if phase_ms else ""
        raise ValueError(f"buckets are not ascending multiples of {timeframe_ms} ms{after}")
    if not ((rows.ts_open >= start_ms) & (rows.ts_open + timeframe_ms <= end_ms)).any():
        raise NoMarketData(_no_data_message(rows, start_ms, end_ms, timeframe_ms))


def _no_data_message(rows: Bars, start_ms: int, end_ms: int, timeframe_ms: int) -> str:
    names = {ms: name for name, ms in TIMEFRAMES.items()}
    timeframe = names.get(timeframe_ms, f"{timeframe_ms} ms")
    asked = f"no {timeframe} bar lies between {utc(start_ms)} and {utc(end_ms)}"
    if len(rows.ts_open) == 0:
        return f"{asked}: there are no candles in this range or in the warm-up before it"
    first, last = int(rows.ts_open[0]), int(rows.ts_open[-1])
    return f"{asked}: the nearest candles are those from {utc(first)} to {utc(last)}"


def utc(ms: int) -> str:
    """Write a time as requests do, without milliseconds."""
    return f"{np.datetime64(ms // 1000, 's')}Z"
