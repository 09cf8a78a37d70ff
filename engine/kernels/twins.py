"""Twins are found when they come: a hash table of the outcomes in a list."""

import numpy as np
from numpy.typing import NDArray

from engine.compiled import kernel

Rows = NDArray[np.uint64]
Slots = NDArray[np.int32]


@kernel
def take_in(rows: Rows, used: int, new: Rows, start: int, slots: Slots) -> tuple[int, int]:
    """Add `new[start:]` to `rows[:used]` until they are full; return where it ended, and `used`.

    Rows uint64[n, F + 2] are F words of an outcome, the last of which is well mixed, an index and a
    weight. An outcome that is present gets the lower index and the weights added. `slots`
    int32[2^k], more than there are rows, holds 1 + the row of each outcome, 0 where it is free.
    """
    words = rows.shape[1] - 2
    mask = np.uint64(slots.shape[0] - 1)
    at = start
    while at < new.shape[0]:
        slot = new[at, words - 1] & mask
        while slots[slot] != 0:
            row = slots[slot] - 1
            same = True
            for w in range(words - 1, -1, -1):
                if rows[row, w] != new[at, w]:
                    same = False
                    break
            if same:
                rows[row, words] = min(rows[row, words], new[at, words])
                rows[row, words + 1] += new[at, words + 1]
                break
            slot = (slot + np.uint64(1)) & mask
        else:
            if used == rows.shape[0]:
                return at, used
            rows[used] = new[at]
            used += 1
            slots[slot] = used
        at += 1
    return at, used
