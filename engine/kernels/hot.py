"""The compiled loops: runs from bit planes, the account, metrics, the two stages.

Everything that is inlined into an entry point lives in this one file on purpose: numba's disk cache
notices a change of the file an entry point is written in, not of functions inlined from elsewhere.

A *run* is a maximal stretch of equal non-neutral signal, which is one trade (bars `entry`..`exit`)
unless the cash is gone. Bars are traded-bar numbers; planes hold bar i in bit i % 64 of word
i // 64. Every plane handled here has passed through `ground` planes without the last bar's bit,
so a run always ends, at the latest on the last bar, and none starts there.

Arithmetic is plain IEEE float64 in a fixed order (no fastmath), and every number that ranks a
variant is made by a function that the report calls as well.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

U0, U1, U63, U64 = np.uint64(0), np.uint64(1), np.uint64(63), np.uint64(64)
WORD_SHIFT, BIT_MASK, WORD_BITS = np.uint32(6), np.uint32(63), np.uint32(64)

NO_HIT = 2**31 - 1  # later than any bar
BLOCK_SHIFT = 4  # the risk scan skips blocks of 16 bars by their extremes
BLOCK = 1 << BLOCK_SHIFT
DUST = 1e-12  # |net| up to this share of the quote amount is neither a win nor a loss
DAYS_A_YEAR = 365.0

# Positions in metric_names.METRICS.
TOTAL_RETURN, NUM_TRADES, MAX_DRAWDOWN, RETURN_OVER_DRAWDOWN = 0, 1, 2, 3
PROFIT_FACTOR, WIN_RATE, EXPECTANCY, SQN, SHARPE, SORTINO, CALMAR = 4, 5, 6, 7, 8, 9, 10
NO_METRIC = -1


class Costs(NamedTuple):
    """What a trade does to the cash, precomputed from the execution rules.

    Cash C committed to a trade (budget and entry fee) returns as `C * (base + slope * r)` with r
    the exit close times the reciprocal entry close.
    """

    base_long: float
    slope_long: float
    base_short: float
    slope_short: float
    buy: float  # fill price per close
    sell: float
    fee: float
    budget: float  # share of committed cash that is the quote amount Q
    fixed: float  # Q of a capped entry
    cap: float  # cash committed by a capped entry; inf = all of it
    lock: float  # share of a win that moves to the safe
    init_cash: float
    floor: float  # no entry with this much cash or less


class Market(NamedTuple):
    """Traded closes and what is derived from them once: n bars, B = ceil(n / 16) blocks, D days."""

    closes: np.ndarray  # float64[n]
    inverse: np.ndarray  # float64[n], 1 / close
    block_low: np.ndarray  # float64[B], lowest close of each block
    block_high: np.ndarray  # float64[B]
    day_ends: np.ndarray  # int64[D], last bar of each UTC day of close times


class Order(NamedTuple):
    """What to rank by, and the first two keys of the worst variant that is still of interest."""

    primary: int
    secondary: int  # NO_METRIC: none
    min_trades: int
    sign: float  # key = sign * primary metric, smaller is better
    cut_tier: int
    cut_key: float


class Found(NamedTuple):
    """Where an entry point puts the variants worth offering to the top list."""

    index: np.ndarray  # int64
    trades: np.ndarray  # int64
    primary: np.ndarray  # float64, NaN = undefined
    secondary: np.ndarray  # float64


class Scratch(NamedTuple):
    """Working memory of one variant: W words, at most n runs, and bars of the whole range."""

    long: np.ndarray  # uint64[W + 1], word 0 is the neutral time before the first bar
    short: np.ndarray
    starts: np.ndarray  # uint64[W], bits of bars on which a run starts
    ends: np.ndarray  # uint64[W]
    busy: np.ndarray  # uint32[W + 1], numbers of words that are not 0
    entry: np.ndarray  # uint32[64 W + 64], with room for unconditional writes past the end
    exit: np.ndarray


class Ledger(NamedTuple):
    """What the account looked like in and after each trade."""

    quote: np.ndarray  # float64, Q
    held: np.ndarray  # float64, cash + safe left aside while the position is open
    net: np.ndarray  # float64
    available: np.ndarray  # float64, after the trade
    safe: np.ndarray  # float64, after the trade
    marks: np.ndarray  # float64[n], equity at bars or days


@intrinsic
def trailing_zeros(typingctx, word):
    """Position of the lowest set bit of a uint64; anything for 0."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


