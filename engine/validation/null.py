"""Search p-value: how often the whole search finds as much where there is nothing to find.

Of K draws (`engine.validation.draws`)

    p = (1 + number of draws whose best is at least as good as the best that was found) / (K + 1)

as B. V. Phipson and G. K. Smyth (2010) count, Permutation p-values should never be zero: the data
themselves are one of the K + 1. "As good" is as lists are ranked: by ruin, number of trades, an
undefined metric, then the primary metric.

It answers for the whole search, with as many variants as were tried: so it needs no correction for
their number. It is no probability that the winner is luck, and says nothing about what the winner
will make. The smallest p is 1 / (K + 1): 0.025 of 39 draws.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.ranking import Best
from engine.sweep import Sweep
from engine.validation import Unknown
from engine.validation.drawn import Drawn
from engine.validation.draws import Draws


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
    """Search `draws` times where there is nothing to find, here and now.

    `found` is the best of the search itself. `report` is told how many variants of all draws are
    done, of `draws * units(request)`; what it raises ends the work.
    """
    work = Draws(sweep, draws, seed)
    return compared(found, work, searched(work, report))


def searched(draws: Draws, report: Callable[[int], None]) -> Drawn:
    """Search all draws, one after the other; `report` is told how many variants are done."""
    for step in draws.run(None):
        report(step.processed)
    return draws.found(step)


def compared(found: Best, draws: Draws, drawn: Drawn) -> Null | Unknown:
    """Compare the best of a search with the best of each of its draws.

    Raises `ValueError` unless each draw was searched, and whole.
    """
    if not drawn.tradable:
        return Unknown("With random signs, prices leave what floating-point numbers can hold.")
    return Null(found.metric, found, drawn.bests(draws.count, draws.units))
