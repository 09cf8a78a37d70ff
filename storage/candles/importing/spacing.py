"""Steps between the bars of files, and what is missing between them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from storage.candles.records import Int64

# Bars are taken for longer ones when so many steps are multiples of the most frequent one, and
# minutes would look so by chance this rarely.
MULTIPLES, CHANCE = 0.9, 0.05


@dataclass(slots=True)
class Spacing:
    """Steps between bars that follow each other in time."""

    steps: Counter[int] = field(default_factory=Counter)
    bars: int = 0
    first_ms: int = 0
    last_ms: int = 0
    widest: tuple[int, int] | None = None

    def add(self, times: Int64) -> bool:
        """Take the opens of the next bars; False, and nothing was taken: they do not ascend."""
        if len(times) == 0:
            return True
        before = [self.last_ms] if self.bars else []
        moments = np.concatenate((np.array(before, np.int64), times))
        steps = np.diff(moments)
        if len(steps):
            at = int(np.argmax(steps))
            if steps.min() <= 0:
                return False
            self._widen(int(moments[at]), int(moments[at + 1]))
            self._count(steps)
        if not self.bars:
            self.first_ms = int(times[0])
        self.bars += len(times)
        self.last_ms = int(times[-1])
        return True

    @classmethod
    def chained(cls, parts: Sequence[Self]) -> Self | None:
        """Join what is known of parts, in any order; None where two of them overlap."""
        joined = cls()
        for part in sorted(parts, key=lambda part: part.first_ms):
            if joined.bars:
                step = part.first_ms - joined.last_ms
                if step <= 0:
                    return None
                joined.steps[step] += 1
                joined._widen(joined.last_ms, part.first_ms)
            else:
                joined.first_ms = part.first_ms
            joined.steps.update(part.steps)
            if part.widest is not None:
                joined._widen(*part.widest)
            joined.bars += part.bars
            joined.last_ms = part.last_ms
        return joined

    def usual(self) -> int | None:
        """Return the most frequent step, of several the shortest; None without any."""
        return min(self.steps, key=lambda step: (-self.steps[step], step)) if self.steps else None

    def longer_than(self, step_ms: int) -> int:
        """Return how many steps are longer than one."""
        return sum(count for step, count in self.steps.items() if step > step_ms)

    def missing(self, timeframe_ms: int) -> tuple[int, int]:
        """Return how many gaps there are, and how many bars are missing in them."""
        gaps = {step: count for step, count in self.steps.items() if step > timeframe_ms}
        missing = sum(count * (step // timeframe_ms - 1) for step, count in gaps.items())
        return sum(gaps.values()), missing

    def longer_bars(self, timeframe_ms: int) -> tuple[int, int] | None:
        """Return step and number of steps that prove longer bars than the timeframe, or None."""
        step, total = self.usual(), sum(self.steps.values())
        if step is None or step <= timeframe_ms:
            return None
        multiples = sum(count for other, count in self.steps.items() if other % step == 0)
        by_chance = total * np.log(timeframe_ms / step) > np.log(CHANCE)
        return None if multiples < MULTIPLES * total or by_chance else (step, multiples)

    def _widen(self, before_ms: int, after_ms: int) -> None:
        if self.widest is None or after_ms - before_ms > self.widest[1] - self.widest[0]:
            self.widest = before_ms, after_ms

    def _count(self, steps: Int64) -> None:
        # Nearly all steps are alike: these are counted without sorting.
        usual = int(steps[0])
        others = steps[steps != usual]
        self.steps[usual] += len(steps) - len(others)
        for step, count in zip(*np.unique(others, return_counts=True), strict=True):
            self.steps[int(step)] += int(count)
