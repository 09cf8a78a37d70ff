"""Times of contestants that take turns, so that a busy machine disturbs all of them alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any


@dataclass(frozen=True)
class Times:
    """Seconds of the repeats of one contestant."""

    name: str
    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """The least disturbed repeat."""
        return min(self.seconds)

    @property
    def middle(self) -> float:
        """The median repeat."""
        return median(self.seconds)


def take_turns(
    contestants: Sequence[tuple[str, Callable[[], Any]]], repeats: int, *, warm: bool = True
) -> dict[str, Times]:
    """Run every contestant once per round, after one round that is not counted if `warm`."""
    if warm:
        for _, run in contestants:
            run()
    seconds: dict[str, list[float]] = {name: [] for name, _ in contestants}
    for _ in range(repeats):
        for name, run in contestants:
            begin = perf_counter()
            run()
            seconds[name].append(perf_counter() - begin)
    return {name: Times(name, tuple(taken)) for name, taken in seconds.items()}
