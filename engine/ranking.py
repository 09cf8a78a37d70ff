"""The bounded top list under one total order, so that partial lists merge in any grouping."""

import numpy as np
from numpy.typing import NDArray

from engine.metric_names import ASCENDING

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

# Tier of a variant: the first three keys of the order in one number.
RUINED, TOO_FEW_TRADES, UNDEFINED = 4, 2, 1
WORST_TIER = RUINED + TOO_FEW_TRADES + UNDEFINED

# Candidates are collected until there are so many per place before the worst are dropped.
SLACK = 2
MIN_ROOM = 4096

ENTRY = np.dtype(
    [
        ("tier", np.int8),
        ("key", np.float64),  # the primary metric, negated where larger is better; 0 if undefined
        ("second_undefined", np.bool_),
        ("second_key", np.float64),
        ("return_key", np.float64),  # total return, negated
        ("trades_key", np.int64),  # number of trades, negated
        ("index", np.int64),
        ("primary", np.float64),
        ("secondary", np.float64),
    ]
)


class TopList:
    """The best `capacity` variants seen so far; nothing in it is a Python object per variant.

    Order: ruined variants last, then those with fewer than `min_trades` trades, then an undefined
    (NaN) primary metric, the primary metric, an undefined secondary metric, the secondary metric,
    the total return, the number of trades, the index. `max_drawdown_pct` ascends, every other
    metric descends; +inf is the best value of those. A variant must be offered once only.
    """

    def __init__(
        self, capacity: int, primary: str, secondary: str | None = None, min_trades: int = 0
    ) -> None:
        self.capacity = capacity
        self.primary = primary
        self.secondary = secondary
        self.min_trades = min_trades
        self._entries = np.empty(capacity + max(MIN_ROOM, (SLACK - 1) * capacity), ENTRY)
        self._used = 0
        # No better list can come of a variant with a larger (tier, key) than this.
        self._cut = (WORST_TIER, np.inf)

    def offer(
        self,
        indexes: Int64,
        *,
        ruined: NDArray[np.bool_],
        trades: Int64,
        primary: Float64,
        secondary: Float64,
        total_return: Float64,
    ) -> None:
        """Take in variants by arrays of one length; a NaN figure is undefined."""
        entries = np.empty(len(indexes), ENTRY)
        undefined = np.isnan(primary)
        entries["tier"] = (
            RUINED * ruined + TOO_FEW_TRADES * (trades < self.min_trades) + UNDEFINED * undefined
        )
        entries["key"] = np.where(undefined, 0.0, _sign(self.primary) * primary)
        entries["second_undefined"] = np.isnan(secondary)
        entries["second_key"] = np.where(
            entries["second_undefined"], 0.0, _sign(self.secondary) * secondary
        )
        entries["return_key"] = np.where(np.isnan(total_return), np.inf, -total_return)
        entries["trades_key"] = -trades
        entries["index"] = indexes
        entries["primary"] = primary
        entries["secondary"] = secondary
        self._take(entries)

    def merge(self, other: "TopList") -> None:
        """Take in another list of the same order. Raises `ValueError` when the order differs."""
        if self._order() != other._order():
            raise ValueError(f"lists of different order: {self._order()} and {other._order()}")
        self._take(other._entries[: other._used])

    def cut(self) -> tuple[int, float]:
        """Return (tier, key): a variant that is larger in these two would not stay.

        `tier` adds 4 for ruin, 2 for too few trades and 1 for an undefined primary metric; `key` is
        the primary metric with the sign that makes smaller better.
        """
        return self._cut

    def __len__(self) -> int:
        return min(self._used, self.capacity)

    def indexes(self) -> Int64:
        """Return int64[k]: the variants in rank order."""
        return np.ascontiguousarray(self._ranked()["index"])

    def twins(self) -> Int64:
        """Return int64[k]: how many variants share each outcome, in rank order."""
        return np.ones(len(self), np.int64)

    def scores(self) -> tuple[Float64, Float64]:
        """Return primary and secondary metric in rank order; NaN is undefined (or not asked)."""
        ranked = self._ranked()
        return np.ascontiguousarray(ranked["primary"]), np.ascontiguousarray(ranked["secondary"])

    def _order(self) -> tuple[str, str | None, int]:
        return self.primary, self.secondary, self.min_trades

    def _take(self, entries: NDArray[np.void]) -> None:
        """Append `entries` in portions, dropping the worst whenever the room is used up."""
        start = 0
        while start < len(entries):
            if self._used == len(self._entries):
                self._drop()
            stop = min(len(entries), start + len(self._entries) - self._used)
            self._entries[self._used : self._used + stop - start] = entries[start:stop]
            self._used += stop - start
            start = stop

    def _drop(self) -> None:
        """Keep the best `capacity` entries, in no order, and tighten the cut."""
        if self._used <= self.capacity:
            return
        entries = self._entries[: self._used]
        tier = entries["tier"]
        edge_tier = int(np.partition(tier, self.capacity - 1)[self.capacity - 1])
        better = tier < edge_tier
        on_edge = np.flatnonzero(tier == edge_tier)
        places = self.capacity - int(better.sum())
        keys = entries["key"][on_edge]
        edge = np.partition(keys, places - 1)[places - 1]
        keep = better
        keep[on_edge[keys < edge]] = True
        tied = on_edge[keys == edge]
        keep[tied[_rank(entries[tied])[: self.capacity - int(keep.sum())]]] = True
        self._entries[: self.capacity] = entries[keep]
        self._used = self.capacity
        self._cut = (edge_tier, float(edge))

    def _ranked(self) -> NDArray[np.void]:
        self._drop()
        entries = self._entries[: self._used]
        return entries[_rank(entries)]


def _rank(entries: NDArray[np.void]) -> NDArray[np.intp]:
    """Return the positions of entries in rank order."""
    keys = ("tier", "key", "second_undefined", "second_key", "return_key", "trades_key", "index")
    return np.lexsort([entries[key] for key in reversed(keys)])  # its last key counts first


def _sign(metric: str | None) -> float:
    return 1.0 if metric in ASCENDING else -1.0