@intrinsic
def population(typingctx, word):
    """Number of set bits of a uint64."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


# --- runs from planes ---------------------------------------------------------------------------


@njit(nogil=True)
def new_scratch(words):
    room = 64 * words + 64
    return Scratch(
        np.zeros(words + 1, np.uint64),
        np.zeros(words + 1, np.uint64),
        np.empty(words, np.uint64),
        np.empty(words, np.uint64),
        np.empty(words + 1, np.uint32),
        np.empty(room, np.uint32),
        np.empty(room, np.uint32),
    )


@njit(nogil=True)
def mark_edges(scratch):
    """Fill `starts` and `ends`; returns the number of runs and of bars on which anything changes.

    One branchless pass that LLVM turns into vector code.
    """
    long, short, starts, ends = scratch.long, scratch.short, scratch.starts, scratch.ends
    runs = U0
    changes = U0
    for w in range(starts.shape[0]):
        now_long = long[w + 1]
        now_short = short[w + 1]
        was_long = (now_long << U1) | (long[w] >> U63)
        was_short = (now_short << U1) | (short[w] >> U63)
        start = (now_long & ~was_long) | (now_short & ~was_short)
        end = (was_long & ~now_long) | (was_short & ~now_short)
        starts[w] = start
        ends[w] = end
        runs += population(start)
        changes += population(start | end)
    return runs, changes


@njit(nogil=True, forceinline=True)
def list_word(bits, base, out, n, writes):
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


@njit(nogil=True)
def list_bits(words, count, busy, out):
    """Write the positions of the `count` set bits to `out` in ascending order.

    Few bits: find the busy words first. Many: as many unconditional writes per word as are usual.
    """
    n = U0
    base = np.uint32(0)
    size = np.uint64(words.shape[0])
    if count < size:
        used = U0
        for w in range(words.shape[0]):
            busy[used] = np.uint32(w)
            used += np.uint64(words[w] != U0)
        for i in range(used):
            w = busy[i]
            n = list_word(words[w], w * WORD_BITS, out, n, 2)
    elif np.uint64(2) * count < np.uint64(5) * size:
        for w in range(words.shape[0]):
            n = list_word(words[w], base, out, n, 4)
            base += WORD_BITS
    else:
        for w in range(words.shape[0]):
            n = list_word(words[w], base, out, n, 8)
            base += WORD_BITS


@njit(nogil=True)
def find_runs(scratch):
    """List entry and exit bars of the planes in `scratch`; returns the number of runs."""
    runs, changes = mark_edges(scratch)
    if runs == U0:
        return 0
    starts, ends, entry, exit_ = scratch.starts, scratch.ends, scratch.entry, scratch.exit
    list_bits(starts, runs, scratch.busy, entry)
    if changes == runs + U1:
        # Always in the market: every exit but the last is the next entry.
        for k in range(np.int64(runs) - 1):
            exit_[k] = entry[k + 1]
        w = starts.shape[0] - 1
        while ends[w] & ~starts[w] == U0:
            w -= 1
        last = trailing_zeros(ends[w] & ~starts[w])
        exit_[np.int64(runs) - 1] = np.uint32(64 * w) + np.uint32(last)
    else:
        list_bits(ends, runs, scratch.busy, exit_)
    return np.int64(runs)


@njit(nogil=True, forceinline=True)
def is_long(scratch, bar):
    word = scratch.long[(bar >> WORD_SHIFT) + np.uint32(1)]
    return (word >> np.uint64(bar & BIT_MASK)) & U1 != U0


# --- the account --------------------------------------------------------------------------------


@njit(nogil=True, forceinline=True)
def growth(costs, long, entry_inverse, exit_close):
    """What one unit of committed cash becomes. The only place where a trade's outcome is made."""
    r = exit_close * entry_inverse
    base = costs.base_long if long else costs.base_short
    slope = costs.slope_long if long else costs.slope_short
    return base + slope * r


