"""What a unit of work costs: crossings of ever faster averages, and the line fitted to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.ours import Engine
from benchmarks.timing import take_turns
from benchmarks.workload import crossings, year

DENSITIES = (46, 200, 400, 600, 790, 1000, 1500, 3000, 6000, 9700)
VARIANTS = 64


@dataclass(frozen=True)
class Density:
    """What a variant of so many words and position changes took."""

    words: int
    changes: float
    ns: float

    def __str__(self) -> str:
        return (
            f"{self.changes:7.0f} changes, {self.changes / self.words:5.2f} per word: "
            f"{self.ns / 1e3:7.3f} µs, {self.ns / self.changes:6.2f} ns per change"
        )


@dataclass(frozen=True)
class UnitCost:
    """Nanoseconds of a word and of a position change: work of any shape in one currency."""

    word: float
    change: float

    @classmethod
    def fitted(cls, measured: Sequence[Density]) -> "UnitCost":
        """Fit the densities of up to two changes per word."""
        sparse = [row for row in measured if row.changes <= 2 * row.words]
        work = np.array([(row.words, row.changes) for row in sparse], np.float64)
        (word, change), *_ = np.linalg.lstsq(work, np.array([row.ns for row in sparse]))
        return cls(float(word), float(change))

    def of(self, words: float, changes: float) -> float:
        """Return the nanoseconds that a variant should take."""
        return self.word * words + self.change * changes

    def __str__(self) -> str:
        return f"{self.word:.2f} ns per word + {self.change:.2f} ns per change"


def densities(repeats: int) -> list[Density]:
    """Time crossings with about `DENSITIES` changes on one thread, in turns."""
    candles = year()
    engines = []
    for wanted in DENSITIES:
        work = crossings(candles, VARIANTS, wanted)
        engines.append((work.changes(), Engine(work)))
    times = take_turns([(f"{changes:.0f}", engine.stage_a) for changes, engine in engines], repeats)
    return [
        Density(engine.words, changes, 1e9 * times[f"{changes:.0f}"].best / engine.scored)
        for changes, engine in engines
    ]
