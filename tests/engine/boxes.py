"""Parts of stage A for tests: the two largest blocks are cut anywhere."""

from collections.abc import Sequence
from itertools import pairwise, product

from engine.sweep import Sweep
from engine.work import Part


def boxes(run: Sweep, streamed: Sequence[int], second: Sequence[int] = ()) -> list[Part]:
    """Return all parts between these cuts, empty ones too; cuts beyond the end are at the end."""
    whole = run.division.whole
    sides = [
        [range(a, b) for a, b in pairwise([0, *sorted(min(c, all_.stop) for c in cuts), all_.stop])]
        for all_, cuts in zip(whole, (streamed, second), strict=True)
    ]
    return [Part(*pair) for pair in product(*sides)]
