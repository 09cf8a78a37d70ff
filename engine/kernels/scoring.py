"""Stage A: the scores of the variants of one prefix, in loops that do nothing else."""

from typing import NamedTuple

import numpy as np

from engine.compiled import inlined, part
from engine.kernels.account import Costs, Flags, Floats, Int64, Market
from engine.kernels.bits import U1, Numbers32, Words
from engine.kernels.final_balance import final_balance
from engine.kernels.holding import Prefix, hold_row
from engine.kernels.ledger import Ledger
from engine.kernels.measures import Order, Score, balance_score, measure
from engine.kernels.reaching import NEVER
from engine.kernels.runs import U2, Scratch, drop_last_entry, find_runs, find_trades, multiply
from engine.kernels.walking import find_liquidated


class Scores(NamedTuple):
    """The scores of the variants of one prefix, and until which bar they trade, NEVER = the end."""

    ruined: Flags
    trades: Int64
    primary: Floats
    secondary: Floats
    total_return: Floats
    until: Numbers32


@part
def new_scores(rows: int) -> Scores:
    """Return room for the scores of so many variants."""
    return Scores(
        np.empty(rows, np.bool_),
        np.empty(rows, np.int64),
        np.empty(rows),
        np.empty(rows),
        np.empty(rows),
        np.empty(rows, np.uint32),
    )


@inlined
def note(
    scores: Scores, i: int, score: Score, scratch: Scratch, runs: int, step: np.uint64
) -> None:
    """Write a score, and until when the account trades: to the end unless it is gone."""
    scores.ruined[i] = score.ruined
    scores.trades[i] = score.trades
    scores.primary[i] = score.primary
    scores.secondary[i] = score.secondary
    scores.total_return[i] = score.total_return
    gone = score.trades < runs or score.ruined
    exit_of_last = step * np.uint64(score.trades - 1) + U1
    scores.until[i] = scratch.events[exit_of_last] if gone else np.uint32(NEVER)


@inlined
def put_positions(
    prefix: Prefix, long: Words, short: Words, market: Market, scratch: Scratch
) -> None:
    """Put the positions of a row of the streamed block and a prefix into `scratch`."""
    if prefix.hold:
        hold_row(prefix, long, short, scratch)
        return
    multiply(prefix.long, prefix.short, long, short, scratch.long[1:], scratch.short[1:])
    if market.delay:
        drop_last_entry(scratch, prefix.bars)


@part
def score_by_balance(
    prefix: Prefix,
    longs: Words,
    shorts: Words,
    first: int,
    rows: Int64,
    scratch: Scratch,
    market: Market,
    costs: Costs,
    order: Order,
    scores: Scores,
) -> None:
    """Score the variants of a prefix that are ranked by nothing but their final balance.

    The loop of most sweeps: what is done with a score comes afterwards, in a loop of its own.
    """
    for i in range(rows.shape[0]):
        row = first + rows[i]
        put_positions(prefix, longs[row], shorts[row], market, scratch)
        if market.liquidated.shape[1] == 0:
            runs, step = find_runs(scratch)
        else:
            runs, step = find_liquidated(prefix.hold, prefix.pause, market, scratch), U2
        trades, balance, ruined = final_balance(scratch, runs, step, market, costs)
        score = balance_score(order, ruined, trades, balance, costs)
        note(scores, i, score, scratch, runs, step)


@part
def score_by_trades(
    prefix: Prefix,
    longs: Words,
    shorts: Words,
    first: int,
    rows: Int64,
    scratch: Scratch,
    market: Market,
    costs: Costs,
    order: Order,
    ledger: Ledger,
    scores: Scores,
) -> None:
    """Score the variants of a prefix that are ranked by more: every trade is recorded."""
    for i in range(rows.shape[0]):
        row = first + rows[i]
        put_positions(prefix, longs[row], shorts[row], market, scratch)
        if market.liquidated.shape[1] == 0:
            runs = find_trades(scratch)
        else:
            runs = find_liquidated(prefix.hold, prefix.pause, market, scratch)
        score = measure(scratch, runs, market, costs, order, ledger, False)
        note(scores, i, score, scratch, runs, U2)
