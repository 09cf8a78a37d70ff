"""What the compiled loops take, made from rules, candles, risk axes and a ranking."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernels.account import BLOCK, MARGIN, Carry, Costs, Market, resized
from engine.kernels.charges import NO_CARRY, liquidations
from engine.kernels.hits import Levels
from engine.kernels.measures import NO_METRIC, Found, Order
from engine.kernels.reaching import NEVER, first_reaching
from engine.kernels.rules import (
    LONG_ONLY,
    RISK_PER_TRADE,
    SHORT_ONLY,
    ExecutionRules,
    caps_entries,
    locks_profit,
    share_of,
)
from engine.kernels.tally import Tally
from engine.metric_names import ASCENDING, METRICS
from engine.outcomes import Outcomes

if TYPE_CHECKING:
    from engine.candles import Candles

Bits = NDArray[np.uint64]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

CASH_FLOOR = 1e-9  # no entry with this share of the initial cash or less
DAY_MS = 86_400_000
WORD_BITS = 64


def words_for(bars: int) -> int:
    """Return the number of plane words of so many bars."""
    return -(-bars // WORD_BITS)


def costs_of(rules: ExecutionRules) -> Costs:
    """Return the growth of committed cash and the limits of an entry under `rules`.

    Long: Q = C / (1 + fee) buys Q / (entry * buy), which sells for exit * sell less the fee, so C
    becomes C * (sell / buy) * (1 - fee) / (1 + fee) * r. Short: 2 Q less what buying back costs.
    With leverage C is only the margin and the fee of Q, and a long borrows the rest.
    """
    costs: Costs = resized.py_func(_costs_of_all(rules), share_of(rules))
    return costs


def _costs_of_all(rules: ExecutionRules) -> Costs:
    """Return it of entries that commit all the cash they can."""
    buy, sell = 1.0 + rules.slippage, 1.0 - rules.slippage
    times = 1.0 if rules.leverage is None else rules.leverage
    commits = 1.0 + times * rules.fee  # per margin
    budget = times / commits
    keeps = (1.0 - rules.fee) / (1.0 + rules.fee) if times == 1.0 else budget * (1.0 - rules.fee)
    owes = 1.0 if times == 1.0 else budget * (1.0 + rules.fee)
    return Costs(
        base_long=0.0 if times == 1.0 else budget * (1.0 / times - 1.0),
        slope_long=(sell / buy) * keeps,
        base_short=budget * (1.0 / times + 1.0),
        slope_short=-((buy / sell) * owes),
        limit_long=(1.0 / buy) * keeps,
        limit_short=-((1.0 / sell) * owes),
        buy=buy,
        sell=sell,
        fee=float(rules.fee),
        share=1.0,
        budget=budget,
        margin=1.0 / times,
        fixed=rules.fixed_quote * times,
        cap=rules.fixed_quote * commits if caps_entries(rules) else np.inf,
        lock=float(rules.safe_fraction) if locks_profit(rules) else 0.0,
        gone=0.0,
        carried=budget,
        liquid_long=0.0 if rules.leverage is None else 1.0 - 1.0 / times,
        liquid_short=np.inf if rules.leverage is None else 1.0 + 1.0 / times,
        init_cash=float(rules.init_cash),
        floor=CASH_FLOOR * rules.init_cash,
    )


def sizes_of(rules: ExecutionRules, sl: Sequence[float | None]) -> tuple[Costs, Float64]:
    """Return the costs of a tile, and float64[stops]: the share of the cash that each stop allows.

    float64[0] where all take the same, which is in the costs then.
    """
    if rules.sizing != RISK_PER_TRADE:
        return costs_of(rules), np.empty(0)
    shares = [share_of(rules.sized(level, None)) for level in sl]
    return _costs_of_all(rules), np.array(shares)


class Fills(NamedTuple):
    """How orders fill where closes are not all: prices of the traded bars, float64[n] each."""

    open: Float64
    high: Float64
    low: Float64
    next_open: bool  # decisions fill at the open of the next bar
    inside: bool  # stops look at highs and lows


def fills_of(rules: ExecutionRules, candles: "Candles") -> Fills | None:
    """Return how orders fill under `rules` on the traded bars of `candles`; None: at closes."""
    if not (rules.next_open or rules.inside):
        return None
    traded = slice(candles.first, None)
    prices = candles.open[traded], candles.high[traded], candles.low[traded]
    return Fills(*prices, rules.next_open, rules.inside)


def market_of(
    closes: Float64,
    costs: Costs,
    open_times_ms: Int64 | None = None,
    fills: Fills | None = None,
    carry: Carry | None = None,
) -> Market:
    """Return the traded closes float64[n] with what is derived from them, and days.

    Without times there are no days, and no daily metric. Without `fills` everything is at closes;
    without `carry` holding costs nothing.
    """
    closes = np.array(closes, dtype=np.float64)  # a copy: kernels are compiled for writable arrays
    none = np.empty(0)
    entry = exit_ = low = high = reach = closes
    opens = lows = highs = none
    if fills is not None and fills.next_open:
        entry = exit_ = np.append(np.asarray(fills.open[1:], np.float64), closes[-1])
        reach = np.maximum(closes, exit_)
    if fills is not None and fills.inside:
        opens, lows, highs = (
            np.array(column, np.float64) for column in (fills.open, fills.low, fills.high)
        )
        low, high = lows, highs
        # A stop is reached before its level, and fills there: at twice the fill, above the high.
        reach = np.maximum(reach, highs * (1.0 + 2.0 * MARGIN))
    starts = np.arange(0, len(closes), BLOCK)
    with np.errstate(over="ignore"):  # of the smallest numbers there are
        inverse = 1.0 / entry
    ends = np.zeros(0, np.int64) if open_times_ms is None else day_ends(open_times_ms)
    levered = costs.liquid_short < np.inf
    if levered:  # a position is liquidated long before all there is would be lost
        liquidated = liquidations(entry, low, high, costs)
        doubled, doubles_in = np.full(len(closes), NEVER, np.uint32), np.uint32(NEVER)
    else:
        liquidated = np.empty((2, 0), np.uint32)
        with np.errstate(over="ignore"):  # of the largest
            doubled, doubles_in = first_reaching(reach, 2.0 * (entry * costs.sell))
    return Market(
        closes=closes,
        entry=entry,
        exit=exit_,
        inverse=inverse,
        opens=opens,
        lows=lows,
        highs=highs,
        inside=fills is not None and fills.inside,
        slips=costs.buy != costs.sell,
        delay=int(fills is not None and fills.next_open),
        block_low=np.minimum.reduceat(low, starts),
        block_high=np.maximum.reduceat(high, starts),
        doubled=doubled,
        doubles_in=np.uint32(doubles_in),  # numba hands out a Python number
        plain=carry is None and not levered,
        liquidated=liquidated,
        carry=carry or NO_CARRY,
        day_ends=ends,
        day_of=np.repeat(np.arange(len(ends), dtype=np.uint32), np.diff(ends, prepend=-1)),
    )


def day_ends(open_times_ms: Int64) -> Int64:
    """Return int64[D]: the last of the bars int64[n] that opened by the end of each UTC day.

    A day on which none opens, as a weekend of an exchange that closes, repeats the day before.
    """
    day = open_times_ms // DAY_MS
    days = np.arange(day[0], day[-1] + 1)
    return np.asarray(np.searchsorted(day, days, side="right") - 1, np.int64)


def allowed_planes(bars: int, rules: ExecutionRules) -> Bits:
    """Return uint64[2, W]: where LONG and SHORT count at all, by direction and bar.

    The last bar is cleared: it opens nothing and closes everything. Of positions that are held they
    are the bars on which they may start: not on the last but one if that fills at the last open.
    """
    allowed = np.zeros((2, words_for(bars)), np.uint64)
    bits = np.zeros(allowed.shape[1] * WORD_BITS, np.uint8)
    late = 2 if rules.hold and rules.next_open else 1
    bits[: max(bars - late, 0)] = 1
    packed = np.packbits(bits, bitorder="little").view("<u8")
    if rules.direction != SHORT_ONLY:
        allowed[0] = packed
    if rules.direction != LONG_ONLY:
        allowed[1] = packed
    return allowed


def levels_of(
    sl: Sequence[float | None], tp: Sequence[float | None], tsl: Sequence[float | None]
) -> Levels:
    """Return risk axes in percent (None = off) as ascending fractions with their columns."""
    first_tp, first_tsl = len(sl), len(sl) + len(tp)
    stop, stop_column = _ascending(sl, 0)
    goal, goal_column = _ascending(tp, first_tp)
    trail, trail_column = _ascending(tsl, first_tsl)
    counts = np.array((len(sl), len(tp), len(tsl)), np.int64)
    return Levels(stop, goal, trail, stop_column, goal_column, trail_column, counts)


def _ascending(axis: Sequence[float | None], first_column: int) -> tuple[Float64, Int64]:
    """Return the levels of an axis as ascending fractions, and the column of each."""
    levels = sorted((level / 100.0, at) for at, level in enumerate(axis) if level is not None)
    return (
        np.array([level for level, _ in levels], np.float64),
        np.array([first_column + at for _, at in levels], np.int64),
    )


def order_of(
    primary: str,
    secondary: str | None,
    min_trades: int,
    cut_tier: int,
    cut_key: float,
    *,
    distinct: bool = True,
) -> Order:
    """Return a ranking with the first keys of the worst variant that is still of interest."""
    return Order(
        primary=METRICS.index(primary),
        secondary=NO_METRIC if secondary is None else METRICS.index(secondary),
        min_trades=min_trades,
        sign=1.0 if primary in ASCENDING else -1.0,
        cut_tier=cut_tier,
        cut_key=cut_key,
        distinct=distinct,
    )


def room_for(variants: int) -> Found:
    """Return arrays that take the finds of so many variants."""
    size = variants + 1
    return Found(
        variant=np.empty(size, np.int64),
        ruined=np.empty(size, np.bool_),
        trades=np.empty(size, np.int64),
        primary=np.empty(size),
        secondary=np.empty(size),
        total_return=np.empty(size),
        signature=np.empty((size, 2), np.uint64),
        weight=np.empty(size, np.int64),
    )


def tally_of(outcomes: Outcomes) -> Tally:
    """Return the arrays of `outcomes`, which kernels count into."""
    benchmark = outcomes.benchmark_return_pct
    return Tally(
        benchmark=np.nan if benchmark is None else benchmark,
        counts=outcomes.counts,
        returns=outcomes.returns,
        primaries=outcomes.primaries,
    )
