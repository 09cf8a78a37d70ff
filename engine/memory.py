"""What a sweep keeps in memory, by arithmetic: budgets, and how planes share theirs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.outcomes import PLACES

PLANES_BYTES = 256 * 2**20
"""What planes take at most, unless blocks that must be held whole take more."""

STREAM_BYTES = 32 * 2**20
"""What the streamed block's part takes at most. A larger part would save no work in stage A."""

MIN_ROWS = 64
"""A streamed block gets room for so many variants even if that breaks the budget."""

CHUNK_BYTES = 2 * 2**20
"""Indicator values, and packed comparisons, that a thread holds at a time: they fit a cache."""

ALONE_BYTES = 2 * 2**20
"""What planes of variants that were asked for one by one take at most."""

CHUNK_ROWS = 4
"""But at least as many indicator rows as kernels work on side by side."""

PIECE_VARIANTS = 2**14
"""Variants that one thread scores before it hands its finds over."""

PIECES_AHEAD = 3
"""Pieces that wait per thread, so that none idles while finds are taken in."""

HITS_BYTES = 16 * 2**20
"""Hits of risk levels that a thread holds at a time, unless one level of each kind takes more."""

RECORDS_BYTES = 256 * 2**20
"""What is recorded of base variants takes at most; of more variants every so many are recorded."""

RECORD_BYTES = 1 + 4 * 8 + 2 * 4 * 16
"""What is recorded of one, in 16 blocks; which outcome it is comes on top."""

TEST_SIGNALS = 2**12
"""Signal variants whose comparisons are told apart at a time."""

# Bytes of one item, at most. Measured where libraries allocate: tests/engine/test_memory.py.
_FIND_BYTES = 9 * 8  # index, ruin, number of trades, three metrics, signature, weight
_ROW_BYTES = 112  # a row of a tile while like ones are found: its identity, twice, and its place
_RANKED_BYTES = 400  # a place in a top list, the room to fill before it is cut, and its sorting
_GROUPED_BYTES = 96  # a shortlisted variant: its index, its order, its group, its twins
_TALLY_BYTES = 2 * 8 * PLACES  # histograms of total return and of the primary metric
_DIGIT_BYTES = 3 * 8  # ... and per block its number, copies of it, its chunk
_TABLE_BYTES = 160  # a block variant in the tables of parameters, signals and comparisons
_TEST_BYTES = 400  # a signal variant while comparisons are told apart
# Cash, safe, trades and ruin of a risk combination, the levels of its target, where it is hit; its
# columns and the sum of its trades while it is signed.
_BALANCE_BYTES = 11 * 8
_KEPT_HITS_BYTES = 12 * 2**16  # of runs that will be signed: `hits.KEPT_HITS`
_LEDGER_BYTES = 6 * 8 + 1 + 2 * 4  # a trade, and where its run ends by itself
_HIT_BYTES, _PRICED_HIT_BYTES = 4, 12  # a bar; and a price, where stops fill inside bars
_SCRATCH_BYTES = 1200  # of a plane word: planes, changes, events of one variant, all its starts
_CANDLE_BYTES = 6 * 8  # open time, four prices, volume
# Closes, reciprocals, times, block extremes, doublings and finding them; where orders fill at other
# prices: these, and what is reached.
_MARKET_BYTES = 11 * 8
# Who is liquidated where, what holding has cost up to each bar, and making them.
_CHARGES_BYTES = 22 * 8
# Candles of all larger timeframes of blocks, and who sees them: 1.1 larger bars a bar, at most.
_LARGER_BYTES = 9 * 8
_SERIES_BYTES = 9 * 8  # inputs of an indicator, what its rule compares with, what its kernel needs
_REPORT_BYTES = 210  # a bar while a variant is reported that trades on every bar
# A record; which outcome it is, and their order; growths of the distinct ones; orders of scores by
# cell, for surfaces.
_RECORDED_BYTES = RECORD_BYTES + 6 * 8 + 4 * 16 + 60
_START_BYTES = 8 * 2**20  # what Python and libraries load when they are first used


def row_bytes(words: int) -> int:
    """Return the size of the LONG and SHORT planes of one variant."""
    return 2 * 8 * words


