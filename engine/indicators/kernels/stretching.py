"""Bit planes of larger bars, stretched to the bars that see them."""

import numpy as np

from engine.compiled import Ints, Words, kernel, part

ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@kernel
def stretch(seen: Words, begins: Ints, out: Words) -> None:
    """Write the planes uint64[R, W] of bars that see larger ones.

    seen: uint64[R, V], bit k of a row is larger bar k. begins: int64[K + 1], ascending; bars
    begins[k]..begins[k + 1] - 1 see larger bar k, those before begins[0] none: their bits are 0.
    """
    for row in range(seen.shape[0]):
        out[row, :] = np.uint64(0)
        for k in range(begins.shape[0] - 1):
            if (seen[row, k // 64] >> np.uint64(k % 64)) & np.uint64(1):
                _set_bits(out[row], begins[k], begins[k + 1])


@part
def _set_bits(words: Words, begin: int, end: int) -> None:
    if begin == end:
        return
    first, last = begin // 64, (end - 1) // 64
    head = ALL << np.uint64(begin % 64)
    tail = ALL >> np.uint64(63 - (end - 1) % 64)
    if first == last:
        words[first] |= head & tail
        return
    words[first] |= head
    for word in range(first + 1, last):
        words[word] = ALL
    words[last] |= tail