@njit(nogil=True, forceinline=True)
def settle(costs, cash, safe, factor):
    """Cash, safe, committed cash, net profit after a trade with this growth factor.

    With everything committed `cash` becomes `cash * factor` exactly.
    """
    committed = costs.cap if costs.cap < cash else cash
    returned = committed * factor
    net = returned - committed
    locked = costs.lock * net if net > DUST * (committed * costs.budget) else 0.0
    return ((cash - committed) + returned) - locked, safe + locked, committed, net


@njit(nogil=True)
def compounds(costs):
    """Whether every entry commits all cash and nothing is locked: cash is one product."""
    return costs.cap == np.inf and costs.lock == 0.0


@njit(nogil=True)
def final_balance(scratch, runs, market, costs):
    """Number of trades and cash + safe after them, nothing recorded."""
    closes, inverse, floor = market.closes, market.inverse, costs.floor
    entry, exit_ = scratch.entry, scratch.exit
    cash = costs.init_cash
    if compounds(costs):
        for k in range(runs):
            if cash <= floor:
                return k, cash + 0.0
            bar = entry[k]
            cash = cash * growth(costs, is_long(scratch, bar), inverse[bar], closes[exit_[k]])
        return runs, cash + 0.0
    safe = 0.0
    for k in range(runs):
        if cash <= floor:
            return k, cash + safe
        bar = entry[k]
        factor = growth(costs, is_long(scratch, bar), inverse[bar], closes[exit_[k]])
        cash, safe, _, _ = settle(costs, cash, safe, factor)
    return runs, cash + safe


@njit(nogil=True)
def new_ledger(bars):
    """Room for as many trades and marks as there can be bars."""
    return Ledger(
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
    )


@njit(nogil=True)
def record_trades(scratch, runs, market, costs, ledger):
    """Number of trades and cash + safe after them; each trade is written to `ledger`."""
    closes, inverse, floor = market.closes, market.inverse, costs.floor
    entry, exit_ = scratch.entry, scratch.exit
    cash = costs.init_cash
    safe = 0.0
    for k in range(runs):
        if cash <= floor:
            return k, cash + safe
        bar = entry[k]
        factor = growth(costs, is_long(scratch, bar), inverse[bar], closes[exit_[k]])
        before, aside = cash, safe
        cash, safe, committed, net = settle(costs, before, aside, factor)
        ledger.quote[k] = costs.fixed if committed < before else committed * costs.budget
        ledger.held[k] = (before - committed) + aside
        ledger.net[k] = net
        ledger.available[k] = cash
        ledger.safe[k] = safe
    return runs, cash + safe


# --- equity -------------------------------------------------------------------------------------


@njit(nogil=True, forceinline=True)
def position_equity(long, held, quote, quantity, close):
    worth = quantity * close
    return held + (worth if long else quote + (quote - worth))


@njit(nogil=True, forceinline=True)
def entry_fill(costs, long, close):
    return close * (costs.buy if long else costs.sell)


@njit(nogil=True)
def fill_equity(scratch, trades, market, costs, ledger, flat):
    """Equity of every bar of [entry, exit] of every trade into `ledger.marks`; others when `flat`."""
    closes, marks = market.closes, ledger.marks
    balance = costs.init_cash
    bar = 0
    for k in range(trades):
        first = np.int64(scratch.entry[k])
        last = np.int64(scratch.exit[k])
        if flat:
            for i in range(bar, first):
                marks[i] = balance
        long = is_long(scratch, scratch.entry[k])
        held, quote = ledger.held[k], ledger.quote[k]
        quantity = quote / entry_fill(costs, long, closes[first])
        if long:
            for i in range(first, last):
                marks[i] = position_equity(True, held, quote, quantity, closes[i])
        else:
            for i in range(first, last):
                marks[i] = position_equity(False, held, quote, quantity, closes[i])
        balance = ledger.available[k] + ledger.safe[k]
        marks[last] = balance
        bar = last
    if flat:
        for i in range(bar, closes.shape[0]):
            marks[i] = balance


