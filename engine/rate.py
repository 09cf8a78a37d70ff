"""How fast this machine sweeps: measured once for each set of kernels, kept beside them.

Reading it needs no compiler. A rate is a guess to within a factor of two or so: how often positions
change decides as much as how many variants there are, and nobody knows that before the sweep.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import prod
from typing import Self

from engine.blocks import UnlistedBlock
from engine.kernel_cache import cache_folder
from engine.metric_names import METRICS
from engine.request.estimate import bars_between
from engine.request.model import Request
from engine.request.validation import trained_bars

FILE = "rate.json"

_remembered: "Rate | None" = None


@dataclass(frozen=True, slots=True)
class Cost:
    """Nanoseconds of one item: a fixed part, and one per word of 64 traded bars."""

    fixed: float
    word: float

    def of(self, words: int) -> float:
        """Return the nanoseconds of an item over so many words."""
        return self.fixed + self.word * words

    @classmethod
    def through(cls, few: tuple[int, float], many: tuple[int, float]) -> Self:
        """Fit two measurements (words, nanoseconds); neither part gets negative."""
        word = max(0.0, (many[1] - few[1]) / (many[0] - few[0]))
        return cls(max(0.0, few[1] - word * few[0]), word)


@dataclass(frozen=True, slots=True)
class Rate:
    """What one thread needs, by the metric that variants are ranked by.

    scored: a base variant of stage A; expanded: a base variant of stage B before its risk
    combinations, combined: each of those. row: a variant of an indicator's own parameters, signal:
    one of its rule's; both per word.
    """

    scored: Mapping[str, Cost]
    expanded: Mapping[str, Cost]
    combined: Mapping[str, Cost]
    row: float
    signal: float

    @staticmethod
    def slowest(costs: Mapping[str, Cost], metrics: Iterable[str], words: int) -> float:
        """Return the nanoseconds of an item ranked by several metrics."""
        return max(costs[metric].of(words) for metric in metrics)

    def stage_a(self, request: Request, words: int) -> float:
        """Return the nanoseconds of stage A over so many words of bars, its planes included."""
        blocks = _blocks(request)
        scored = self.slowest(self.scored, _metrics(request), words)
        return self._planes(blocks, words) + prod(block.total for block in blocks) * scored

    def stage_b(self, request: Request, words: int, kept: int) -> float:
        """Return the nanoseconds of stage B of a shortlist of `kept`."""
        metrics = _metrics(request)
        combined = request.risk.total * self.slowest(self.combined, metrics, words)
        return kept * (self.slowest(self.expanded, metrics, words) + combined)

    def recording(self, request: Request, words: int) -> float:
        """Return the nanoseconds of the pass that records base variants."""
        blocks = _blocks(request)
        recorded = self.slowest(self.scored, {"sharpe"}, words)
        return self._planes(blocks, words) + prod(block.total for block in blocks) * recorded

    def _planes(self, blocks: Sequence[UnlistedBlock], words: int) -> float:
        return words * sum(
            self.row * block.total / block.signal.total + self.signal * block.total
            for block in blocks
        )


def seconds(request: Request, rate: Rate, *, threads: int = 1) -> float:
    """Guess how long a sweep computes; candles and reports come on top.

    What is asked of the search is in it. As if the whole time range had candles.
    """
    words = -(-_searched_bars(request) // 64)
    kept = min(request.preselect, prod(block.total for block in _blocks(request)))
    search = rate.stage_a(request, words) + rate.stage_b(request, words, kept)
    wanted = request.validation
    if wanted is None:
        return search / threads / 1e9
    recorded = bool(wanted.splits or wanted.walk_forward) * rate.recording(request, words)
    return (search + recorded + wanted.draws * search) / threads / 1e9


def _blocks(request: Request) -> list[UnlistedBlock]:
    return [UnlistedBlock.of(block) for block in request.titled_blocks.values()]


def _metrics(request: Request) -> set[str]:
    ranking = request.ranking
    return {ranking.primary_metric, ranking.secondary_metric or ranking.primary_metric}


def _searched_bars(request: Request) -> int:
    """Return how many bars a search sees: all, or those in front of the border."""
    bars = bars_between(request.start_ms, request.end_ms, request.timeframe_ms)
    wanted = request.validation
    if wanted is None:
        return bars
    if wanted.test_start_ms is not None:
        return bars_between(request.start_ms, wanted.test_start_ms, request.timeframe_ms)
    assert wanted.train_pct is not None
    return trained_bars(wanted.train_pct, bars)


def known() -> Rate | None:
    """Return the rate of this machine and these kernels; None before it was measured."""
    try:
        document = json.loads((cache_folder() / FILE).read_text())
        kinds = ("scored", "expanded", "combined")
        costs = {
            kind: {metric: Cost(**document[kind][metric]) for metric in METRICS} for kind in kinds
        }
        return Rate(**costs, row=float(document["row"]), signal=float(document["signal"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def remember(rate: Rate) -> None:
    """Have the rate at hand in this process, and in those that it forks."""
    global _remembered
    _remembered = rate


def remembered() -> Rate | None:
    """Return what was remembered: finding the file takes longer than a small job."""
    return _remembered


def keep(rate: Rate) -> None:
    """Keep a rate where `known` finds it, if that can be written: whole, or not at all."""
    file = cache_folder() / FILE
    unfinished = file.with_name(f"{FILE}.{os.getpid()}")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(asdict(rate)))
        unfinished.replace(file)
