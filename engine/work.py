"""How a stage is divided: what is held together, and pieces small enough for quick batches.

No result depends on any of it. Work is measured in *word scans*: going through one plane word of
one variant in a plain stage-A scan, a few nanoseconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.grid import Grid
from engine.memory import PIECE_VARIANTS, Layout, levels_at_once
from engine.metric_names import OF_THE_BALANCE, WALKING_BARS

Int64 = NDArray[np.int64]

TILE_BYTES = 512 * 2**10  # planes of the streamed block that stay in a core's cache
PIECE_SCANS = 2**22  # large enough that two threads do not wait for the interpreter
LEAST_PIECE_SCANS = 2**18
PIECES = 8  # what little work there is, is still divided between threads
# Cost of one word of one variant, in word scans.
TRADES_RECORDED = 4  # metrics that look at every trade or day
BARS_WALKED = 16  # metrics that look at every bar in position
RISK_SCANNED = 8  # finding the risk hits of all runs
COMBINATION = 0.25  # expanding one risk combination where the balance is all that is wanted
GOLDEN_RATIO = 0.6180339887498949

Numbers = Sequence[range]  # per block: the variants held together


class Part(NamedTuple):
    """A part of stage A: some variants of the two largest blocks × all variants of the others.

    Where there is one block only, `second` is range(1). A part needs the planes of no other.
    """

    streamed: range
    second: range


class Box(NamedTuple):
    """A piece of stage A: a part of the streamed block's variants × prefixes of the others."""

    streamed: range
    prefixes: range


class RiskPart(NamedTuple):
    """A part of each risk axis, by positions; of percents it is one."""

    sl: range
    tp: range
    tsl: range
    percent: range

    @property
    def combinations(self) -> int:
        """How many there are in this part."""
        return prod(map(len, self))


class Bundle(NamedTuple):
    """A piece of stage B: some base variants, expanded over a part of the risk grid."""

    bases: Int64
    risk: RiskPart