@njit(nogil=True)
def day_marks(scratch, trades, market, costs, ledger):
    """Equity of the last bar of each day into `ledger.marks`; returns the number of days."""
    closes, ends, marks = market.closes, market.day_ends, ledger.marks
    balance = costs.init_cash
    day = 0
    for k in range(trades):
        first = np.int64(scratch.entry[k])
        last = np.int64(scratch.exit[k])
        while day < ends.shape[0] and ends[day] < first:
            marks[day] = balance
            day += 1
        if day < ends.shape[0] and ends[day] < last:
            long = is_long(scratch, scratch.entry[k])
            quantity = ledger.quote[k] / entry_fill(costs, long, closes[first])
            while day < ends.shape[0] and ends[day] < last:
                close = closes[ends[day]]
                marks[day] = position_equity(long, ledger.held[k], ledger.quote[k], quantity, close)
                day += 1
        balance = ledger.available[k] + ledger.safe[k]
    while day < ends.shape[0]:
        marks[day] = balance
        day += 1
    return day


# --- metrics ------------------------------------------------------------------------------------


@njit(nogil=True, forceinline=True)
def ratio(numerator, denominator):
    """Quotient; +inf for a positive numerator over zero, NaN for anything else not finite."""
    if denominator == 0.0:
        return np.inf if numerator > 0.0 and numerator < np.inf else np.nan
    value = numerator / denominator
    return value if np.isfinite(value) else np.nan


@njit(nogil=True)
def return_pct(balance, costs):
    value = (balance / costs.init_cash - 1.0) * 100.0
    return value if np.isfinite(value) else np.nan


@njit(nogil=True)
def extend_drawdown(equity, start, stop, peak, trough, worst):
    """Carry (peak, lowest since the peak, worst drawdown before the peak) over equity[start:stop].

    Bars that repeat the equity of the bar before them may be left out.
    """
    for i in range(start, stop):
        value = equity[i]
        if value > peak:
            if trough < peak:
                worst = max(worst, (peak - trough) / peak)
            peak = value
            trough = value
        elif value < trough:
            trough = value
    return peak, trough, worst


@njit(nogil=True)
def drawdown_fraction(peak, trough, worst):
    return max(worst, (peak - trough) / peak)


@njit(nogil=True)
def trade_metric(metric, net, quote, trades):
    """Profit factor, win rate [%], expectancy [%] or SQN of the first `trades` trades."""
    if metric == PROFIT_FACTOR or metric == WIN_RATE:
        gains = 0.0
        losses = 0.0
        wins = 0
        for k in range(trades):
            if net[k] > DUST * quote[k]:
                gains += net[k]
                wins += 1
            elif net[k] < -DUST * quote[k]:
                losses -= net[k]
        return ratio(gains, losses) if metric == PROFIT_FACTOR else 100.0 * wins / trades
    if metric == EXPECTANCY:
        total = 0.0
        for k in range(trades):
            total += 100.0 * net[k] / quote[k]
        return ratio(total, float(trades))
    if trades < 2:
        return np.nan
    mean = 0.0
    for k in range(trades):
        mean += net[k]
    mean /= trades
    squares = 0.0
    for k in range(trades):
        squares += (net[k] - mean) ** 2
    return ratio(np.sqrt(trades) * mean, np.sqrt(squares / (trades - 1)))


@njit(nogil=True)
def daily_metric(metric, marks, days, init_cash, drawdown):
    """Sharpe, Sortino or Calmar from the last equity of each day; `drawdown` is a fraction."""
    if days < 2:
        return np.nan
    for d in range(days):
        if not marks[d] > 0.0:
            return np.nan
    annual = (marks[days - 1] / init_cash) ** (DAYS_A_YEAR / days) - 1.0
    if metric == CALMAR:
        return ratio(annual, drawdown)
    mean = 0.0
    downside = 0.0
    before = init_cash
    for d in range(days):
        change = marks[d] / before - 1.0
        mean += change
        if change < 0.0:
            downside += change * change
        before = marks[d]
    if metric == SORTINO:
        return ratio(annual, np.sqrt(downside / days) * np.sqrt(DAYS_A_YEAR))
    mean /= days
    squares = 0.0
    before = init_cash
    for d in range(days):
        squares += (marks[d] / before - 1.0 - mean) ** 2
        before = marks[d]
    return ratio(annual, np.sqrt(squares / (days - 1)) * np.sqrt(DAYS_A_YEAR))


@njit(nogil=True)
def walks_bars(metric):
    """Whether a metric needs the drawdown, for which every bar in position is visited."""
    return metric == MAX_DRAWDOWN or metric == RETURN_OVER_DRAWDOWN or metric == CALMAR


@njit(nogil=True)
def needs_ledger(metric):
    return metric >= MAX_DRAWDOWN


