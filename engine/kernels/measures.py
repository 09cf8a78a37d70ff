"""The metrics a variant is ranked by. NaN is undefined."""

from typing import NamedTuple

import numpy as np

from engine.compiled import borrowing, inlined, kernel
from engine.kernels.account import DUST, Costs, Flags, Floats, Int64, Market
from engine.kernels.bits import Words
from engine.kernels.days import Days, day_marks, day_returns, mean_and_deviation
from engine.kernels.equity import drawdown_fraction, extend_drawdown, max_drawdown
from engine.kernels.ledger import Ledger, record_trades
from engine.kernels.runs import Scratch

(
    TOTAL_RETURN,
    NUM_TRADES,
    MAX_DRAWDOWN,
    RETURN_OVER_DRAWDOWN,
    PROFIT_FACTOR,
    WIN_RATE,
    EXPECTANCY,
    SQN,
    SHARPE,
    SORTINO,
    CALMAR,
) = range(11)  # positions in METRICS
NO_METRIC = -1

# Tier of a variant: the first three keys of the order in one number.
RUINED, TOO_FEW_TRADES, UNDEFINED = 4, 2, 1
WORST_TIER = RUINED + TOO_FEW_TRADES + UNDEFINED

DAYS_A_YEAR = 365.0


class Order(NamedTuple):
    """What to rank by, and the first keys of the worst variant that is still of interest."""

    primary: int
    secondary: int  # NO_METRIC: none
    min_trades: int
    sign: float  # key = sign * primary metric, smaller is better
    cut_tier: int  # RUINED + TOO_FEW_TRADES + UNDEFINED, those of them that hold
    cut_key: float
    distinct: bool  # whether one variant may stand for its twins


class Score(NamedTuple):
    """What a variant is ranked by before its identity is; NaN is an undefined figure."""

    ruined: bool
    trades: int
    primary: float
    secondary: float
    total_return: float  # percent


class Found(NamedTuple):
    """Where an entry point puts the variants worth offering to the top list."""

    variant: Int64  # base index or stage-B index
    ruined: Flags  # bool
    trades: Int64  # int64
    primary: Floats  # float64, NaN = undefined
    secondary: Floats  # float64
    total_return: Floats  # float64, percent
    signature: Words  # uint64[n, 2], of those that pass the cut
    weight: Int64  # int64, how many variants this one stands for


@inlined
def ratio(numerator: float, denominator: float) -> float:
    """Return the quotient; +inf for positive over zero, NaN for anything else not finite.

    An infinite denominator is one that overflowed: the quotient is no 0 but unknown.
    """
    if not np.isfinite(denominator):
        return np.nan
    if denominator == 0.0:
        return np.inf if numerator > 0.0 and numerator < np.inf else np.nan
    value = numerator / denominator
    return value if np.isfinite(value) else np.nan


@borrowing
def return_pct(balance: float, costs: Costs) -> float:
    """Return the total return in percent, NaN when it is not finite."""
    value = (balance / costs.init_cash - 1.0) * 100.0
    return value if np.isfinite(value) else np.nan


@borrowing
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


@borrowing
def daily_metric(metric: int, returns: Floats, days: Days, drawdown: float) -> float:
    """Return Sharpe, Sortino or Calmar of the first `days.number` returns.

    Undefined with fewer than two days, or where the equity of one is not positive.
    """
    if days.number < 2 or np.isnan(days.growth):
        return np.nan
    if metric == CALMAR:
        return ratio(days.growth ** (DAYS_A_YEAR / days.number) - 1.0, drawdown)
    mean, deviation = mean_and_deviation(returns, days.number, metric == SORTINO)
    return ratio(mean * np.sqrt(DAYS_A_YEAR), deviation)


@borrowing
def walks_bars(metric: int) -> bool:
    """Whether a metric needs the drawdown, for which every bar in position is visited."""
    return metric in (MAX_DRAWDOWN, RETURN_OVER_DRAWDOWN, CALMAR)


@borrowing
def needs_ledger(order: Order) -> bool:
    """Whether an order needs more than the number of trades and the final balance."""
    return order.primary >= MAX_DRAWDOWN or order.secondary >= MAX_DRAWDOWN


