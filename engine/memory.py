"""What a sweep keeps in memory, by arithmetic: budgets, and how planes share theirs."""

from collections.abc import Sequence
from dataclasses import dataclass

PLANES_BYTES = 256 * 2**20
"""What planes take at most, unless blocks that must be held whole take more."""

STREAM_BYTES = 32 * 2**20
"""What the streamed block's part takes at most. A larger part would save no work in stage A."""

MIN_ROWS = 64
"""A streamed block gets room for so many variants even if that breaks the budget."""

CHUNK_BYTES = 2 * 2**20
"""Indicator values, and packed comparisons, that a thread holds at a time: they fit a cache."""

CHUNK_ROWS = 4
"""But at least as many indicator rows as kernels work on side by side."""

PIECE_VARIANTS = 2**14
"""Variants that one thread scores before it hands its finds over."""

PIECES_AHEAD = 3
"""Pieces that wait per thread, so that none idles while finds are taken in."""

HITS_BYTES = 16 * 2**20
"""Hits of risk levels that a thread holds at a time, unless one level of each kind takes more."""

_FIND_BYTES = 4 * 8  # index, number of trades, two metrics
_RANKED_BYTES = 150  # a place in the top list, the room to fill before it is cut, and its sorting
_HIT_BYTES = 4
_CANDLE_BYTES = 6 * 8  # open time, four prices, volume
_MARKET_BYTES = 10 * 8  # closes, reciprocals, times, and an equity curve while it is reported
_INPUT_BYTES = 4 * 8  # copies of what an indicator reads


def row_bytes(words: int) -> int:
    """Return the size of the LONG and SHORT planes of one variant."""
    return 2 * 8 * words


def levels_at_once(words: int) -> int:
    """Return for how many risk levels a thread may hold the hits of every run."""
    return max(3, HITS_BYTES // (_HIT_BYTES * 64 * words))


def working_bytes(bars: int, kept: int, threads: int) -> int:
    """Return what a sweep over `bars` bars takes besides planes.

    Two matrices of indicator values per thread: most kernels need one beside their output.
    """
    chunk = max(CHUNK_BYTES, CHUNK_ROWS * 8 * bars)
    thread = (
        2 * chunk
        + CHUNK_BYTES
        + _INPUT_BYTES * bars
        + (1 + PIECES_AHEAD) * PIECE_VARIANTS * _FIND_BYTES
    )
    return (_CANDLE_BYTES + _MARKET_BYTES) * bars + threads * thread + kept * _RANKED_BYTES


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
