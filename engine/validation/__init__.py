"""Whether the winner of a search is luck: one module for each way of asking.

Everything here is pure: arrays and a seed in, results out, the same on every machine and for every
number of threads. A result has a `document()` of plain data for JSON. What cannot be told is an
`Unknown`, which says why.

*Growth* of a variant in a block of bars is the logarithm of its equity at the end over that at the
begin, as a whole number of 1/2^21: sums are exact, whatever their order. It is clipped to ±60, so
that the sum of 16 blocks, the most there are, still is an int32.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Growths = NDArray[np.int32]
Counts = NDArray[np.int32]
Floats = NDArray[np.float64]

GROWTH_UNIT = 1 << 21  # of a growth of 1, which is e times the equity
GROWTH_LIMIT = 60 * GROWTH_UNIT
FEWEST_BLOCKS, MOST_BLOCKS = 8, 16


@dataclass(frozen=True, slots=True)
class Unknown:
    """What cannot be told, and why, as a sentence for people."""

    reason: str

    def document(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return {"unknown": self.reason}


def percent(growth: float) -> float | None:
    """Return a growth in units as a change in percent; None where that is no finite number."""
    try:
        return 100.0 * math.expm1(growth / GROWTH_UNIT)
    except OverflowError:
        return None


def check_growths(growths: Growths) -> None:
    """Raise ValueError unless these are growths int32[N, S] of an even number S of blocks, 8 to 16.

    What is larger than the limit would overflow in a sum without a sign of it.
    """
    if growths.dtype != np.int32 or growths.ndim != 2:
        raise ValueError(f"growths are {growths.dtype}[{growths.ndim} axes]; must be int32[N, S]")
    blocks = growths.shape[1]
    if blocks % 2 or not FEWEST_BLOCKS <= blocks <= MOST_BLOCKS:
        raise ValueError(
            f"growths have {blocks} blocks; must be an even number"
            f" from {FEWEST_BLOCKS} to {MOST_BLOCKS}"
        )
    if growths.size and not -GROWTH_LIMIT <= growths.min() <= growths.max() <= GROWTH_LIMIT:
        raise ValueError(
            f"growths lie in [{growths.min()}, {growths.max()}]; clip them to ±{GROWTH_LIMIT}"
        )
