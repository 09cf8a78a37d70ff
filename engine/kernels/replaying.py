"""Trades of one variant again: in another order, some of them twice, or elsewhere.

A trade is what it makes of one unit of committed cash, its *growth factor*, and every replay goes
through the account that made it: sizes, cap, safe and floor are looked at anew after each trade.

Each replay has a state of its own for its random numbers, a word of splitmix64, so that any part of
them gives what all of them give.
"""

from typing import Any

import numpy as np

from engine.compiled import borrowing, inlined, kernel
from engine.kernels.account import (
    AT_MARKET,
    BY_LIQUIDATION,
    Costs,
    Flags,
    Floats,
    Int64,
    Kinds,
    Market,
    settle,
)
from engine.kernels.bits import U0, U1, Words, trailing_zeros
from engine.kernels.closing import outcome
from engine.kernels.final_balance import settled_balance
from engine.kernels.runs import U2, Scratch, new_scratch

STEP = np.uint64(0x9E3779B97F4A7C15)
FACTOR_1, FACTOR_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
U27, U30, U31, U32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
LOWER = np.uint64(2**32 - 1)


@inlined
def next_word(state: Any) -> Any:
    """Return the next state of splitmix64 and its word."""
    state = state + STEP
    word = (state ^ (state >> U30)) * FACTOR_1
    word = (word ^ (word >> U27)) * FACTOR_2
    return state, word ^ (word >> U31)


@borrowing
def below(state: Any, bound: Any) -> Any:
    """Return the next state and a number of [0, bound), each as likely; bound is 1 to 2^32.

    Lemire (2019), Fast random integer generation in an interval: the upper half of a product, and
    another word where the lower half is one of those that would come too often.
    """
    bound = np.uint64(bound)
    state, word = next_word(state)
    product = (word >> U32) * bound
    if (product & LOWER) < bound:
        excess = ((U1 << U32) - bound) % bound
        while (product & LOWER) < excess:
            state, word = next_word(state)
            product = (word >> U32) * bound
    return state, np.int64(product >> U32)


@borrowing
def shuffle(order: Any, state: Any) -> Any:
    """Put an array into any order, each as likely (Fisher, Yates 1938); return the next state."""
    for last in range(order.shape[0] - 1, 0, -1):
        state, at = below(state, last + 1)
        kept = order[last]
        order[last] = order[at]
        order[at] = kept
    return state


@borrowing
def replay(factors: Floats, costs: Costs) -> tuple[float, float]:
    """Return cash + safe after trades of these factors, and the worst drawdown as a fraction.

    It is that at the closes of trades; the peak starts at the initial cash. NaN where the account
    overflowed.
    """
    cash, safe = costs.init_cash, 0.0
    peak, worst = costs.init_cash, 0.0
    for k in range(factors.shape[0]):
        if cash <= costs.floor:
            break
        cash, safe, _, _ = settle(costs, cash, safe, factors[k])
        balance = cash + safe
        if not np.isfinite(balance):  # which it will never be again
            return balance, np.nan
        peak = max(peak, balance)
        worst = max(worst, (peak - balance) / peak)
    return cash + safe, worst


@kernel
def factors_of(
    entry: Int64,
    exit_: Int64,
    is_up: Flags,
    price: Floats,
    way: Kinds,
    market: Market,
    costs: Costs,
) -> Floats:
    """Return the growth factor of each trade, float64[trades]: what the ledger was made with."""
    factors = np.empty(entry.shape[0])
    for k in range(entry.shape[0]):
        # A liquidation is found again, as where it was found first.
        kind = AT_MARKET if way[k] == BY_LIQUIDATION else int(way[k])
        bar, end = np.uint32(entry[k]), np.uint32(exit_[k])
        factors[k] = outcome(market, costs, is_up[k], bar, end, price[k], kind)
    return factors


@kernel
def replay_in_order(factors: Floats, costs: Costs) -> tuple[float, float]:
    """Return the final balance of the trades as they came, and their worst drawdown."""
    return replay(factors, costs)


@kernel
def replay_drawn(
    factors: Floats, again: bool, costs: Costs, states: Words, balances: Floats, drawdowns: Floats
) -> None:
    """Replay the trades once for each state: in a random order, or `again`: drawn one by one.

    Drawn one by one, of as many trades as there are, some come more than once and others not.
    """
    trades = factors.shape[0]
    drawn = np.empty(trades)
    for r in range(states.shape[0]):
        state = states[r]
        if again:
            for k in range(trades):
                state, at = below(state, trades)
                drawn[k] = factors[at]
        else:
            for k in range(trades):  # an assignment of slices takes seconds to compile
                drawn[k] = factors[k]
            shuffle(drawn, state)
        balances[r], drawdowns[r] = replay(drawn, costs)


@borrowing
def choose(chosen: Words, size: Any, count: Any, state: Any) -> Any:
    """Set `count` of the first `size` bits, any choice as likely; return the next state.

    Floyd's algorithm (Bentley, Floyd 1987, A sample of brilliance): no number is drawn in vain.
    """
    for w in range(chosen.shape[0]):
        chosen[w] = U0
    for largest in range(size - count, size):
        state, drawn = below(state, largest + 1)
        if (chosen[drawn >> 6] >> np.uint64(drawn & 63)) & U1 != U0:
            drawn = np.int64(largest)
        chosen[drawn >> 6] |= U1 << np.uint64(drawn & 63)
    return state


@borrowing
def lay_out(scratch: Scratch, order: Int64, lengths: Int64, is_up: Flags) -> None:
    """Write entry and exit of each trade.

    The set bits of `changes` are where trades begin in a range in which each takes one place.
    """
    k, held = 0, np.int64(0)
    for w in range(scratch.changes.shape[0]):
        bits = scratch.changes[w]
        while bits != U0:
            trade = order[k]
            bar = 64 * w + np.int64(trailing_zeros(bits)) + held - k
            held += lengths[trade]
            scratch.events[2 * k] = np.uint32(bar)
            scratch.events[2 * k + 1] = np.uint32(bar + lengths[trade])
            if is_up[trade]:
                scratch.long[(bar >> 6) + 1] |= U1 << np.uint64(bar & 63)
            bits &= bits - U1
            k += 1


@kernel
def replay_anywhere(
    lengths: Int64, is_up: Flags, market: Market, costs: Costs, states: Words, balances: Floats
) -> None:
    """Write the final balance of trades of these lengths and directions at random places.

    A trade of length l holds the steps from one bar to the next l times: n bars have n − 1 steps,
    and no step is held twice. In any order of the trades a layout is a choice of which of the free
    steps and trades in a row are trades; each order and each choice is as likely.
    """
    bars, trades = market.closes.shape[0], lengths.shape[0]
    scratch = new_scratch((bars + 63) >> 6)
    order = np.empty(trades, np.int64)
    size = bars - 1 - lengths.sum() + trades
    for r in range(states.shape[0]):
        for k in range(trades):
            order[k] = k
        state = shuffle(order, states[r])
        choose(scratch.changes, size, trades, state)
        lay_out(scratch, order, lengths, is_up)
        balances[r] = settled_balance(scratch, trades, U2, market, costs)[1]
        for k in range(trades):
            scratch.long[(scratch.events[2 * k] >> np.uint32(6)) + np.uint32(1)] = U0
