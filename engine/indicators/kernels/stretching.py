"""Bit planes of larger bars, stretched to the bars that see them."""

import numpy as np

from engine.compiled import Ints, Words, kernel, part
from engine.kernels.bits import U0, U1, U63, trailing_zeros

ALL = ~U0


@kernel
def stretch(seen: Words, begins: Ints, out: Words) -> None:
    """Write the planes uint64[R, W] of bars that see larger ones.

    seen: uint64[R, V], bit k of a row is larger bar k, those beyond the last are 0. begins:
    int64[K + 1], ascending; bars begins[k]..begins[k + 1] - 1 see larger bar k, those before
    begins[0] none: their bits are 0.
    """
    for row in range(seen.shape[0]):
        out[row, :] = U0
        _stretch_runs(seen[row], begins, out[row])


@part
def _stretch_runs(seen: Words, begins: Ints, out: Words) -> None:
    """Set the bits of one plane, run by run: there are fewer of these than of bars."""
    last, carry = begins.shape[0] - 1, U0
    begin = np.int64(-1)
    for word in range(seen.shape[0]):
        bits = seen[word]
        changes = bits ^ ((bits << U1) | carry)
        carry = bits >> U63
        while changes != U0:
            k = word * 64 + np.int64(trailing_zeros(changes))
            changes &= changes - U1
            if begin < 0:
                begin = k
            else:
                _set_bits(out, begins[begin], begins[k])
                begin = np.int64(-1)
    if begin >= 0:
        _set_bits(out, begins[begin], begins[last])


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