def levels_at_once(words: int, *, inside: bool = False) -> int:
    """Return of how many risk levels a thread may hold the hits of all runs.

    `inside`: stops fill inside bars, at prices of their own.
    """
    return max(3, HITS_BYTES // (hit_bytes(inside=inside) * 64 * words))


def hit_bytes(*, inside: bool) -> int:
    """Return the size of a hit of a risk level."""
    return _PRICED_HIT_BYTES if inside else _HIT_BYTES


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a search: of how many variants, and whether it is repeated on draws."""

    recorded: int
    draws: bool

    @classmethod
    def of(cls, validation: Mapping[str, Any] | None, base_total: int) -> "Asked | None":
        """Return what the normal form of `validation` wants of so many base variants."""
        if validation is None:
            return None
        recorded = bool(validation["splits"] or validation["walk_forward"])
        return cls(
            recorded * min(base_total, RECORDS_BYTES // RECORD_BYTES), bool(validation["draws"])
        )


@dataclass(frozen=True, slots=True)
class Work:
    """What decides how much a sweep keeps besides planes.

    `bars` are all, `words` those of the traded ones; `totals` the variants of the blocks; `kept`
    and `listed` the lengths of the shortlist and of the final list; `recorded` whether variants are
    ranked by more than their final balance, `inside` whether stops fill inside bars, `larger`
    whether blocks have timeframes of their own, `charged` whether there is leverage or carry.
    `asked` is what is asked of the search, if anything.
    """

    bars: int
    words: int
    totals: Sequence[int]
    kept: int
    listed: int
    recorded: bool
    threads: int
    inside: bool = False
    larger: bool = False
    charged: bool = False
    asked: Asked | None = None

    @property
    def bytes(self) -> int:
        """At most so many bytes, whatever the data: candles, lists, threads and one report.

        They are added up although they are not needed at once: the allocator keeps for a thread
        what it has freed.
        """
        lists = (
            (self.kept + self.listed) * _RANKED_BYTES
            + self.kept * (_GROUPED_BYTES + len(self.totals) * _DIGIT_BYTES)
            + sum(self.totals) * _TABLE_BYTES
        )
        alone = min(ALONE_BYTES, sum(self.totals) * row_bytes(self.words))
        lists += alone if self.asked is None else 2 * alone  # of the test, too
        bar = _CANDLE_BYTES + _MARKET_BYTES + _REPORT_BYTES
        bar += self.larger * _LARGER_BYTES + self.charged * _CHARGES_BYTES
        if self.asked is not None:
            bar += _CANDLE_BYTES + _MARKET_BYTES  # both parts, and what is derived for the test
            bar += self.asked.draws * (bar - _REPORT_BYTES)
            lists += self.asked.draws * lists
        found = 0 if self.asked is None else self.asked.recorded * _RECORDED_BYTES
        return _START_BYTES + bar * self.bars + lists + found + self.threads * self._thread

    @property
    def _thread(self) -> int:
        """What a thread needs: to compute planes, or to score variants, and for its finds."""
        chunk = max(CHUNK_BYTES, CHUNK_ROWS * 8 * self.bars)
        # Most kernels need two matrices of values beside their output.
        signals = 3 * chunk + CHUNK_BYTES + _SERIES_BYTES * self.bars + TEST_SIGNALS * _TEST_BYTES
        if self.larger:
            signals += max(CHUNK_BYTES, row_bytes(self.words))  # planes that are to be stretched
        bars = 64 * self.words
        prefixes = 2 * row_bytes(self.words) * (len(self.totals) + 1)  # of exit blocks too
        scoring = (
            _SCRATCH_BYTES * self.words + prefixes + PIECE_VARIANTS * (_BALANCE_BYTES + _ROW_BYTES)
        )
        if self.recorded:
            size = hit_bytes(inside=self.inside)
            hits = levels_at_once(self.words, inside=self.inside) * size * bars
            scoring += _LEDGER_BYTES * bars + hits
        else:
            scoring += _KEPT_HITS_BYTES
        return max(signals, scoring) + (
            (1 + PIECES_AHEAD) * PIECE_VARIANTS * _FIND_BYTES + _TALLY_BYTES
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """How many variants of each block are held at a time."""

    capacity: tuple[int, ...]  # per block
    streamed: int  # the largest block
    second: int  # the second largest, or the same if there is only one

    @classmethod
    def of(
        cls, totals: Sequence[int], signals: Sequence[int], words: int, memory_bytes: int
    ) -> "Layout":
        """Divide `memory_bytes` between blocks whose planes have `words` words each.

        `totals` are the variants of the blocks, `signals` their signal variants per indicator row.
        The largest block is streamed. The others are held whole, but for the second largest if it
        does not fit: then the largest is streamed once for each of its parts.
        """
        by_size = sorted(range(len(totals)), key=lambda b: -totals[b])
        streamed, second = by_size[0], by_size[min(1, len(totals) - 1)]
        capacity = list(totals)
        rows = memory_bytes // row_bytes(words) - sum(capacity[b] for b in by_size[2:])
        stream = STREAM_BYTES // row_bytes(words)
        if second != streamed:
            part = max(rows // 2, rows - stream)
            capacity[second] = _whole_rows(totals[second], signals[second], part)
            rows -= capacity[second]
        part = min(rows, stream)
        capacity[streamed] = _whole_rows(totals[streamed], signals[streamed], part)
        return cls(tuple(capacity), streamed, second)

    @property
    def rows(self) -> int:
        """How many variants are held in all."""
        return sum(self.capacity)


def _whole_rows(total: int, signals: int, room: int) -> int:
    """Return how many of a block's variants to hold, whole indicator rows if more than one."""
    room = max(room, MIN_ROWS)
    if room >= total:
        return total
    return room // signals * signals if room > signals else room
