"""The identity of a list of trades, written down with Python's own integers."""

from collections.abc import Sequence
from struct import pack

WORD = 2**64
# Hexadecimal digits of pi behind the point, sixteen at a time.
PI = "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89"
PI += "452821E638D01377BE5466CF34E90C6CC0AC29B7C97C50DD3F84D5B5B5470917"
DIGITS = [int(PI[at : at + 16], 16) for at in range(0, len(PI), 16)]

Trades = Sequence[tuple[int, int, bool, float]]  # entry bar, exit bar, long, exit price


def stirred(pair: tuple[int, int], words: tuple[int, int]) -> tuple[int, int]:
    """Multiply each half of a pair, xored with a word, by the other one."""
    one, other = pair[0] ^ words[0], pair[1] ^ words[1]
    high, low = divmod(one * other, WORD)
    return low ^ other, high ^ one


def spread(word: int) -> int:
    """Return what murmur3 makes of its state at the end."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        word = (word ^ word >> 33) * factor % WORD
    return word ^ word >> 33


def value_of(entry: int, exit_: int, long: bool, price: float) -> tuple[int, int]:
    """Return the two words of one trade."""
    bars = entry + exit_ * 2**32 + (0 if long else 2**63)
    bits = int.from_bytes(pack(">d", price), "big")
    pair = stirred((DIGITS[0], DIGITS[1]), (bars, bits))
    pair = stirred(pair, (DIGITS[2], DIGITS[3]))
    return spread(pair[0]), spread(pair[1])


def signature_of(trades: Trades) -> tuple[int, int]:
    """Return the sum of the trades, in whatever order, sealed with their number."""
    values = [value_of(*trade) for trade in trades]
    pair = (sum(one for one, _ in values) % WORD, sum(other for _, other in values) % WORD)
    pair = stirred(pair, (len(trades), DIGITS[7]))
    pair = stirred(pair, (DIGITS[6], DIGITS[5]))
    return spread(pair[0]), spread(pair[1])
