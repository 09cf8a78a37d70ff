"""Set bits of packed planes, listed without a branch per bit."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from engine.compiled import borrowing, inlined

Words = NDArray[np.uint64]
Numbers32 = NDArray[np.uint32]

U0, U1, U63 = np.uint64(0), np.uint64(1), np.uint64(63)
WORD_BITS = np.uint32(64)
TENTHS = np.uint64(10)


def _trailing_zeros(_typing: Any, _word: Any) -> Any:
    """Return the position of the lowest set bit of a uint64; anything for 0."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


def _population(_typing: Any, _word: Any) -> Any:
    """Return the number of set bits of a uint64."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


trailing_zeros: Any = intrinsic(_trailing_zeros)
population: Any = intrinsic(_population)


@inlined
def list_word(bits: Any, base: np.uint32, out: Numbers32, n: np.uint64, writes: int) -> Any:
    """Append the set bits of one word; the first `writes` stores happen whether needed or not.

    A store that was not needed is overwritten by the next word; a mispredicted branch would cost
    ten times as much.
    """
    after = n + population(bits)
    for i in range(writes):
        out[n + np.uint64(i)] = base + np.uint32(trailing_zeros(bits))
        bits &= bits - U1
    if bits != U0:
        n += np.uint64(writes)
        while bits != U0:
            out[n] = base + np.uint32(trailing_zeros(bits))
            bits &= bits - U1
            n += U1
    return after


@borrowing
def busy_words(words: Words, busy: Numbers32) -> Any:
    """Write the numbers of the words that are not 0; return how many there are."""
    used = U0
    for w in range(words.shape[0]):
        busy[used] = np.uint32(w)
        used += np.uint64(words[w] != U0)
    return used


@borrowing
def list_bits(words: Words, count: np.uint64, busy: Numbers32, out: Numbers32) -> None:
    """Write the positions of the `count` set bits to `out` in ascending order.

    Few bits: find the busy words first. Many: as many unconditional writes per word as are usual,
    by measurement; one write too many costs a few cycles, one too few a mispredicted branch.
    """
    size = np.uint64(words.shape[0])
    if count < size:
        n = U0
        for i in range(busy_words(words, busy)):
            w = busy[i]
            n = list_word(words[w], w * WORD_BITS, out, n, 3)
    elif TENTHS * count < np.uint64(15) * size:
        _list_all(words, out, 3)
    elif TENTHS * count < np.uint64(24) * size:
        _list_all(words, out, 4)
    elif TENTHS * count < np.uint64(42) * size:
        _list_all(words, out, 6)
    elif TENTHS * count < np.uint64(65) * size:
        _list_all(words, out, 10)
    else:
        _list_all(words, out, 16)


@inlined
def _list_all(words: Words, out: Numbers32, writes: int) -> None:
    n = U0
    base = np.uint32(0)
    for w in range(words.shape[0]):
        n = list_word(words[w], base, out, n, writes)
        base += WORD_BITS


@borrowing
def list_bits_doubled(words: Words, doubled: Words, busy: Numbers32, out: Numbers32) -> None:
    """Write the positions of the set bits of `words`; those of `doubled`, a few of them, twice."""
    n = U0
    for i in range(busy_words(words, busy)):
        w = busy[i]
        bits, twice = words[w], doubled[w]
        if twice == U0:
            n = list_word(bits, w * WORD_BITS, out, n, 3)
            continue
        while bits != U0:
            bit = trailing_zeros(bits)
            out[n] = w * WORD_BITS + np.uint32(bit)
            out[n + U1] = out[n]
            n += U1 + ((twice >> bit) & U1)
            bits &= bits - U1
