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

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Numbers32 = NDArray[np.uint32]
Hits = NDArray[np.int32]
Int64 = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

compiled = njit(nogil=True, error_model="numpy")
inlined = njit(nogil=True, error_model="numpy", forceinline=True)
entry_point = njit(nogil=True, error_model="numpy", cache=True)

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

    closes: Floats  # float64[n]
    inverse: Floats  # float64[n], 1 / close
    block_low: Floats  # float64[B], lowest close of each block
    block_high: Floats  # float64[B]
    day_ends: Int64  # int64[D], last bar of each UTC day of close times


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

    variant: Int64  # base index or stage-B index
    trades: Int64  # int64
    primary: Floats  # float64, NaN = undefined
    secondary: Floats  # float64


class Scratch(NamedTuple):
    """Working memory of one variant: W words, at most n runs, and bars of the whole range."""

    long: Words  # uint64[W + 1], word 0 is the neutral time before the first bar
    short: Words
    starts: Words  # uint64[W], bits of bars on which a run starts
    ends: Words  # uint64[W]
    busy: Numbers32  # uint32[W + 1], numbers of words that are not 0
    entry: Numbers32  # uint32[64 W + 64], with room for unconditional writes past the end
    exit: Numbers32


class Ledger(NamedTuple):
    """What the account looked like in and after each trade."""

    quote: Floats  # float64, Q
    held: Floats  # float64, cash + safe left aside while the position is open
    net: Floats  # float64
    available: Floats  # float64, after the trade
    safe: Floats  # float64, after the trade
    marks: Floats  # float64[n], equity at bars or days


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


# --- runs from planes ---------------------------------------------------------------------------


@compiled
def new_scratch(words: int) -> Scratch:
    """Allocate what finding the runs of one variant takes."""
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


