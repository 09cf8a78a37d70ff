"""Identity of a variant: 128 bits of its position planes (stage A) or of its trades (stage B).

Everything is taken in by one step: the two halves of the state, each with a word, are multiplied to
128 bits, as in wyhash (Wang Yi, 2019), so each word reaches both halves. Planes are taken in word
after word. Trades are mixed each by itself and added up: a sum can be taken in any order, and of
many risk combinations at once (`signing.py`). No trade is twice in a sum, for entries differ.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.compiled import borrowing, inlined
from engine.kernels.account import AT_LIMIT, Market
from engine.kernels.bits import U0, U1, U63, Words
from engine.kernels.ledger import Ledger
from engine.kernels.runs import U2, Scratch, is_long

U3, U4 = np.uint64(3), np.uint64(4)
U31, U32, U33 = np.uint64(31), np.uint64(32), np.uint64(33)
# Where states begin: hexadecimal digits of pi.
S0, S1 = np.uint64(0x243F6A8885A308D3), np.uint64(0x13198A2E03707344)
S2, S3 = np.uint64(0xA4093822299F31D0), np.uint64(0x082EFA98EC4E6C89)
S4, S5 = np.uint64(0x452821E638D01377), np.uint64(0xBE5466CF34E90C6C)
S6, S7 = np.uint64(0xC0AC29B7C97C50DD), np.uint64(0x3F84D5B5B5470917)
M1, M2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)  # of murmur3's finaliser
NOT_A_NUMBER = np.uint64(0x7FF8000000000000)


def _product(_typing: Any, _a: Any, _b: Any) -> Any:
    """Return the low and the high half of the product of two uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide, narrow = ir.IntType(128), ir.IntType(64)
        factors = [builder.zext(arg, wide) for arg in args]
        whole = builder.mul(*factors)
        high = builder.lshr(whole, ir.Constant(wide, 64))
        halves = [builder.trunc(half, narrow) for half in (whole, high)]
        return context.make_tuple(builder, signature.return_type, halves)

    halves = types.UniTuple(types.uint64, 2)  # type: ignore[no-untyped-call]
    return halves(types.uint64, types.uint64), codegen


def _bits(_typing: Any, _value: Any) -> Any:
    """Return the bits of a float64."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.uint64(types.float64), codegen


product: Any = intrinsic(_product)
float_bits: Any = intrinsic(_bits)


@inlined
def canonical_bits(value: float) -> Any:
    """Return the bits of a number, the same for 0 and -0 and for every NaN."""
    return NOT_A_NUMBER if value != value else float_bits(value + 0.0)


@inlined
def absorb(s: Any, t: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Return the state (s, t) after the words x and y.

    The high half of a product is smaller than either factor: it must not stay on one side, or long
    stretches of zeros would wear that side down to zero.
    """
    a = s ^ x
    b = t ^ y
    low, high = product(a, b)
    return low ^ b, high ^ a


@inlined
def finalise(h: Any) -> Any:
    """Return a word of which every bit depends on every bit of `h`: murmur3's finaliser."""
    h = (h ^ (h >> U33)) * M1
    h = (h ^ (h >> U33)) * M2
    return h ^ (h >> U33)


@inlined
def seal(s: Any, t: Any, count: Any) -> tuple[Any, Any]:
    """Return the signature of a state that has taken in `count` items."""
    s, t = absorb(s, t, np.uint64(count), S7)
    s, t = absorb(s, t, S6, S5)
    return finalise(s), finalise(t)


@borrowing
def product_signature(
    long: Words, short: Words, factor_long: Words, factor_short: Words
) -> tuple[Any, Any]:
    """Return the identity of the AND of two pairs of planes uint64[W].

    Steps of one state wait for each other: words are dealt to four, whose multiplications overlap.
    The product need not be written for that.
    """
    words = np.uint64(long.shape[0])
    s, t = S0, S1
    s1, t1 = S2, S3
    s2, t2 = S4, S5
    s3, t3 = S6, S7
    w = U0
    while w + U4 <= words:
        s, t = absorb(s, t, long[w] & factor_long[w], short[w] & factor_short[w])
        v = w + U1
        s1, t1 = absorb(s1, t1, long[v] & factor_long[v], short[v] & factor_short[v])
        v = w + U2
        s2, t2 = absorb(s2, t2, long[v] & factor_long[v], short[v] & factor_short[v])
        v = w + U3
        s3, t3 = absorb(s3, t3, long[v] & factor_long[v], short[v] & factor_short[v])
        w += U4
    while w < words:
        s, t = absorb(s, t, long[w] & factor_long[w], short[w] & factor_short[w])
        w += U1
    s, t = absorb(s, t, s1, t1)
    s, t = absorb(s, t, s2, t2)
    s, t = absorb(s, t, s3, t3)
    return seal(s, t, words)


@inlined
def plane_signature(long: Words, short: Words) -> tuple[Any, Any]:
    """Return the identity of position planes uint64[W]."""
    return product_signature(long, short, long, short)


@inlined
def trade_value(
    entry: Any, exit_: Any, long: bool, price: float, limit: bool = False
) -> tuple[Any, Any]:
    """Return two mixed words of a trade: its bars, which are below 2^31, direction and exit.

    An exit is its price before slippage, and whether it is a `limit` order where others slip.
    Values of trades are added modulo 2^64, so each must be random by itself: two products, as one
    may lose the highest bits of a factor, and the finaliser.
    """
    side = U0 if long else U1 << U63
    kind = U1 << U31 if limit else U0
    bars = np.uint64(entry) | (np.uint64(exit_) << U32) | side | kind
    s, t = absorb(S0, S1, bars, canonical_bits(price))
    s, t = absorb(s, t, S2, S3)
    return finalise(s), finalise(t)


@borrowing
def trade_signature(
    scratch: Scratch, trades: int, market: Market, ledger: Ledger
) -> tuple[Any, Any]:
    """Return the identity of trades listed in steps of 2: the sealed sum of their values."""
    s, t = U0, U0
    for k in range(trades):
        entry, exit_ = scratch.events[2 * k], scratch.events[2 * k + 1]
        long = is_long(scratch, entry)
        limit = market.slips and ledger.way[k] == AT_LIMIT
        value_s, value_t = trade_value(entry, exit_, long, ledger.price[k], limit)
        s += value_s
        t += value_t
    return seal(s, t, trades)
