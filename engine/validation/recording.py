"""What is known of every base variant of a search: the pass over all of them that questions need.

It is made after the winners are known, so that a search that is resumed from its shortlist is asked
like any other. Of more variants than fit into memory every so many are recorded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.kernels.periods import Periods, Records
from engine.memory import RECORD_BYTES, RECORDS_BYTES
from engine.validation import GROWTH_LIMIT, GROWTH_UNIT, MOST_BLOCKS
from engine.validation.surfaces import coprime_stride

if TYPE_CHECKING:
    from engine.sweep import Sweep

Int64 = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """Records of base variants 0, stride, 2 * stride, ..., and who of them may be chosen.

    `eligible` bool[K]: not ruined, enough trades, a defined return. `outcomes` int64[N] are the
    places of the eligible ones in ascending order, one for each outcome, by the lowest index: those
    that grew alike in every block, with as many entries in each, are one.
    """

    records: Records
    eligible: Bools
    outcomes: Int64

    @classmethod
    def of(cls, records: Records, min_trades: int) -> "Recorded":
        """Tell who of the recorded may be chosen."""
        eligible = ~records.ruined & (records.trades >= min_trades)
        eligible &= np.isfinite(records.total_return)
        places = np.flatnonzero(eligible)
        return cls(records, eligible, places[first_of_each(records.identity[places])])


def record(sweep: "Sweep", blocks: int, report: Callable[[int], None]) -> Recorded:
    """Record the base variants of a sweep; `report` is told how many are done."""
    total = sweep.grid.base_total
    stride = coprime_stride(total, RECORDS_BYTES // RECORD_BYTES)
    records = new_records(-(-total // stride), stride, blocks)
    periods = periods_of(len(sweep.closes), blocks, sweep.market.day_ends)
    for processed in sweep.record(periods, records):
        report(processed)
    return Recorded.of(records, sweep.request.ranking.min_trades)


def edges_of(bars: int, blocks: int) -> Int64:
    """Return int64[S + 1]: block b of so many bars is bars [⌊b·n/S⌋, ⌊(b+1)·n/S⌋).

    Of fewer bars than blocks some are empty, in which nothing grows.
    """
    return np.arange(blocks + 1) * bars // blocks


def periods_of(bars: int, blocks: int, day_ends: Int64) -> Periods:
    """Return blocks and days, which end on the bars int64[D], of so many bars."""
    block_ends = edges_of(bars, blocks)[1:] - 1
    there = block_ends >= 0
    ends = np.union1d(block_ends[there], day_ends)
    return Periods(
        ends=ends,
        of=np.searchsorted(ends, np.arange(bars)).astype(np.uint32),
        blocks=np.where(there, np.searchsorted(ends, block_ends), -1),
        days=np.searchsorted(ends, day_ends),
        unit=float(GROWTH_UNIT),
        limit=float(GROWTH_LIMIT),
    )


def first_of_each(keys: NDArray[np.uint64]) -> Int64:
    """Return the places at which a key uint64[N] is for the first time, in ascending order."""
    order = np.argsort(keys)
    ordered = keys[order]
    begins = np.flatnonzero(
        np.concatenate((ordered[:1] == ordered[:1], ordered[1:] != ordered[:-1]))
    )
    return np.sort(np.minimum.reduceat(order, begins)) if len(keys) else order


def new_records(count: int, stride: int, blocks: int = MOST_BLOCKS) -> Records:
    """Return room for the records of so many variants."""
    return Records(
        stride=stride,
        ruined=np.empty(count, np.bool_),
        trades=np.empty(count, np.int64),
        primary=np.empty(count),
        total_return=np.empty(count),
        sharpe=np.empty(count),
        growth=np.empty((count, blocks), np.int32),
        entries=np.empty((count, blocks), np.int32),
        identity=np.empty(count, np.uint64),
    )