@njit(nogil=True)
def max_drawdown(scratch, trades, market, costs, ledger):
    """Worst drawdown as a fraction of its peak; the peak starts at the initial cash."""
    fill_equity(scratch, trades, market, costs, ledger, False)
    peak, trough, worst = costs.init_cash, costs.init_cash, 0.0
    for k in range(trades):
        peak, trough, worst = extend_drawdown(
            ledger.marks, scratch.entry[k], scratch.exit[k] + np.uint32(1), peak, trough, worst
        )
    return drawdown_fraction(peak, trough, worst)


@njit(nogil=True)
def value_of(metric, trades, balance, costs, ledger, drawdown, days):
    """One metric of a variant; NaN is undefined. `ledger.marks` holds the days where needed."""
    if metric == TOTAL_RETURN:
        return return_pct(balance, costs)
    if metric == NUM_TRADES:
        return float(trades)
    if trades == 0 or metric == NO_METRIC:
        return np.nan
    if metric == MAX_DRAWDOWN:
        return 100.0 * drawdown if np.isfinite(drawdown) else np.nan
    if metric == RETURN_OVER_DRAWDOWN:
        return ratio(return_pct(balance, costs), 100.0 * drawdown)
    if metric >= SHARPE:
        return daily_metric(metric, ledger.marks, days, costs.init_cash, drawdown)
    return trade_metric(metric, ledger.net, ledger.quote, trades)


@njit(nogil=True)
def measure(scratch, runs, market, costs, order, ledger):
    """Number of trades, primary and secondary metric of the runs listed in `scratch`."""
    if not (needs_ledger(order.primary) or needs_ledger(order.secondary)):
        trades, balance = final_balance(scratch, runs, market, costs)
        drawdown, days = np.nan, 0
    else:
        trades, balance = record_trades(scratch, runs, market, costs, ledger)
        drawdown, days = np.nan, 0
        if walks_bars(order.primary) or walks_bars(order.secondary):
            drawdown = max_drawdown(scratch, trades, market, costs, ledger)
        if order.primary >= SHARPE or order.secondary >= SHARPE:
            days = day_marks(scratch, trades, market, costs, ledger)
    primary = value_of(order.primary, trades, balance, costs, ledger, drawdown, days)
    secondary = value_of(order.secondary, trades, balance, costs, ledger, drawdown, days)
    return trades, primary, secondary


@njit(nogil=True, cache=True)
def all_metrics(net, quote, balance, equity, day_ends, costs, out):
    """Every metric of one variant with its trades and equity curve float64[n] into `out`."""
    trades = net.shape[0]
    ledger = Ledger(quote, quote, net, net, net, equity[day_ends])
    peak, trough, worst = costs.init_cash, costs.init_cash, 0.0
    peak, trough, worst = extend_drawdown(equity, 0, equity.shape[0], peak, trough, worst)
    drawdown = drawdown_fraction(peak, trough, worst)
    for metric in range(out.shape[0]):
        out[metric] = value_of(metric, trades, balance, costs, ledger, drawdown, day_ends.shape[0])


@njit(nogil=True, forceinline=True)
def offer(found, n, order, index, trades, primary, secondary):
    """Append a variant unless it is certainly worse than the cut; returns the new count."""
    undefined = np.isnan(primary)
    tier = (2 if trades < order.min_trades else 0) + (1 if undefined else 0)
    key = 0.0 if undefined else order.sign * primary
    found.index[n] = index
    found.trades[n] = trades
    found.primary[n] = primary
    found.secondary[n] = secondary
    worse = tier > order.cut_tier or (tier == order.cut_tier and key > order.cut_key)
    return n if worse else n + 1


# --- stage A ------------------------------------------------------------------------------------


class Tile(NamedTuple):
    """A box of base variants: a range of rows of the streamed block × a range of prefixes.

    Prefixes number the combinations of the other blocks, last one fastest. A base index is
    `offset` + Σ stride * (row within the block's resident rows).
    """

    row: int  # first plane row of the streamed block
    start: int  # its rows [start, stop) belong to the tile
    stop: int
    stride: int
    prefix_start: int
    prefix_stop: int
    offset: int
    base_start: int  # variants outside [base_start, base_stop) are left out
    base_stop: int


