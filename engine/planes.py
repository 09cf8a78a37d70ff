"""Signal planes of all blocks, held in one array under a memory budget.

Bit i % 64 of word i // 64 is traded bar i. The largest block is streamed through its part of the
array; the second largest too, if it must be; smaller blocks, of which there are few variants, are
held whole. A stage computes a block variant once unless the second largest block is cut. Variants
that are asked for one by one, as for reports, are kept for a while: those of the best recur.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.blocks import Block
from engine.candles import Candles
from engine.kernels.inputs import words_for
from engine.larger import Larger
from engine.memory import ALONE_BYTES, Layout, row_bytes
from engine.rules import block_planes, larger_planes
from engine.timeframes import TIMEFRAMES
from engine.worker_threads import WorkerThreads

Bits = NDArray[np.uint64]
Int64 = NDArray[np.int64]

# Bars whose signals are computed between two batches, when the caller may stop the sweep.
PORTION_BARS = 24_000_000

FillPlanes = Callable[[Block, Candles, int, int, Bits, Bits], None]


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
        self.layout = Layout.of(
            [block.total for block in blocks],
            [len(block.signal_table) for block in blocks],
            words,
            memory_bytes,
        )
        starts = np.cumsum((0, *self.layout.capacity)).tolist()
        self._first_row = starts[:-1]
        self._held = [range(0)] * len(blocks)
        self._fill = fill
        larger = {block.timeframe for block in blocks if block.timeframe is not None}
        self._larger = {name: Larger.of(candles, TIMEFRAMES[name]) for name in larger}
        self._rows = int(starts[-1])
        self._alone: dict[tuple[int, int], tuple[Bits, Bits]] = {}
        self._most_alone = max(1, ALONE_BYTES // row_bytes(words))
        # Empty until something is held: who asks for single variants needs no room for others.
        self.long = np.empty((0, words), np.uint64)
        self.short = np.empty((0, words), np.uint64)

    def hold(self, block: int, numbers: range, threads: WorkerThreads) -> Iterator[None]:
        """Make variants `numbers` of a block present, at most its capacity; yields in between."""
        held = self._held[block]
        if held.start <= numbers.start and numbers.stop <= held.stop:
            return
        self._held[block] = range(0)
        if not len(self.long):
            self.long, self.short = (
                np.empty((self._rows, self.long.shape[1]), np.uint64) for _ in range(2)
            )
        for portion in self._portions(block, numbers, threads.count):
            threads.run(self._compute, [(block, numbers.start, part) for part in portion])
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
        if (block, number) not in self._alone:
            self._make_alone(block, number)
        long, short = self._alone[block, number]
        return long.copy(), short.copy()

    def _make_alone(self, block: int, number: int) -> None:
        """Compute one variant, and forget the one that was made first where there are too many."""
        long = np.empty((1, self.long.shape[1]), np.uint64)
        short = np.empty_like(long)
        self._write(block, range(number, number + 1), long, short)
        if len(self._alone) == self._most_alone:
            del self._alone[next(iter(self._alone))]
        self._alone[block, number] = long[0], short[0]

    def _compute(self, block: int, start: int, numbers: range) -> None:
        rows = slice(
            self._first_row[block] + numbers.start - start,
            self._first_row[block] + numbers.stop - start,
        )
        self._write(block, numbers, self.long[rows], self.short[rows])

    def _write(self, block: int, numbers: range, long: Bits, short: Bits) -> None:
        wanted = self.blocks[block]
        if wanted.timeframe is None:
            self._fill(wanted, self.candles, numbers.start, numbers.stop, long, short)
        else:
            larger = self._larger[wanted.timeframe]
            larger_planes(wanted, larger, numbers.start, numbers.stop, long, short)

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
