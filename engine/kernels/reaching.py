"""The first later bar at which a price reaches a level that each bar sets, as double its own."""

import numpy as np
from numpy.typing import NDArray

from engine.compiled import kernel
from engine.kernels.bits import Numbers32

NEVER = 2**32 - 1  # later than any bar


@kernel
def first_reaching(
    reach: NDArray[np.float64], level: NDArray[np.float64]
) -> tuple[Numbers32, np.uint32]:
    """Return the first later bar whose `reach` is at the `level` of a bar or above: uint32[n].

    `NEVER` where there is none. Also return how many bars that takes at the fewest. Both are
    float64[n]. Goes through the bars from the end and keeps those higher than every bar before them
    that was not passed yet: the highest one first, the nearest one last.
    """
    bars = reach.shape[0]
    found = np.empty(bars, np.uint32)
    higher = np.empty(bars, np.uint32)
    count = 0
    fewest = NEVER
    for bar in range(bars - 1, -1, -1):
        low, high = 0, count  # higher[:low] reach it, higher[high:] do not
        while low < high:
            middle = (low + high) >> 1
            if reach[higher[middle]] >= level[bar]:
                low = middle + 1
            else:
                high = middle
        found[bar] = higher[low - 1] if low else np.uint32(NEVER)
        if low:
            fewest = min(fewest, int(np.int64(found[bar])) - bar)
        while count and reach[higher[count - 1]] <= reach[bar]:
            count -= 1
        higher[count] = bar
        count += 1
    return found, np.uint32(fewest)
