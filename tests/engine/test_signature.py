"""Signatures are well mixed 128-bit numbers: no structure of planes or trades survives in them."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from engine.kernels import signature
from engine.kernels.account import AT_MARKET, Market
from engine.kernels.inputs import costs_of, market_of
from engine.kernels.ledger import new_ledger
from engine.kernels.runs import new_scratch
from engine.kernels.signature import (
    plane_signature,
    trade_signature,
    trade_value,
)
from tests.engine.adapter import rules_of
from tests.engine.parts import from_python
from tests.engine.simulator import Execution

Words = NDArray[np.uint64]

canonical_bits, seal = from_python(signature.canonical_bits), from_python(signature.seal)

YEAR = 548  # words of a year of quarter hours
SIGMAS = 6.0  # no more than once in 10^8 of what is looked at


@njit
def sign_each(longs: Words, shorts: Words) -> Any:
    out = np.empty((longs.shape[0], 2), np.uint64)
    for row in range(longs.shape[0]):
        out[row, 0], out[row, 1] = plane_signature(longs[row], shorts[row])
    return out


@njit
def sign_runs(words: int, lengths: Any, gaps: bool) -> Any:
    """Sign planes of one LONG run each, or of its first and last bar alone if `gaps`."""
    bars = 64 * words - lengths.max()
    out = np.empty((lengths.shape[0] * bars, 2), np.uint64)
    short = np.zeros(words, np.uint64)
    n = 0
    for length in lengths:
        for first in range(bars):
            long = np.zeros(words, np.uint64)
            for bar in range(first, first + length):
                if not gaps or bar in (first, first + length - 1):
                    long[bar >> 6] |= np.uint64(1) << np.uint64(bar & 63)
            out[n, 0], out[n, 1] = plane_signature(long, short)
            n += 1
    return out


def random_planes(rows: int, words: int, seed: int = 3) -> Words:
    return np.random.default_rng(seed).integers(0, 2**64, (rows, words), np.uint64)


def bits(signatures: Words) -> NDArray[np.uint8]:
    """Return uint8[n, 128]."""
    return np.unpackbits(signatures.view(np.uint8).reshape(len(signatures), 16), axis=1)


def assert_all_differ(signatures: Words) -> None:
    for half in (0, 1):  # either half alone tells a million planes apart
        ordered = np.sort(signatures[:, half])  # twenty times as fast as np.unique, which hashes
        assert (ordered[1:] != ordered[:-1]).all()


def assert_evenly_spread(signatures: Words) -> None:
    expected = len(signatures) / 4096
    for half in (0, 1):
        for shift in (0, 26, 52):
            slices = (signatures[:, half] >> np.uint64(shift)) & np.uint64(4095)
            counts = np.bincount(slices.astype(np.int64), minlength=4096)
            assert np.abs(counts - expected).max() < SIGMAS * np.sqrt(expected)


def test_a_million_random_planes_have_different_signatures() -> None:
    signatures = sign_each(random_planes(10**6, 3), random_planes(10**6, 3, seed=4))
    assert_all_differ(signatures)
    assert_evenly_spread(signatures)


@pytest.mark.parametrize("gaps", [False, True], ids=["runs", "pairs of bars"])
def test_a_million_planes_that_are_nearly_empty_have_different_signatures(gaps: bool) -> None:
    signatures = sign_runs(YEAR, np.arange(1, 31) if not gaps else np.arange(2, 320, 10), gaps)
    assert len(signatures) > 10**6
    assert_all_differ(signatures)
    assert_evenly_spread(signatures)


@pytest.mark.parametrize("words", [1, 2, 3, 4, 5, 8, 11, YEAR])
def test_a_flipped_bit_flips_each_bit_of_the_signature_half_the_time(words: int) -> None:
    flips = 4_000
    random = np.random.default_rng(words)
    planes = random_planes(flips, 2 * words)
    before = bits(sign_each(planes[:, :words].copy(), planes[:, words:].copy()))
    at = random.integers(0, 2 * words, flips)
    planes[np.arange(flips), at] ^= np.uint64(1) << random.integers(0, 64, flips, np.uint64)
    after = bits(sign_each(planes[:, :words].copy(), planes[:, words:].copy()))
    assert np.abs((before != after).mean(axis=0) - 0.5).max() < SIGMAS * 0.5 / np.sqrt(flips)


def test_one_bit_anywhere_in_empty_planes_changes_each_bit_of_the_signature_half_the_time() -> None:
    bars = 64 * YEAR
    planes = np.zeros((4_000, 2 * YEAR), np.uint64)
    bar = np.random.default_rng(2).choice(2 * bars, len(planes), replace=False)
    planes[np.arange(len(planes)), bar // 64] = np.uint64(1) << (bar % 64).astype(np.uint64)
    signed = bits(sign_each(planes[:, :YEAR].copy(), planes[:, YEAR:].copy()))
    share = (signed[1:] != signed[:-1]).mean(axis=0)
    assert np.abs(share - 0.5).max() < SIGMAS * 0.5 / np.sqrt(len(planes))


def test_the_halves_are_independent() -> None:
    rows = 40_000
    planes = np.zeros((rows, 16), np.uint64)
    planes[:, 0] = np.arange(rows)  # numbers in the place of planes: as like as can be
    signs = 2.0 * bits(sign_each(planes, np.zeros_like(planes))) - 1.0
    correlation = signs.T @ signs / rows
    np.fill_diagonal(correlation, 0.0)
    assert np.abs(correlation).max() < SIGMAS / np.sqrt(rows)


def test_the_place_of_a_word_matters() -> None:
    long = random_planes(1, 12)[0]
    swapped = []
    for a in range(12):
        for b in range(a):
            other = long.copy()
            other[[a, b]] = other[[b, a]]
            swapped.append(other)
    planes = np.array([long, *swapped])
    assert_all_differ(sign_each(planes, np.zeros_like(planes)))


def test_long_is_not_short() -> None:
    planes, empty = random_planes(100, 12), np.zeros((100, 12), np.uint64)
    assert_all_differ(np.concatenate((sign_each(planes, empty), sign_each(empty, planes))))


def test_a_word_of_either_plane_is_not_lost_in_the_other() -> None:
    planes = np.zeros((128, 8), np.uint64)
    planes[:64, 3] = np.uint64(1) << np.arange(64, dtype=np.uint64)
    other = np.zeros_like(planes)
    other[64:] = planes[:64]
    assert_all_differ(sign_each(planes, other))


def test_prices_that_are_equal_have_equal_bits() -> None:
    assert canonical_bits(0.0) == canonical_bits(-0.0) == 0
    assert canonical_bits(np.nan) == canonical_bits(-np.nan)
    assert canonical_bits(1.5) == np.float64(1.5).view(np.uint64)


def test_the_number_of_trades_is_in_the_signature() -> None:
    state = np.uint64(3), np.uint64(4)
    assert seal(*state, 0) != seal(*state, 1)


# --- trades ----------------------------------------------------------------------------------


@njit
def value_each(entries: Any, exits: Any, longs: Any, market: Market) -> Any:
    out = np.empty((entries.shape[0], 2), np.uint64)
    for row in range(entries.shape[0]):
        price = market.closes[exits[row]]
        out[row, 0], out[row, 1] = trade_value(entries[row], exits[row], longs[row], price)
    return out


@njit
def sign_lists(entries: Any, exits: Any, longs: Any, lengths: Any, market: Market) -> Any:
    """Sign lists [n, trades] of which the first `lengths[n]` trades count."""
    out = np.empty((exits.shape[0], 2), np.uint64)
    scratch = new_scratch(market.closes.shape[0] // 64 + 1)
    ledger = new_ledger(exits.shape[1], 0)
    for row in range(exits.shape[0]):
        scratch.long[:] = np.uint64(0)
        for k in range(lengths[row]):
            bar = entries[row, k]
            scratch.events[2 * k], scratch.events[2 * k + 1] = bar, exits[row, k]
            ledger.price[k], ledger.way[k] = market.closes[exits[row, k]], AT_MARKET
            if longs[row, k]:
                word = (bar >> np.uint32(6)) + np.uint32(1)
                scratch.long[word] |= np.uint64(1) << np.uint64(bar & np.uint32(63))
        out[row, 0], out[row, 1] = trade_signature(scratch, lengths[row], market, ledger)
    return out


def market_at(closes: NDArray[np.float64]) -> Market:
    return market_of(closes, costs_of(rules_of(Execution())))


def test_two_million_lists_of_like_trades_have_different_signatures() -> None:
    level = market_at(np.full(400, 100.0))  # prices tell nothing apart
    entries = np.arange(20, dtype=np.uint32) * np.uint32(20)
    numbers = np.arange(2**20)
    every = np.broadcast_to(entries, (2**20, 20))
    # Twenty trades that go either way; ten with one of four exits each; twenty that may begin a
    # bar later each; fewer trades.
    ways = (numbers[:, None] >> np.arange(20)) & 1 == 1
    exits = (entries[:10] + 1 + ((numbers[:, None] >> 2 * np.arange(10)) & 3)).astype(np.uint32)
    later = (every + ways).astype(np.uint32)
    ends = every + np.uint32(9)
    twenty, ten = np.full(2**20, 20), np.full(2**20, 10)
    up = np.ones((2**20, 20), bool)
    signatures = np.concatenate(
        (
            sign_lists(every, ends, ways, twenty, level),
            sign_lists(every, exits, up, ten, level),
            sign_lists(later[1:], ends[1:], up[1:], twenty[1:], level),
            sign_lists(every[:20], ends[:20], up[:20], np.arange(20), level),
        )
    )
    assert len(signatures) > 3 * 10**6
    assert_all_differ(signatures)
    assert_evenly_spread(signatures)


@pytest.mark.parametrize("what", ["entry", "exit", "direction", "price"])
def test_a_flipped_bit_of_a_trade_flips_each_bit_of_its_value_half_the_time(what: str) -> None:
    trades = 4_000
    random = np.random.default_rng(6)
    entries = random.integers(0, 2**31, trades, np.uint32)
    exits = random.permutation(8_192)[:trades].astype(np.uint32)
    longs = random.integers(0, 2, trades) == 1
    level = np.full(8_192, 100.0)
    before = bits(value_each(entries, exits, longs, market_at(level)))
    if what == "entry":
        entries = entries ^ (np.uint32(1) << random.integers(0, 31, trades, np.uint32))
    elif what == "exit":
        exits = exits ^ (np.uint32(1) << random.integers(0, 13, trades, np.uint32))
    elif what == "direction":
        longs = ~longs
    else:
        flips = np.uint64(1) << random.integers(0, 62, 8_192, np.uint64)  # positive, finite
        level = (level.view(np.uint64) ^ flips).view(np.float64)
    after = bits(value_each(entries, exits, longs, market_at(level)))
    share = (before != after).mean(axis=0)
    assert np.abs(share - 0.5).max() < SIGMAS * 0.5 / np.sqrt(trades)


def test_the_halves_of_a_trade_are_independent() -> None:
    trades = 40_000
    exits = np.arange(trades, dtype=np.uint32)  # numbers: as like as can be
    entries, longs = np.zeros_like(exits), np.ones(trades, bool)
    values = value_each(entries, exits, longs, market_at(np.full(trades, 100.0)))
    signs = 2.0 * bits(values) - 1.0
    correlation = signs.T @ signs / trades
    np.fill_diagonal(correlation, 0.0)
    assert np.abs(correlation).max() < SIGMAS / np.sqrt(trades)


def test_it_matters_which_trade_has_which_exit() -> None:
    entries = np.arange(5, dtype=np.uint32)
    exits = np.array(list(permutations(range(10, 15))), np.uint32)
    lists = np.broadcast_to(entries, exits.shape).copy()
    longs, lengths = np.ones(exits.shape, bool), np.full(len(exits), 5)
    assert_all_differ(sign_lists(lists, exits, longs, lengths, market_at(np.full(64, 100.0))))