@compiled
def mark_edges(scratch: Scratch) -> tuple[np.uint64, np.uint64]:
    """Fill `starts` and `ends`; return the number of runs and of bars on which anything changes.

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


@inlined
def list_word(
    bits: Any, base: np.uint32, out: Numbers32, n: np.uint64, writes: int
) -> Any:
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


@compiled
def list_bits(words: Words, count: np.uint64, busy: Numbers32, out: Numbers32) -> None:
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


@compiled
def find_runs(scratch: Scratch) -> Any:
    """List entry and exit bars of the planes in `scratch`; return the number of runs."""
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


@inlined
def is_long(scratch: Scratch, bar: np.uint32) -> Any:
    """Whether the run that starts on `bar` is long."""
    word = scratch.long[(bar >> WORD_SHIFT) + np.uint32(1)]
    return (word >> np.uint64(bar & BIT_MASK)) & U1 != U0


# --- the account --------------------------------------------------------------------------------


@inlined
def growth(costs: Costs, long: bool, entry_inverse: float, exit_close: float) -> float:
    """Return what one unit of committed cash becomes: the one place where outcomes are made."""
    r = exit_close * entry_inverse
    base = costs.base_long if long else costs.base_short
    slope = costs.slope_long if long else costs.slope_short
    return base + slope * r


@inlined
def settle(
    costs: Costs, cash: float, safe: float, factor: float
) -> tuple[float, float, float, float]:
    """Return cash, safe, committed cash and net profit after a trade of this growth.

    With everything committed `cash` becomes `cash * factor` exactly.
    """
    committed = costs.cap if costs.cap < cash else cash
    returned = committed * factor
    net = returned - committed
    locked = costs.lock * net if net > DUST * (committed * costs.budget) else 0.0
    return ((cash - committed) + returned) - locked, safe + locked, committed, net


@compiled
def compounds(costs: Costs) -> bool:
    """Whether every entry commits all cash and nothing is locked: cash is one product."""
    return costs.cap == np.inf and costs.lock == 0.0


@compiled
def final_balance(scratch: Scratch, runs: int, market: Market, costs: Costs) -> tuple[int, float]:
    """Return the number of trades and cash + safe after them; nothing is recorded."""
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


@compiled
def new_ledger(bars: int) -> Ledger:
    """Room for as many trades and marks as there can be bars."""
    return Ledger(
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
        np.empty(bars),
    )


@compiled
def record_trades(
    scratch: Scratch, runs: int, market: Market, costs: Costs, ledger: Ledger
) -> tuple[int, float]:
    """Return the number of trades and cash + safe after them; `ledger` takes each trade."""
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


@inlined
def position_equity(long: bool, held: float, quote: float, quantity: float, close: float) -> float:
    """Return the equity while a position is open."""
    worth = quantity * close
    return held + (worth if long else quote + (quote - worth))


@inlined
def entry_fill(costs: Costs, long: bool, close: float) -> float:
    """Return the price at which an entry fills."""
    return close * (costs.buy if long else costs.sell)


@compiled
def fill_equity(
    scratch: Scratch, trades: int, market: Market, costs: Costs, ledger: Ledger, flat: bool
) -> None:
    """Write the equity of bars in [entry, exit] of trades, of others if `flat`, to the marks."""
    closes, marks = market.closes, ledger.marks
    balance = costs.init_cash
    bar = np.int64(0)
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


@compiled
def day_marks(scratch: Scratch, trades: int, market: Market, costs: Costs, ledger: Ledger) -> int:
    """Write the last equity of each day to the marks; return the number of days."""
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


@inlined
def ratio(numerator: float, denominator: float) -> float:
    """Return the quotient; +inf for positive over zero, NaN for anything else not finite."""
    if denominator == 0.0:
        return np.inf if numerator > 0.0 and numerator < np.inf else np.nan
    value = numerator / denominator
    return value if np.isfinite(value) else np.nan


@compiled
def return_pct(balance: float, costs: Costs) -> float:
    """Return the total return in percent, NaN when it is not finite."""
    value = (balance / costs.init_cash - 1.0) * 100.0
    return value if np.isfinite(value) else np.nan


@compiled
def extend_drawdown(
    equity: Floats, start: Any, stop: Any, peak: float, trough: float, worst: float
) -> tuple[float, float, float]:
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


@compiled
def drawdown_fraction(peak: float, trough: float, worst: float) -> float:
    """Return the worst drawdown, the unfinished one included."""
    return max(worst, (peak - trough) / peak)


@compiled
def trade_metric(metric: int, net: Floats, quote: Floats, trades: int) -> float:
    """Return profit factor, win rate [%], expectancy [%] or SQN of the first `trades` trades."""
    if metric in (PROFIT_FACTOR, WIN_RATE):
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


@compiled
def daily_metric(metric: int, marks: Floats, days: int, init_cash: float, drawdown: float) -> float:
    """Return Sharpe, Sortino or Calmar from the last equity of each day and the drawdown."""
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


@compiled
def walks_bars(metric: int) -> bool:
    """Whether a metric needs the drawdown, for which every bar in position is visited."""
    return metric in (MAX_DRAWDOWN, RETURN_OVER_DRAWDOWN, CALMAR)


@compiled
def needs_ledger(metric: int) -> bool:
    """Whether a metric needs more than the final balance."""
    return metric >= MAX_DRAWDOWN


@compiled
def max_drawdown(
    scratch: Scratch, trades: int, market: Market, costs: Costs, ledger: Ledger
) -> float:
    """Return the worst drawdown as a fraction of its peak, which starts at the initial cash."""
    fill_equity(scratch, trades, market, costs, ledger, False)
    peak, trough, worst = costs.init_cash, costs.init_cash, 0.0
    for k in range(trades):
        peak, trough, worst = extend_drawdown(
            ledger.marks, scratch.entry[k], scratch.exit[k] + np.uint32(1), peak, trough, worst
        )
    return drawdown_fraction(peak, trough, worst)


@compiled
def value_of(
    metric: int,
    trades: int,
    balance: float,
    costs: Costs,
    ledger: Ledger,
    drawdown: float,
    days: int,
) -> float:
    """Return one metric; NaN is undefined. `ledger.marks` holds the days where needed."""
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


@compiled
def measure(
    scratch: Scratch, runs: int, market: Market, costs: Costs, order: Order, ledger: Ledger
) -> tuple[int, float, float]:
    """Return number of trades, primary and secondary metric of the runs in `scratch`."""
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


@entry_point
def all_metrics(
    net: Floats,
    quote: Floats,
    balance: float,
    equity: Floats,
    day_ends: Int64,
    costs: Costs,
    out: Floats,
) -> None:
    """Write every metric of one variant with its trades and equity float64[n] to `out`."""
    trades = net.shape[0]
    ledger = Ledger(quote, quote, net, net, net, equity[day_ends])
    peak, trough, worst = costs.init_cash, costs.init_cash, 0.0
    peak, trough, worst = extend_drawdown(equity, 0, equity.shape[0], peak, trough, worst)
    drawdown = drawdown_fraction(peak, trough, worst)
    for metric in range(out.shape[0]):
        out[metric] = value_of(metric, trades, balance, costs, ledger, drawdown, day_ends.shape[0])


@inlined
def offer(
    found: Found, n: int, order: Order, index: int, trades: int, primary: float, secondary: float
) -> int:
    """Append a variant unless it is certainly worse than the cut; return the new count."""
    undefined = np.isnan(primary)
    tier = (2 if trades < order.min_trades else 0) + (1 if undefined else 0)
    key = 0.0 if undefined else order.sign * primary
    found.variant[n] = index
    found.trades[n] = trades
    found.primary[n] = primary
    found.secondary[n] = secondary
    worse = tier > order.cut_tier or (tier == order.cut_tier and key > order.cut_key)
    return n if worse else n + 1


# --- stage A ------------------------------------------------------------------------------------


class Tile(NamedTuple):
    """A box of base variants: a range of rows of the streamed block × a range of prefixes.

    Prefixes number the combinations of the other blocks, last one fastest. A base index is
    `offset` + Σ stride * (row within the block's part).
    """

    row: int  # first plane row of the streamed block's part
    rows: int
    stride: int
    prefix_start: int
    prefix_stop: int
    offset: int
    base_start: int  # variants outside [base_start, base_stop) are left out
    base_stop: int


@compiled
def multiply(
    long: Words,
    short: Words,
    factor_long: Words,
    factor_short: Words,
    out_long: Words,
    out_short: Words,
) -> None:
    """Write the AND of two pairs of planes."""
    for w in range(long.shape[0]):
        out_long[w] = long[w] & factor_long[w]
        out_short[w] = short[w] & factor_short[w]


@entry_point
def score_tile(
    longs: Words,
    shorts: Words,
    ground: Words,
    tile: Tile,
    others: Int64,
    market: Market,
    costs: Costs,
    order: Order,
    found: Found,
) -> tuple[int, int]:
    """Score a tile of base variants without risk levels; return how many were found and scored.

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
        start = max(0, -((offset - tile.base_start) // tile.stride))
        stop = min(tile.rows, -((offset - tile.base_stop) // tile.stride))
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

    sl: Floats
    tp: Floats
    tsl: Floats
    sl_column: Int64
    tp_column: Int64
    tsl_column: Int64
    counts: Int64


@compiled
def scan_run(
    market: Market, costs: Costs, levels: Levels, entry: Any, exit_: Any, long: bool, hits: Hits
) -> None:
    """Write the first bar of (entry, exit] on which each level is hit to `hits` int32[columns].

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


@compiled
def scan_runs(
    scratch: Scratch, runs: int, market: Market, costs: Costs, levels: Levels, hits: Hits
) -> None:
    """Fill the hit table int32[runs, columns]."""
    for k in range(runs):
        bar = scratch.entry[k]
        scan_run(
            market, costs, levels, np.int64(bar), np.int64(scratch.exit[k]),
            is_long(scratch, bar), hits[k],
        )  # fmt: skip


@compiled
def apply_risk(
    scratch: Scratch, natural: Numbers32, hits: Hits, sl: int, tp: int, tsl: int
) -> None:
    """Set the exits of one risk combination: the earliest of the hits and the run's own end."""
    for k in range(natural.shape[0]):
        first = min(hits[k, sl], hits[k, tp], hits[k, tsl])
        scratch.exit[k] = min(natural[k], np.uint32(first))


@compiled
def grow_all(
    scratch: Scratch,
    runs: int,
    market: Market,
    costs: Costs,
    levels: Levels,
    hits: Hits,
    sl_start: int,
    sl_stop: int,
    cash: Floats,
    safe: Floats,
) -> None:
    """Compute cash and safe of every risk combination float64[sl, tp * tsl] after all runs.

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


@compiled
def load_variant(longs: Words, shorts: Words, ground: Words, rows: Int64, scratch: Scratch) -> None:
    """Put the product of the ground planes and one plane row per block into `scratch`."""
    words = ground.shape[1]
    for w in range(words):
        long, short = ground[0, w], ground[1, w]
        for b in range(rows.shape[0]):
            long &= longs[rows[b], w]
            short &= shorts[rows[b], w]
        scratch.long[w + 1] = long
        scratch.short[w + 1] = short


@entry_point
def expand_risk(
    longs: Words,
    shorts: Words,
    ground: Words,
    rows: Int64,
    bases: Int64,
    sl_start: int,
    sl_stop: int,
    levels: Levels,
    market: Market,
    costs: Costs,
    order: Order,
    found: Found,
) -> int:
    """Score the risk combinations of base variants `bases` int64[V]; return how many were found.

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


@entry_point
def trade_variant(
    long: Words, short: Words, ground: Words, levels: Levels, market: Market, costs: Costs
) -> tuple[Numbers32, Numbers32, Flags, Hits, Ledger]:
    """Return entry bars, exit bars, directions, hits and ledger of one variant.

    There is one level, or none, of each kind; `hits` int32[trades, 3] are the bars of sl, tp, tsl.
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


@entry_point
def curve_of(entry: Int64, exit_: Int64, is_up: Flags, market: Market, costs: Costs) -> Floats:
    """Return the equity float64[n] at every close of a variant whose trades are given."""
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