@njit(nogil=True)
def multiply(long, short, factor_long, factor_short, out_long, out_short):
    for w in range(long.shape[0]):
        out_long[w] = long[w] & factor_long[w]
        out_short[w] = short[w] & factor_short[w]


@njit(nogil=True, cache=True)
def score_tile(longs, shorts, ground, tile, others, market, costs, order, found):
    """Score a tile of base variants without risk levels; returns how many were found and scored.

    `longs`, `shorts` are the plane rows uint64[R, W]; `ground` uint64[2, W] the planes of the
    empty prefix; `others` int64[B, 3] gives row, count and stride of each block that is not
    streamed. `found` has room for one more than the tile.
    """
    words = ground.shape[1]
    depth = others.shape[0]
    # Level d is the product of the first d blocks; it changes when one of their digits does.
    stack_long = np.empty((depth + 1, words), np.uint64)
    stack_short = np.empty((depth + 1, words), np.uint64)
    stack_long[0] = ground[0]
    stack_short[0] = ground[1]
    digits = np.full(depth, -1, np.int64)
    scratch = new_scratch(words)
    long, short = scratch.long[1:], scratch.short[1:]
    recorded = needs_ledger(order.primary) or needs_ledger(order.secondary)
    ledger = new_ledger(64 * words if recorded else 0)
    n = 0
    scored = 0
    for prefix in range(tile.prefix_start, tile.prefix_stop):
        offset = tile.offset
        rest = prefix
        changed = depth
        for d in range(depth - 1, -1, -1):
            digit = rest % others[d, 1]
            rest //= others[d, 1]
            offset += digit * others[d, 2]
            if digit != digits[d]:
                digits[d] = digit
                changed = d
        for d in range(changed, depth):
            row = others[d, 0] + digits[d]
            multiply(
                stack_long[d], stack_short[d], longs[row], shorts[row],
                stack_long[d + 1], stack_short[d + 1],
            )  # fmt: skip
        start = max(tile.start, -((offset - tile.base_start) // tile.stride))
        stop = min(tile.stop, -((offset - tile.base_stop) // tile.stride))
        for m in range(start, stop):
            row = tile.row + m
            multiply(stack_long[depth], stack_short[depth], longs[row], shorts[row], long, short)
            runs = find_runs(scratch)
            trades, primary, secondary = measure(scratch, runs, market, costs, order, ledger)
            n = offer(found, n, order, offset + m * tile.stride, trades, primary, secondary)
            scored += 1
    return n, scored


# --- stage B ------------------------------------------------------------------------------------


class Levels(NamedTuple):
    """Risk levels as fractions, ascending, and the column of the hit table each belongs to.

    Columns are the axis positions of sl, then tp, then tsl; `counts` int64[3] are the axis lengths.
    An axis value "off" has a column and no level.
    """

    sl: np.ndarray
    tp: np.ndarray
    tsl: np.ndarray
    sl_column: np.ndarray
    tp_column: np.ndarray
    tsl_column: np.ndarray
    counts: np.ndarray


@njit(nogil=True)
def scan_run(market, costs, levels, entry, exit_, long, hits):
    """First bar of (entry, exit] on which each level is hit into `hits` int32[columns].

    Shorts are longs on negated prices, which is exact. Levels ascend, so a level is hit no earlier
    than the one before it and only the next one of each kind is watched; blocks of bars whose
    extremes reach none of the three are skipped.
    """
    hits[:] = NO_HIT
    closes = market.closes
    sign = 1.0 if long else -1.0
    fill = sign * entry_fill(costs, long, closes[entry])
    peak = sign * closes[entry]
    sl, tp, tsl = 0, 0, 0
    left = levels.sl.shape[0] + levels.tp.shape[0] + levels.tsl.shape[0]
    stop_level = fill * (1.0 - sign * levels.sl[0]) if levels.sl.shape[0] else -np.inf
    goal_level = fill * (1.0 + sign * levels.tp[0]) if levels.tp.shape[0] else np.inf
    trail = 1.0 - sign * levels.tsl[0] if levels.tsl.shape[0] else -sign * np.inf
    bar = entry + 1
    while bar <= exit_ and left > 0:
        block = bar >> BLOCK_SHIFT
        behind = min((block + 1) << BLOCK_SHIFT, exit_ + 1)
        low = market.block_low[block] if long else -market.block_high[block]
        high = market.block_high[block] if long else -market.block_low[block]
        whole = behind - bar == BLOCK or tsl == levels.tsl.shape[0]
        if whole and low > stop_level and high < goal_level and low > max(peak, high) * trail:
            peak = max(peak, high)
            bar = behind
            continue
        for i in range(bar, behind):
            close = sign * closes[i]
            if close > peak:
                peak = close
            while close <= stop_level:
                hits[levels.sl_column[sl]] = i
                sl += 1
                left -= 1
                more = sl < levels.sl.shape[0]
                stop_level = fill * (1.0 - sign * levels.sl[sl]) if more else -np.inf
            while close <= peak * trail:
                hits[levels.tsl_column[tsl]] = i
                tsl += 1
                left -= 1
                trail = (
                    1.0 - sign * levels.tsl[tsl] if tsl < levels.tsl.shape[0] else -sign * np.inf
                )
            while close >= goal_level:
                hits[levels.tp_column[tp]] = i
                tp += 1
                left -= 1
                more = tp < levels.tp.shape[0]
                goal_level = fill * (1.0 + sign * levels.tp[tp]) if more else np.inf
        bar = behind


@njit(nogil=True)
def scan_runs(scratch, runs, market, costs, levels, hits):
    for k in range(runs):
        bar = scratch.entry[k]
        scan_run(
            market, costs, levels, np.int64(bar), np.int64(scratch.exit[k]),
            is_long(scratch, bar), hits[k],
        )  # fmt: skip


@njit(nogil=True)
def apply_risk(scratch, natural, hits, sl, tp, tsl):
    """Exit bars of one risk combination: the earliest of the hits and the run's own end."""
    for k in range(natural.shape[0]):
        first = min(hits[k, sl], hits[k, tp], hits[k, tsl])
        scratch.exit[k] = min(natural[k], np.uint32(first))


@njit(nogil=True)
def grow_all(scratch, runs, market, costs, levels, hits, sl_start, sl_stop, cash, safe):
    """Cash and safe of every risk combination float64[sl, tp * tsl] after all runs.

    Runs are the outer loop: each combination still folds its trades in time order, and the
    combinations side by side keep the processor busy.
    """
    closes, inverse, floor = market.closes, market.inverse, costs.floor
    tps, tsls = levels.counts[1], levels.counts[2]
    first_tp, first_tsl = levels.counts[0], levels.counts[0] + tps
    columns = hits.shape[1]
    factor = np.empty(columns)
    target_hit = np.empty(tps * tsls, np.int32)
    target = np.empty(tps * tsls)
    compounding = compounds(costs)
    cash[:] = costs.init_cash
    safe[:] = 0.0
    for k in range(runs):
        bar = scratch.entry[k]
        long, reciprocal, end = is_long(scratch, bar), inverse[bar], scratch.exit[k]
        unhit = growth(costs, long, reciprocal, closes[end])
        for c in range(columns):
            hit = hits[k, c]
            factor[c] = unhit if hit == NO_HIT else growth(costs, long, reciprocal, closes[hit])
        for i in range(tps):
            for j in range(tsls):
                earlier = hits[k, first_tp + i] < hits[k, first_tsl + j]
                column = first_tp + i if earlier else first_tsl + j
                target_hit[i * tsls + j] = hits[k, column]
                target[i * tsls + j] = factor[column]
        for s in range(sl_start, sl_stop):
            stop_hit, stop = hits[k, s], factor[s]
            if compounding:
                for q in range(tps * tsls):
                    before = cash[s - sl_start, q]
                    after = before * (stop if stop_hit < target_hit[q] else target[q])
                    cash[s - sl_start, q] = after if before > floor else before
            else:
                for q in range(tps * tsls):
                    before = cash[s - sl_start, q]
                    if before > floor:
                        chosen = stop if stop_hit < target_hit[q] else target[q]
                        cash[s - sl_start, q], safe[s - sl_start, q], _, _ = settle(
                            costs, before, safe[s - sl_start, q], chosen
                        )


@njit(nogil=True)
def load_variant(longs, shorts, ground, rows, scratch):
    """Product of the ground planes and one plane row per block into `scratch`."""
    words = ground.shape[1]
    for w in range(words):
        long, short = ground[0, w], ground[1, w]
        for b in range(rows.shape[0]):
            long &= longs[rows[b], w]
            short &= shorts[rows[b], w]
        scratch.long[w + 1] = long
        scratch.short[w + 1] = short


@njit(nogil=True, cache=True)
def expand_risk(
    longs, shorts, ground, rows, bases, sl_start, sl_stop, levels, market, costs, order, found
):
    """Score the risk combinations of base variants `bases` int64[V]; returns how many were found.

    `rows` int64[V, B] are their plane rows; of the sl axis only [sl_start, sl_stop) is expanded.
    `found` has room for one more than V * combinations.
    """
    words = ground.shape[1]
    tps, tsls = levels.counts[1], levels.counts[2]
    targets = tps * tsls
    first_tsl = levels.counts[0] + tps
    scratch = new_scratch(words)
    recorded = needs_ledger(order.primary) or needs_ledger(order.secondary)
    ledger = new_ledger(64 * words if recorded else 0)
    cash = np.empty((sl_stop - sl_start, targets))
    safe = np.empty((sl_stop - sl_start, targets))
    hits = np.empty((0, first_tsl + tsls), np.int32)
    n = 0
    for v in range(rows.shape[0]):
        load_variant(longs, shorts, ground, rows[v], scratch)
        runs = find_runs(scratch)
        if hits.shape[0] < runs:
            hits = np.empty((runs + runs // 4, first_tsl + tsls), np.int32)
        scan_runs(scratch, runs, market, costs, levels, hits)
        if not recorded:
            grow_all(scratch, runs, market, costs, levels, hits, sl_start, sl_stop, cash, safe)
        natural = scratch.exit[:runs].copy()
        for s in range(sl_start, sl_stop):
            for q in range(targets):
                trades = runs
                balance = cash[s - sl_start, q] + safe[s - sl_start, q]
                if recorded or cash[s - sl_start, q] <= costs.floor:
                    tp, tsl = levels.counts[0] + q // tsls, first_tsl + q % tsls
                    apply_risk(scratch, natural, hits, s, tp, tsl)
                    trades, primary, secondary = measure(
                        scratch, runs, market, costs, order, ledger
                    )
                else:
                    primary = value_of(order.primary, trades, balance, costs, ledger, np.nan, 0)
                    secondary = value_of(order.secondary, trades, balance, costs, ledger, np.nan, 0)
                index = bases[v] * (levels.counts[0] * targets) + s * targets + q
                n = offer(found, n, order, index, trades, primary, secondary)
    return n


# --- one variant --------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def trade_variant(long, short, ground, levels, market, costs):
    """Entry bars, exit bars, hit table and ledger of one variant with one level of each kind.

    The ledger holds trades only; `hits` int32[trades, 3] are the bars of sl, tp, tsl.
    """
    words = ground.shape[1]
    scratch = new_scratch(words)
    multiply(ground[0], ground[1], long, short, scratch.long[1:], scratch.short[1:])
    runs = find_runs(scratch)
    hits = np.empty((runs, 3), np.int32)
    scan_runs(scratch, runs, market, costs, levels, hits)
    apply_risk(scratch, scratch.exit[:runs].copy(), hits, 0, 1, 2)
    ledger = new_ledger(runs)
    trades, _ = record_trades(scratch, runs, market, costs, ledger)
    is_up = np.empty(trades, np.bool_)
    for k in range(trades):
        is_up[k] = is_long(scratch, scratch.entry[k])
    return scratch.entry[:trades], scratch.exit[:trades], is_up, hits[:trades], ledger


@njit(nogil=True, cache=True)
def curve_of(entry, exit_, is_up, market, costs):
    """Equity float64[n] at every close of a variant whose trades are given."""
    bars = market.closes.shape[0]
    scratch = new_scratch((bars + 63) // 64)
    for k in range(entry.shape[0]):
        scratch.entry[k] = entry[k]
        scratch.exit[k] = exit_[k]
        if is_up[k]:
            scratch.long[(entry[k] >> 6) + 1] |= U1 << np.uint64(entry[k] & 63)
    ledger = new_ledger(bars)
    trades, _ = record_trades(scratch, entry.shape[0], market, costs, ledger)
    fill_equity(scratch, trades, market, costs, ledger, True)
    return ledger.marks