@borrowing
def value_of(
    metric: int,
    trades: int,
    balance: float,
    costs: Costs,
    ledger: Ledger,
    drawdown: float,
    days: Days,
) -> float:
    """Return one metric; NaN is undefined. `ledger.marks` holds the daily returns where needed.

    Of an account that overflowed, which never becomes finite again, only the trades are known.
    """
    if metric < MAX_DRAWDOWN:
        return balance_metric(metric, trades, balance, costs)
    if trades == 0 or not np.isfinite(balance):
        return np.nan
    if metric == MAX_DRAWDOWN:
        return 100.0 * drawdown if np.isfinite(drawdown) else np.nan
    if metric == RETURN_OVER_DRAWDOWN:
        return ratio(return_pct(balance, costs), 100.0 * drawdown)
    if metric >= SHARPE:
        return daily_metric(metric, ledger.marks, days, drawdown)
    return trade_metric(metric, ledger.net, ledger.quote, trades)


@borrowing
def measure(
    scratch: Scratch,
    runs: int,
    market: Market,
    costs: Costs,
    order: Order,
    ledger: Ledger,
    stopped: bool,
) -> Score:
    """Return the score of runs listed in steps of 2; `stopped` as in `record_trades`."""
    trades, balance, ruined = record_trades(scratch, runs, market, costs, ledger, stopped)
    drawdown, days = np.nan, Days(0, np.nan)
    if walks_bars(order.primary) or walks_bars(order.secondary):
        drawdown = max_drawdown(scratch, trades, market, costs, ledger)
    if trades > 0 and (order.primary >= SHARPE or order.secondary >= SHARPE):
        count = day_marks(scratch, trades, market, costs, ledger)
        days = Days(count, day_returns(ledger.marks, count, costs.init_cash))
    primary = value_of(order.primary, trades, balance, costs, ledger, drawdown, days)
    secondary = value_of(order.secondary, trades, balance, costs, ledger, drawdown, days)
    return Score(ruined, trades, primary, secondary, return_pct(balance, costs))


@inlined
def balance_score(order: Order, ruined: bool, trades: int, balance: float, costs: Costs) -> Score:
    """Return the score of a variant that is ranked by nothing but its final balance."""
    return Score(
        ruined,
        trades,
        balance_metric(order.primary, trades, balance, costs),
        balance_metric(order.secondary, trades, balance, costs),
        return_pct(balance, costs),
    )


@inlined
def balance_metric(metric: int, trades: int, balance: float, costs: Costs) -> float:
    """Return a metric that needs no ledger."""
    if metric == TOTAL_RETURN:
        return return_pct(balance, costs)
    return float(trades) if metric == NUM_TRADES else np.nan


@kernel
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
    none = np.empty(0)
    kinds, bars = np.empty(0, np.int8), np.empty(0, np.uint32)
    ledger = Ledger(none, none, quote, net, none, kinds, bars, bars, equity[day_ends])
    peak, trough, worst = costs.init_cash, costs.init_cash, 0.0
    peak, trough, worst = extend_drawdown(equity, 0, equity.shape[0], peak, trough, worst)
    drawdown = drawdown_fraction(peak, trough, worst)
    count = day_ends.shape[0]
    days = Days(count, day_returns(ledger.marks, count, costs.init_cash))
    for metric in range(out.shape[0]):
        out[metric] = value_of(metric, trades, balance, costs, ledger, drawdown, days)


@inlined
def offer(found: Found, n: int, order: Order, index: int, score: Score) -> int:
    """Append a variant unless it is certainly worse than the cut; return the new count.

    Whoever calls it signs and weighs what was appended.
    """
    undefined = np.isnan(score.primary)
    tier = (
        (RUINED if score.ruined else 0)
        + (TOO_FEW_TRADES if score.trades < order.min_trades else 0)
        + (UNDEFINED if undefined else 0)
    )
    key = 0.0 if undefined else order.sign * score.primary
    found.variant[n] = index
    found.ruined[n] = score.ruined
    found.trades[n] = score.trades
    found.primary[n] = score.primary
    found.secondary[n] = score.secondary
    found.total_return[n] = score.total_return
    worse = tier > order.cut_tier or (tier == order.cut_tier and key > order.cut_key)
    return n if worse else n + 1
