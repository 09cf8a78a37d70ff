"""The bounded list of distinct outcomes in a total order, so that partial lists merge exactly."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.kernels.measures import RUINED, TOO_FEW_TRADES, UNDEFINED, WORST_TIER
from engine.kernels.twins import take_in
from engine.metric_names import ASCENDING

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Words = NDArray[np.uint64]
Entries = NDArray[np.void]

# Candidates are collected until there are so many per place before the worst are dropped.
SLACK = 2
MIN_ROOM = 4096
FRESH = 8  # the cut is found anew after so many parts of the places

ENTRY = np.dtype(
    [
        ("tier", np.int64),
        ("key", np.float64),  # the primary metric, negated where larger is better; 0 if undefined
        ("second_undefined", np.int64),
        ("second_key", np.float64),
        ("return_key", np.float64),  # total return, negated
        ("trades_key", np.int64),  # number of trades, negated
        # All up to here and the signature make the outcome: equal bits, as none is NaN or -0.
        ("high", np.uint64),
        ("low", np.uint64),
        ("index", np.int64),
        ("weight", np.int64),  # how many variants this one stands for
    ]
)
Cut = tuple[int, float]
NO_CUT: Cut = (WORST_TIER, np.inf)
FIELDS = ENTRY.names or ()
ORDER = FIELDS[:9]


@dataclass(frozen=True, slots=True)
class Best:
    """What decides about the first place: its tier, smaller is better, and its primary metric.

    The metric is 0 where it is undefined.
    """

    metric: str
    tier: int
    value: float

    def better_than(self, other: "Best") -> bool:
        """Tell whether this one ranks before another of the same metric, and not only beside it."""
        mine, others = ((one.tier, _sign(self.metric) * one.value) for one in (self, other))
        return mine < others

    def stored(self) -> float | None:
        """Return the metric as JSON can hold it: None where it is undefined or infinite."""
        defined = self.tier % 2 != UNDEFINED and math.isfinite(self.value)
        return self.value if defined else None


class TopList:
    """The best `capacity` outcomes seen so far; nothing in it is a Python object per variant.

    Order: ruined variants last, then those with fewer than `min_trades` trades, then an undefined
    (NaN) primary metric, the primary metric, an undefined secondary metric, the secondary metric,
    the total return, the number of trades, the signature, the index. `max_drawdown_pct` ascends,
    every other metric descends; +inf is the best value of those.

    Variants that are equal in all of this but the index are one outcome: twins. The lowest index
    stands for them, and they are counted. Twins are folded before anything is dropped, and an
    outcome that ranks among the best of all ranks among the best of each part it occurs in; so any
    division of variants into offers and lists gives the same list and the same counts. Without
    `distinct` each variant is an outcome of its own. A variant must be offered once only.

    A list of a part, of which it is known what will not stay in the list of all, begins with a
    `cut`: that of a list of other parts. What is worse need not be offered to it.
    """

    def __init__(
        self,
        capacity: int,
        primary: str,
        secondary: str | None = None,
        min_trades: int = 0,
        *,
        distinct: bool = True,
        cut: Cut = NO_CUT,
    ) -> None:
        self.capacity = capacity
        self.primary = primary
        self.secondary = secondary
        self.min_trades = min_trades
        self.distinct = distinct
        self._entries = np.empty(capacity + max(MIN_ROOM, (SLACK - 1) * capacity), ENTRY)
        # Of twice as many slots, and a power of two; only distinct outcomes are looked up.
        slots = 1 << (2 * len(self._entries)).bit_length() if distinct else 0
        self._slots = np.zeros(slots, np.int32)
        self._used = 0
        self._cut_at = capacity  # so many entries are needed to find a better cut
        self._ranked = True  # what is used is distinct, within the capacity and in rank order
        # No better list can come of a variant with a larger (tier, key) than this.
        self._cut = cut

    def offer(
        self,
        indexes: Int64,
        *,
        ruined: NDArray[np.bool_],
        trades: Int64,
        primary: Float64,
        secondary: Float64,
        total_return: Float64,
        signature: Words,
        weights: Int64,
    ) -> None:
        """Take in variants by arrays of one length; a NaN figure is undefined.

        `signature` uint64[n, 2] identifies what a variant does; `weights` int64[n] says how many
        variants, of which it is the lowest, it stands for.
        """
        entries = np.empty(len(indexes), ENTRY)
        undefined, second_undefined = np.isnan(primary), np.isnan(secondary)
        few = trades < self.min_trades
        entries["tier"] = RUINED * ruined + TOO_FEW_TRADES * few + UNDEFINED * undefined
        entries["key"] = np.where(undefined, 0.0, _sign(self.primary) * primary) + 0.0
        entries["second_undefined"] = second_undefined
        entries["second_key"] = (
            np.where(second_undefined, 0.0, _sign(self.secondary) * secondary) + 0.0
        )
        entries["return_key"] = np.where(np.isnan(total_return), np.inf, -total_return) + 0.0
        entries["trades_key"] = -trades
        entries["high"] = signature[:, 0]
        entries["low"] = signature[:, 1]
        entries["index"] = indexes
        entries["weight"] = weights if self.distinct else 1
        self.take(entries)

    def merge(self, other: "TopList") -> None:
        """Take in another list of the same order. Raises what `check` raises."""
        self.check(other)
        self.take(other._entries[: other._used])

    def check(self, other: "TopList") -> None:
        """Raise `ValueError` unless another list can be merged into this one.

        It cannot when the order differs, or when it may have dropped what has a place in this one.
        """
        if self._order() != other._order():
            raise ValueError(f"lists of different order: {self._order()} and {other._order()}")
        if len(other) == other.capacity < self.capacity:
            raise ValueError(
                f"a full list of {other.capacity} places lacks what a list of {self.capacity} needs"
            )

    def ranked(self) -> Entries:
        """Return a copy of the entries ENTRY[k], in rank order."""
        self._rank()
        return self._entries[: self._used].copy()

    def take(self, entries: Entries) -> None:
        """Take in entries of lists of the same order, each variant once only."""
        start = self._append(entries, 0)
        while start < len(entries):
            self._drop()
            start = self._append(entries, start)
        if self._used >= self._cut_at:
            self._cut = _edge(self._entries[: self._used], self.capacity)
            self._cut_at = self._used + self.capacity // FRESH + 1

    def cut(self) -> Cut:
        """Return (tier, key): a variant that is larger in these two would not stay.

        `tier` adds 4 for ruin, 2 for too few trades and 1 for an undefined primary metric; `key` is
        the primary metric with the sign that makes smaller better. They are those of the last
        place, once there are as many outcomes as places.
        """
        return self._cut

    def __len__(self) -> int:
        self._rank()
        return self._used

    def indexes(self) -> Int64:
        """Return int64[k]: of each outcome the variant with the lowest index, in rank order."""
        indexes: Int64 = self._column("index")
        return indexes

    def twins(self) -> Int64:
        """Return int64[k]: how many variants share each outcome, in rank order."""
        twins: Int64 = self._column("weight")
        return twins

    def best(self) -> Best:
        """Return what decides about the first place; raises IndexError without any variant."""
        sign = _sign(self.primary)
        tier, key = int(self._column("tier")[0]), float(self._column("key")[0])
        return Best(self.primary, tier, sign * key + 0.0)

    def scores(self) -> tuple[Float64, Float64]:
        """Return primary and secondary metric in rank order; NaN is undefined (or not asked)."""
        undefined = self._column("tier") % 2 == UNDEFINED
        return (
            np.where(undefined, np.nan, _sign(self.primary) * self._column("key") + 0.0),
            np.where(
                self._column("second_undefined") == 1,
                np.nan,
                _sign(self.secondary) * self._column("second_key") + 0.0,
            ),
        )

    def _order(self) -> tuple[str, str | None, int, bool]:
        return self.primary, self.secondary, self.min_trades, self.distinct

    def _column(self, name: str) -> Any:
        self._rank()
        return np.ascontiguousarray(self._entries[: self._used][name])

    def _append(self, entries: Entries, start: int) -> int:
        """Take in what has room, twins always, of `entries[start:]`; return where that ends."""
        self._ranked = False
        if self.distinct:
            end, self._used = take_in(
                _rows(self._entries), self._used, _rows(entries), start, self._slots
            )
            return end
        stop = min(len(entries), start + len(self._entries) - self._used)
        self._entries[self._used : self._used + stop - start] = entries[start:stop]
        self._used += stop - start
        return stop

    def _drop(self) -> None:
        """Keep the best `capacity` outcomes, in no order, and tighten the cut."""
        entries = self._entries[: self._used]
        if len(entries) >= self.capacity:
            self._cut = _edge(entries, self.capacity)
            self._keep(_best(entries, self.capacity, *self._cut))

    def _rank(self) -> None:
        if self._ranked:
            return
        self._drop()
        entries = self._entries[: self._used]
        self._keep(entries[_rank(entries)])
        self._ranked = True

    def _keep(self, entries: Entries) -> None:
        """Hold these outcomes, a copy of some of those that are held, and no others."""
        self._used = 0
        self._slots[:] = 0
        self._append(entries, 0)
        self._cut_at = max(self.capacity, self._used + self.capacity // FRESH + 1)


def preload_kernels() -> None:
    """Compile, or load from the disk cache, the kernel of a list of distinct outcomes."""
    one, figure = np.zeros(1, np.int64), np.zeros(1)
    TopList(1, "total_return_pct").offer(
        one,
        ruined=np.zeros(1, np.bool_),
        trades=one,
        primary=figure,
        secondary=figure,
        total_return=figure,
        signature=np.zeros((1, 2), np.uint64),
        weights=one,
    )


def _rows(entries: Entries) -> Words:
    return entries.view(np.uint64).reshape(len(entries), len(FIELDS))


def _edge(entries: Entries, capacity: int) -> Cut:
    """Return (tier, key) of the worst of the best `capacity` of at least so many entries."""
    tier = entries["tier"]
    edge_tier = np.partition(tier, capacity - 1)[capacity - 1]
    places = capacity - int((tier < edge_tier).sum())
    return int(edge_tier), float(
        np.partition(entries["key"][tier == edge_tier], places - 1)[places - 1]
    )


def _best(entries: Entries, capacity: int, edge_tier: int, edge: float) -> Entries:
    """Return the best `capacity` entries, of which the worst has this tier and key."""
    tier, key = entries["tier"], entries["key"]
    on_edge = tier == edge_tier
    keep = (tier < edge_tier) | (on_edge & (key < edge))
    tied = np.flatnonzero(on_edge & (key == edge))
    keep[tied[_rank(entries[tied])[: capacity - int(keep.sum())]]] = True
    best: Entries = entries[keep]
    return best


def _rank(entries: Entries) -> NDArray[np.intp]:
    """Return the positions of entries in rank order."""
    keys = [entries[name] for name in reversed(ORDER)]  # the last one counts first
    return np.lexsort(keys)


def _sign(metric: str | None) -> float:
    return 1.0 if metric in ASCENDING else -1.0
