"""Signal planes of all blocks, held in one array under a memory budget.

Bit i % 64 of word i // 64 is traded bar i. The largest block is streamed through its part of the
array; the second largest too, if it must be; smaller blocks, of which there are few variants, are
held whole. A block variant is computed once while everything fits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.candles import Candles
from engine.crew import Crew
from engine.grid import Block
from engine.kernels.inputs import words_for
from engine.rules import block_planes

Bits = NDArray[np.uint64]
Int64 = NDArray[np.int64]

# A streamed block gets room for so many variants even if that breaks the budget.
MIN_ROWS = 64
# Bars whose signals are computed between two looks at the outside world.
PORTION_BARS = 24_000_000

FillPlanes = Callable[[Block, Candles, int, int, Bits, Bits], None]


@dataclass(frozen=True, slots=True)
class Layout:
    """How many variants of each block are held at a time."""

    capacity: tuple[int, ...]  # per block
    streamed: int  # the largest block
    second: int  # the second largest, or the same if there is only one

    @classmethod
    def of(cls, blocks: Sequence[Block], words: int, memory_bytes: int) -> "Layout":
        """Divide `memory_bytes` between blocks whose planes have `words` words each."""
        by_size = sorted(range(len(blocks)), key=lambda b: -blocks[b].total)
        streamed, second = by_size[0], by_size[min(1, len(blocks) - 1)]
        capacity = [block.total for block in blocks]
        rows = memory_bytes // (2 * 8 * words) - sum(capacity[b] for b in by_size[2:])
        if second != streamed:
            capacity[second] = _part(blocks[second], rows // 2)
            rows -= capacity[second]
        capacity[streamed] = _part(blocks[streamed], rows)
        return cls(tuple(capacity), streamed, second)


def _part(block: Block, rows: int) -> int:
    """Return how many of a block's variants to hold, whole indicator rows if more than one."""
    rows = max(rows, MIN_ROWS)
    if rows >= block.total:
        return block.total
    signals = len(block.signal_table)
    return rows // signals * signals if rows > signals else rows


class PlaneStore:
    """Planes uint64[R, W] of the block variants that are held at the moment."""

    def __init__(
        self,
        blocks: Sequence[Block],
        candles: Candles,
        memory_bytes: int,
        *,
        fill: FillPlanes = block_planes,
    ) -> None:
        self.blocks = blocks
        self.candles = candles
        words = words_for(candles.traded_bars)
        self.layout = Layout.of(blocks, words, memory_bytes)
        starts = np.cumsum((0, *self.layout.capacity)).tolist()
        self._first_row = starts[:-1]
        self._held = [range(0)] * len(blocks)
        self._fill = fill
        self.long = np.empty((starts[-1], words), np.uint64)
        self.short = np.empty((starts[-1], words), np.uint64)

    def hold(self, block: int, numbers: range, crew: Crew) -> Iterator[None]:
        """Make variants `numbers` of a block present, at most its capacity; yields in between."""
        held = self._held[block]
        if held.start <= numbers.start and numbers.stop <= held.stop:
            return
        self._held[block] = range(0)
        for portion in self._portions(block, numbers, crew.threads):
            crew.run(self._compute, [(block, numbers.start, part) for part in portion])
            yield
        self._held[block] = numbers

    def row(self, block: int, number: int) -> int:
        """Return the row of a variant that is present."""
        return int(self._first_row[block]) + number - self._held[block].start

    def rows(self, numbers: Int64) -> Int64:
        """Return int64[V, B]: the plane rows of block variants int64[V, B], all present."""
        starts = [held.start for held in self._held]
        return numbers - np.array(starts, np.int64) + np.array(self._first_row, np.int64)

    def planes_of(self, block: int, number: int) -> tuple[Bits, Bits]:
        """Return uint64[W] LONG and SHORT of any variant, computed if it is not present."""
        if number in self._held[block]:
            row = self.row(block, number)
            return self.long[row].copy(), self.short[row].copy()
        long = np.empty((1, self.long.shape[1]), np.uint64)
        short = np.empty_like(long)
        self._fill(self.blocks[block], self.candles, number, number + 1, long, short)
        return long[0], short[0]

    def _compute(self, block: int, start: int, numbers: range) -> None:
        rows = slice(
            self._first_row[block] + numbers.start - start,
            self._first_row[block] + numbers.stop - start,
        )
        self._fill(
            self.blocks[block],
            self.candles,
            numbers.start,
            numbers.stop,
            self.long[rows],
            self.short[rows],
        )

    def _portions(self, block: int, numbers: range, threads: int) -> Iterator[list[range]]:
        """Cut variants into portions of one part per thread, along indicator rows if possible."""
        signals = len(self.blocks[block].signal_table)
        limit = max(1, PORTION_BARS // (64 * self.long.shape[1]))
        size = max(1, min(limit, -(-len(numbers) // threads)))
        size = -(-size // signals) * signals if size > signals else size
        parts = [
            range(start, min(start + size, numbers.stop))
            for start in range(numbers.start, numbers.stop, size)
        ]
        for first in range(0, len(parts), threads):
            yield parts[first : first + threads]
