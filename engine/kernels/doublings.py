"""The bar on which a price has doubled: no short that was entered before is ruined earlier."""

import numpy as np
from numpy.typing import NDArray

from engine.compiled import kernel
from engine.kernels.bits import Numbers32

NEVER = 2**32 - 1  # later than any bar


@kernel
def first_doublings(
    reach: NDArray[np.float64], entry: NDArray[np.float64], sell: float
) -> tuple[Numbers32, np.uint32]:
    """Return the first later bar at twice a short's fill or more, or `NEVER`: uint32[n].

    Also return how many bars that takes at the fewest. `reach` float64[n] are the highest prices
    that matter on each bar, `entry` float64[n] those at which an entry fills, before slippage, of
    which `sell` leaves so much. Goes through the bars from the end and keeps those higher than
    every bar before them that was not passed yet: the highest one first, the nearest one last.
    """
    bars = reach.shape[0]
    found = np.empty(bars, np.uint32)
    higher = np.empty(bars, np.uint32)
    count = 0
    fewest = NEVER
    for bar in range(bars - 1, -1, -1):
        doubled = 2.0 * (entry[bar] * sell)
        low, high = 0, count  # higher[:low] reach it, higher[high:] do not
        while low < high:
            middle = (low + high) >> 1
            if reach[higher[middle]] >= doubled:
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
