"""Draws of a validation: the whole search where there is nothing to find, again and again.

A draw is the bars of the search with random signs (`sign_flips`), and all of the search on them:
stage A, shortlist, and stage B where there are levels to choose. Only its best is of interest. The
best of a list of distinct outcomes is the best of all, so one place is enough where nothing is
chosen from the shortlist.

Draws are the third stage that workers may share (`engine.divided`): they need the request and the
candles, and nothing that was found before.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.grid import Variants
from engine.parts import Piece, check_partition, document, not_too_short, ranges_of
from engine.ranking import Best
from engine.rate import Rate
from engine.request import Request
from engine.shards import PartOfDraws, shards_of_draws, shards_of_range
from engine.sweep import Sweep
from engine.validation.drawn import Drawn
from engine.validation.sign_flips import tradable, without_edge
from engine.work import Part


@dataclass(frozen=True, slots=True)
class Drawing:
    """State of some draws: `processed` of `total` variants are done; `drawn` is found so far."""

    processed: int
    total: int
    drawn: Drawn


class Draws:
    """So many draws of a search; a part is `{"draws": [start, stop]}`.

    Where no levels are chosen it may have `streamed` and `second` too, as parts of stage A have:
    the best of a draw is the best of its parts. Where they are chosen a draw is never cut, for its
    stage B needs all of the shortlist.
    """

    def __init__(self, sweep: Sweep, count: int, seed: int) -> None:
        self.count = count
        self.units = units(sweep.request)
        """How many variants one draw scores."""
        self._sweep = sweep
        self._request = _only_the_best(sweep.request)
        self._seed = seed
        self._division = sweep.division  # of every draw: it has as many bars
        self._cut = not chooses_levels(sweep.request)

    def seconds(self, rate: Rate) -> float:
        """Guess how long one worker computes all of them."""
        request, words = self._request, self._division.words
        search = rate.stage_a(request, words)
        if not self._cut:
            search += rate.stage_b(request, words, _kept(request))
        return self.count * search / self._sweep.threads / 1e9

    def pieces(self, seconds: float, shard_seconds: float, workers: int) -> list[Piece]:
        """Cut them, which take one worker `seconds`; the parts are all of them, and none twice."""
        shard_seconds = not_too_short(seconds, shard_seconds)
        whole = self._division.whole
        if self._cut:
            boxes = shards_of_draws(self._division, self.count, seconds, shard_seconds, workers)
        else:
            ranges = shards_of_range(self.count, seconds, shard_seconds, workers)
            boxes = [PartOfDraws(some, whole) for some in ranges]
        check_partition([(box.draws, *box.part) for box in boxes], (range(self.count), *whole))
        return [Piece(self._document(box), self._units(box)) for box in boxes]

    def run(self, part: Mapping[str, Any] | None) -> Iterator[Drawing]:
        """Search some draws, or all; raises `ValueError` for what is none of their parts."""
        if part is None:
            return self._searched(PartOfDraws(range(self.count), self._division.whole))
        return self._searched(self._box(part))

    def found(self, step: Drawing) -> Drawn:
        """Return what was found when this was the last step."""
        return step.drawn

    def read(self, data: bytes) -> Drawn:
        """Read what a part has found; raises `ValueError` for anything else."""
        return Drawn.from_bytes(data)

    def _searched(self, box: PartOfDraws) -> Iterator[Drawing]:
        total = self._units(box)
        each = total // len(box.draws)
        drawn = Drawn(self._request.ranking.primary_metric)
        for number, draw in enumerate(box.draws):
            candles = without_edge(self._sweep.candles, self._seed, draw)
            if not tradable(candles):  # then nothing can be told of the others either
                drawn.tradable = False
                break
            search = Sweep(self._request, candles, threads=self._sweep.threads)
            begin = Drawing(number * each, total, drawn)
            best = yield from self._best(search, box.part, begin)
            drawn.take(draw, best, each)
        yield Drawing(total, total, drawn)

    def _best(self, search: Sweep, part: Part, begin: Drawing) -> Generator[Drawing, None, Best]:
        """Search one draw, or a part of it."""
        for batch in search.stage_a(part):
            yield replace(begin, processed=begin.processed + batch.processed)
        if self._cut:
            return batch.top.best()
        before = begin.processed + batch.processed
        for expanded in search.stage_b(batch.top.indexes()):
            yield replace(begin, processed=before + expanded.processed)
        return expanded.top.best()

    def _units(self, box: PartOfDraws) -> int:
        each = self._division.variants(box.part) if self._cut else self.units
        return len(box.draws) * each

    def _document(self, box: PartOfDraws) -> dict[str, Any]:
        sides = {} if box.part == self._division.whole else box.part._asdict()
        return document({"draws": box.draws} | sides)

    def _box(self, part: Mapping[str, Any]) -> PartOfDraws:
        whole = self._division.whole
        sides = whole._asdict() if self._cut and len(part) > 1 else {}
        draws, *cut = ranges_of(part, {"draws": range(self.count)} | sides)
        return PartOfDraws(draws, Part(*cut) if cut else whole)


def units(request: Request) -> int:
    """Return how many variants one draw scores."""
    base_total = Variants.of(request).base_total
    return base_total + _kept(request) * request.risk.total * chooses_levels(request)


def chooses_levels(request: Request) -> bool:
    """Tell whether stage B finds another best than stage A."""
    risk = request.risk
    levels = (*risk.sl, *risk.tp, *risk.tsl)
    return risk.total > 1 or any(level is not None for level in levels)


def _kept(request: Request) -> int:
    return min(request.preselect, Variants.of(request).base_total)


def _only_the_best(request: Request) -> Request:
    """Return a request for the best alone, as much of the shortlist as that takes."""
    if chooses_levels(request):
        return replace(request, top_k=1)
    ranking = replace(request.ranking, secondary_metric=None)
    return replace(request, preselect=1, top_k=1, ranking=ranking)
