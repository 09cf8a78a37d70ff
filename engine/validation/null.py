"""Search p-value: how often the whole search finds as much where there is nothing to find.

A draw is the bars of the search with random signs (`sign_flips`), and all of the search on them:
stage A, shortlist, and stage B where there are levels to choose. Of K draws

    p = (1 + number of draws whose best is at least as good as the best that was found) / (K + 1)

as B. V. Phipson and G. K. Smyth (2010) count, Permutation p-values should never be zero: the data
themselves are one of the K + 1. "As good" is as lists are ranked: by ruin, number of trades, an
undefined metric, then the primary metric. The best of a list of distinct outcomes is the best of
all, so one place is enough where nothing is chosen from the shortlist.

It answers for the whole search, with as many variants as were tried: so it needs no correction for
their number. It is no probability that the winner is luck, and says nothing about what the winner
will make. The smallest p is 1 / (K + 1): 0.025 of 39 draws.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from engine.grid import Variants
from engine.ranking import Best
from engine.request import Request
from engine.sweep import Sweep
from engine.validation import Unknown
from engine.validation.sign_flips import tradable, without_edge


@dataclass(frozen=True, slots=True)
class Null:
    """The best that was found, and the best of each draw, in the order of the draws."""

    metric: str
    found: Best
    draws: tuple[Best, ...]

    @property
    def as_good(self) -> int:
        """How many draws found as much, or more."""
        return sum(not self.found.better_than(drawn) for drawn in self.draws)

    @property
    def p(self) -> float:
        """The share of the draws, the data themselves among them, that found as much."""
        return (1 + self.as_good) / (1 + len(self.draws))

    def document(self) -> dict[str, Any]:
        """Return it as plain data for JSON; a metric that is undefined or infinite is None."""
        return {
            "p": self.p,
            "draws": len(self.draws),
            "as_good": self.as_good,
            "metric": self.metric,
            "best": self.found.stored(),
        }

    def picture(self) -> dict[str, Any]:
        """Return what is drawn: the best of each draw beside the best that was found."""
        return {
            "draws_best": [drawn.stored() for drawn in self.draws],
            "best": self.found.stored(),
        }


def null(
    sweep: Sweep, found: Best, *, draws: int, seed: int, report: Callable[[int], None]
) -> Null | Unknown:
    """Search `draws` times where there is nothing to find.

    `found` is the best of the search itself. `report` is told how many variants of all draws are
    done, of `draws * units(request)`; what it raises ends the work.
    """
    request = _only_the_best(sweep.request)
    best = []
    for draw in range(draws):
        candles = without_edge(sweep.candles, seed, draw)
        if not tradable(candles):
            return Unknown("With random signs, prices leave what floating-point numbers can hold.")
        search = Sweep(request, candles, threads=sweep.threads)
        best.append(_best(search, report, draw * units(request)))
    return Null(sweep.request.ranking.primary_metric, found, tuple(best))


def units(request: Request) -> int:
    """Return how many variants one draw scores."""
    base_total = Variants.of(request).base_total
    chosen = min(request.preselect, base_total) * request.risk.total
    return base_total + chosen * chooses_levels(request)


def chooses_levels(request: Request) -> bool:
    """Tell whether stage B finds another best than stage A."""
    risk = request.risk
    levels = (*risk.sl, *risk.tp, *risk.tsl)
    return risk.total > 1 or any(level is not None for level in levels)


def _only_the_best(request: Request) -> Request:
    """Return a request for the best alone, as much of the shortlist as that takes."""
    if chooses_levels(request):
        return replace(request, top_k=1)
    ranking = replace(request.ranking, secondary_metric=None)
    return replace(request, preselect=1, top_k=1, ranking=ranking)


def _best(search: Sweep, report: Callable[[int], None], before: int) -> Best:
    for batch in search.stage_a():
        report(before + batch.processed)
    if not chooses_levels(search.request):
        return batch.top.best()
    before += batch.processed
    for expanded in search.stage_b(batch.top.indexes()):
        report(before + expanded.processed)
    return expanded.top.best()
