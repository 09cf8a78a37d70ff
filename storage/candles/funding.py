"""Rates of funding: what a store of candles holds of them besides, and what it refuses."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from storage.candles.records import MINUTE_MS, Float64, Int64

LARGEST_PCT = 10.0
"""A payment beyond it is no rate of any exchange: exchanges cap theirs far below."""


@dataclass(frozen=True, slots=True, eq=False)
class FundingRates:
    """Payments of one instrument, ascending: int64[P] ms since the epoch, float64[P] percent.

    Longs pay a positive rate to shorts, on the notional of their position.
    """

    times: Int64
    rates: Float64

    @classmethod
    def none(cls) -> "FundingRates":
        """Return a series without payments."""
        return cls(np.empty(0, np.int64), np.empty(0))

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class FundingSeries:
    """What a store holds of one instrument: how many rates, the times of the first and last."""

    market_id: int
    symbol: str
    rates: int
    first: datetime
    last: datetime


class FundingCompared(NamedTuple):
    """How many rates a store lacks, and how many it holds with other values.

    `first_ms` is the time of the first of those; 0 without any.
    """

    new: int
    changed: int
    first_ms: int


class FundingStore(ABC):
    """The part of a candle store that holds funding: one rate for an instrument and a time."""

    @abstractmethod
    def funding(self, market_id: int, symbol: str, from_ms: int, to_ms: int) -> FundingRates:
        """Read the payments of `[from_ms, to_ms)`; none where nothing is stored."""

    @abstractmethod
    def append_funding(self, market_id: int, symbol: str, rates: FundingRates) -> int:
        """Publish payments, which win over those already there; returns how many differed.

        Raises `ValueError` for what `check_funding` refuses.
        """

    @abstractmethod
    def funding_series(self) -> list[FundingSeries]:
        """List what there is, by market and symbol."""


def check_funding(rates: FundingRates) -> None:
    """Raise `ValueError` unless payments ascend by whole minutes and are at most 10 percent."""
    if len(rates.times) != len(rates.rates):
        raise ValueError("times and rates of funding differ in length")
    if (rates.times % MINUTE_MS != 0).any() or (np.diff(rates.times) <= 0).any():
        raise ValueError("payments of funding must ascend by whole minutes")
    if not (np.abs(rates.rates) <= LARGEST_PCT).all():  # NaN is refused as well
        raise ValueError(f"a rate of funding is at most {LARGEST_PCT:g} percent, or minus that")


def funding_table(market_id: int, symbol: str, rates: FundingRates, ingested_at: int) -> pa.Table:
    """Rows of `funding_rates`."""
    count, time_type = len(rates), pa.timestamp("ms", "UTC")
    return pa.table(
        {
            "market_id": pa.array(np.full(count, market_id, np.uint16)),
            "symbol": pa.repeat(symbol, count),
            "time": pa.array(rates.times).cast(time_type),
            "rate_pct": pa.array(rates.rates, pa.float64()),
            "ingested_at": pa.repeat(pa.scalar(ingested_at, time_type), count),
        }
    )


def changed_funding(rates: FundingRates, present: FundingRates) -> FundingRates:
    """Pick those that `present` lacks or holds with another value; both are ascending."""
    at = np.searchsorted(present.times, rates.times)
    same = at < len(present)
    same[same] = present.times[at[same]] == rates.times[same]
    same[same] = present.rates[at[same]] == rates.rates[same]
    return FundingRates(rates.times[~same], rates.rates[~same])


def compare_funding(rates: FundingRates, present: FundingRates) -> FundingCompared:
    """Count what publishing `rates` would add and change."""
    differing = changed_funding(rates, present).times
    other = np.intersect1d(differing, present.times, assume_unique=True)
    first = int(other[0]) if len(other) else 0
    return FundingCompared(len(differing) - len(other), len(other), first)
