"""How much happens in a variant: what its cost is divided by."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload import SEED
from engine.kernels.inputs import allowed_planes
from engine.sweep import Sweep

Int64 = NDArray[np.int64]

SAMPLED = 400


class Activity(NamedTuple):
    """Means over variants."""

    changes: float  # bars on which the position changes
    runs: float  # stretches in position, which are the trades while there is cash


def drawn(sweep: Sweep, count: int = SAMPLED) -> Int64:
    """Return the same random base indexes every time."""
    random = np.random.default_rng(SEED)
    return np.asarray(random.integers(sweep.grid.base_total, size=count), np.int64)


def activity(sweep: Sweep, bases: Int64) -> Activity:
    """Count what happens in base variants without risk levels, from their planes."""
    allowed = allowed_planes(len(sweep.closes), sweep.rules)
    changes = runs = 0
    for base in bases.tolist():
        changed = np.zeros(allowed.shape[1], np.uint64)
        for plane, tradable in zip(sweep.planes_of(base), allowed, strict=True):
            now = plane & tradable
            before = now << np.uint64(1)
            before[1:] |= now[:-1] >> np.uint64(63)
            changed |= now ^ before
            runs += int(np.bitwise_count(now & ~before).sum())
        changes += int(np.bitwise_count(changed).sum())
    return Activity(changes / len(bases), runs / len(bases))