@dataclass(frozen=True, slots=True)
class Division:
    """Divides stage A, and shortlists, of one grid."""

    grid: Grid
    layout: Layout
    words: int
    metrics: frozenset[str | None]  # what variants are ranked by
    inside: bool = False  # whether stops fill inside bars

    @property
    def cost(self) -> int:
        """How many word scans the metrics of a variant cost per word."""
        if self.metrics & WALKING_BARS:
            return BARS_WALKED
        return TRADES_RECORDED if self.metrics - OF_THE_BALANCE - {None} else 1

    @property
    def strides(self) -> list[int]:
        """What one step of each block's variant adds to the base index."""
        totals = [block.total for block in self.grid.blocks]
        return [prod(totals[block + 1 :]) for block in range(len(totals))]

    def digits(self, bases: Int64) -> Int64:
        """Return int64[V, B]: the block variants of base indexes int64[V]."""
        totals = np.array([block.total for block in self.grid.blocks], np.int64)
        return bases[:, None] // np.array(self.strides, np.int64) % totals

    @property
    def whole(self) -> Part:
        """Return the part that is all of stage A."""
        blocks, layout = self.grid.blocks, self.layout
        second = blocks[layout.second].total if layout.second != layout.streamed else 1
        return Part(range(blocks[layout.streamed].total), range(second))

    def variants(self, part: Part) -> int:
        """Return how many base variants a part has; raises ValueError for one of another grid."""
        for mine, all_ in zip(part, self.whole, strict=True):
            if mine.step != 1 or mine.start < 0 or mine.stop > all_.stop:
                raise ValueError(f"{part} is not a part of {self.whole}")
        return prod(map(len, self._needed(part)))

    def chunks(self, part: Part) -> Iterator[Numbers]:
        """Yield what to hold, chunk after chunk, until a part of stage A is covered."""
        needed = self._needed(part)
        layout = self.layout
        if not all(needed):
            return
        for outer in (
            self._cut(layout.second, needed) if layout.second != layout.streamed else [None]
        ):
            for inner in self._cut(layout.streamed, needed):
                numbers = list(needed)
                numbers[layout.streamed] = inner
                if outer is not None:
                    numbers[layout.second] = outer
                yield numbers

    def _needed(self, part: Part) -> Numbers:
        needed = [range(block.total) for block in self.grid.blocks]
        needed[self.layout.second] = part.second
        # Of one block only, this is what counts.
        needed[self.layout.streamed] = part.streamed if part.second else range(0)
        return needed

    def _cut(self, block: int, needed: Numbers) -> list[range]:
        capacity, numbers = self.layout.capacity[block], needed[block]
        # Cut where every other range and the shortlist cut, so that chunks are never mixed.
        first = numbers.start // capacity * capacity
        return [
            range(max(at, numbers.start), min(at + capacity, numbers.stop))
            for at in range(first, numbers.stop, capacity)
        ]

    def boxes(self, numbers: Numbers) -> Iterator[Box]:
        """Cut the variants held together into pieces of stage A."""
        streamed = numbers[self.layout.streamed]
        prefixes = prod(len(part) for b, part in enumerate(numbers) if b != self.layout.streamed)
        scans = len(streamed) * prefixes * self.words * self.cost
        piece = min(PIECE_SCANS, max(LEAST_PIECE_SCANS, scans // PIECES))
        variants = max(1, min(PIECE_VARIANTS, piece // (self.words * self.cost)))
        cached = max(8, TILE_BYTES // (2 * 8 * self.words))
        rows = max(1, min(variants, len(streamed), max(cached, variants // prefixes)))
        deep = max(1, variants // rows)
        across = -(-len(streamed) // rows)
        for number in _scattered(across * -(-prefixes // deep)):
            row = streamed.start + number % across * rows
            prefix = number // across * deep
            yield Box(
                range(row, min(row + rows, streamed.stop)),
                range(prefix, min(prefix + deep, prefixes)),
            )

    def groups(self, bases: Int64) -> Iterator[tuple[Int64, Numbers]]:
        """Yield shortlisted base indexes whose planes can be held together, and what to hold."""
        if len(bases) == 0:
            return
        digits = self.digits(bases)
        capacity = self.layout.capacity
        outer, inner = self.layout.second, self.layout.streamed
        chunk = digits // np.array(capacity, np.int64)
        order = np.lexsort((digits[:, inner], chunk[:, inner], chunk[:, outer]))
        changes = np.diff(chunk[order][:, [outer, inner]], axis=0).any(axis=1)
        for part in np.split(order, np.flatnonzero(changes) + 1):
            lowest, highest = digits[part].min(axis=0), digits[part].max(axis=0)
            yield (
                bases[part],
                [range(int(a), int(b) + 1) for a, b in zip(lowest, highest, strict=True)],
            )

    def bundles(self, bases: Int64) -> Iterator[Bundle]:
        """Cut base indexes into pieces of stage B; the risk grid only where it is large."""
        cuts = self._risk_cuts()
        combinations = prod(len(axis[0]) for axis in cuts)  # no other part has more
        scans = self.words * (RISK_SCANNED + combinations * self._combination)
        variants = max(1, int(min(PIECE_SCANS / scans, PIECE_VARIANTS / combinations)))
        for start in range(0, len(bases), variants):
            for part in product(*cuts):
                yield Bundle(bases[start : start + variants], RiskPart(*part))

    @property
    def _combination(self) -> float:
        """What one more risk combination of a variant costs per word, in word scans."""
        return COMBINATION if self.cost == 1 else self.cost

    def _risk_cuts(self) -> list[list[range]]:
        """Cut each risk axis: a variant is expanded over one range of each at a time.

        The kernels are given one percent at a time: cash is a product then, as it is without.
        """
        risk = self.grid.risk
        lengths = (len(risk.sl), len(risk.tp), len(risk.tsl))
        in_time = (PIECE_SCANS / self.words - RISK_SCANNED) / self._combination
        levels = sum(lengths) if self.cost == 1 else levels_at_once(self.words, inside=self.inside)
        steps = _part_lengths(lengths, min(PIECE_VARIANTS, in_time), levels)
        axes = (risk.sl, risk.tp, risk.tsl, risk.percent)
        return [
            [range(at, min(at + step, len(axis))) for at in range(0, len(axis), step)]
            for step, axis in zip((*steps, 1), axes, strict=True)
        ]


def _scattered(count: int) -> Iterator[int]:
    """Yield each of range(count) once, neighbours far apart: a step of the golden ratio.

    Variants that lie together do alike. Where the best come last, in the order of the axes, nearly
    all that is scored would be better than the list so far.
    """
    step = max(1, round(count * GOLDEN_RATIO))
    while gcd(step, count) > 1:
        step += 1
    return (number * step % count for number in range(count))


def _part_lengths(
    lengths: tuple[int, int, int], combinations: float, levels: int
) -> tuple[int, int, int]:
    """Halve the longest side until a part has at most so many combinations and levels, or is one.

    Sides of like length have the fewest levels to scan for a number of combinations.
    """
    sides = list(lengths)
    while max(sides) > 1 and (prod(sides) > combinations or sum(sides) > levels):
        longest = sides.index(max(sides))
        sides[longest] = -(-sides[longest] // 2)
    return sides[0], sides[1], sides[2]
