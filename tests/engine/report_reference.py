"""Every figure of a report, computed with pandas from trades and equity alone.

Times are ms since 1970, as in the prices, and days are counted from there: an index of times costs
more than all the figures.

Written from the definitions of the figures; shares no code with the engine or with the plain loops
of `plain_metrics`. NaN is undefined, +inf a positive numerator over zero.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.engine.adapter import close_to
from tests.engine.simulator import LONG, SHORT, Execution, Prices, Trade

NAN = math.nan
DAY_MS = 86_400_000


class Filled(NamedTuple):
    """A trade, with the bar and the time in ms of its fills.

    A fill at an open belongs to the bar that opens there and has its time; every other fill has the
    close time of its bar.
    """

    trade: Trade
    entry_bar: int
    exit_bar: int
    entry_ms: int
    exit_ms: int


@dataclass(frozen=True)
class Facts:
    """What a report is about: the trades, one equity per traded bar, the bars and the rules."""

    trades: Sequence[Trade]
    equity: Sequence[float]
    prices: Prices
    execution: Execution

    @property
    def init_cash(self) -> float:
        return self.execution.init_cash

    @cached_property
    def equity_series(self) -> "pd.Series[float]":
        return pd.Series(self.equity, dtype="float64")

    def days(self) -> NDArray[np.int64]:
        """Return the UTC day of each bar: the one it opens in."""
        return np.array(self.prices.open_ms) // DAY_MS

    def traded_rows(self) -> dict[str, str]:
        """Return what a table says of the traded time: first open, last close, time between."""
        start = pd.Timestamp(self.prices.open_ms[0], unit="ms")
        end = pd.Timestamp(self.prices.close_ms[-1], unit="ms")
        length = end - start
        clock = length - pd.Timedelta(days=length.days)
        return {
            "Start": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "End": f"{end:%Y-%m-%dT%H:%M:%SZ}",
            "Duration": f"{length.days} days {str(clock).split()[-1]}",
        }

    @cached_property
    def filled(self) -> list[Filled]:
        """Return the trades, with the bars and times of their fills."""
        entered_at_open = self.execution.entry_fill == "next_open"
        last = len(self.equity) - 1
        return [
            Filled(trade, entry_bar, exit_bar, entry_ms, exit_ms)
            for trade in self.trades
            for entry_bar, entry_ms in [self.fill(trade.entry_bar, entered_at_open)]
            for exit_bar, exit_ms in [
                self.fill(trade.exit_bar, self.leaves_at_an_open(trade) and trade.exit_bar < last)
            ]
        ]

    def fill(self, decided: int, at_open: bool) -> tuple[int, int]:
        """Return the bar and the time of a fill that was decided on a bar."""
        if at_open:
            return decided + 1, self.prices.open_ms[decided + 1]
        return decided, self.prices.close_ms[decided]

    def leaves_at_an_open(self, trade: Trade) -> bool:
        """Return whether an exit like this one waits for the next open, if there is one."""
        stop = trade.reason in ("sl", "tsl", "tp")
        waits = trade.reason == "signal_exit" or (stop and self.execution.stop_fill == "close")
        return waits and self.execution.entry_fill == "next_open"


def ratio(numerator: float, denominator: float) -> float:
    if denominator == 0:
        return math.inf if numerator > 0 else NAN
    value = numerator / denominator
    return value if math.isfinite(value) else NAN


def drawdown_figures(facts: Facts) -> dict[str, float]:
    equity = facts.equity_series
    peak = equity.cummax().clip(lower=facts.init_cash)
    drawdown = (peak - equity) / peak
    lengths = pd.Series(episodes((equity < peak).tolist(), facts.prices.close_ms), dtype="float64")
    return {
        "max_drawdown_pct": 100 * drawdown.max(),
        "avg_drawdown_pct": 100 * drawdown.mean(),
        "max_drawdown_duration_ms": lengths.max(),  # NaN where there is none
        "avg_drawdown_duration_ms": lengths.mean(),
    }


def episodes(below: Sequence[bool], close_ms: Sequence[int]) -> list[int]:
    """Return the ms of each stretch below the peak: from the bar before it to the bar after.

    Where there is no such bar, the first or the last one stands in.
    """
    lengths, after = [], 0
    for is_below, stretch in groupby(below):
        first = after
        after += len(list(stretch))
        if is_below:
            lengths.append(close_ms[min(after, len(below) - 1)] - close_ms[max(first - 1, 0)])
    return lengths


def daily_figures(facts: Facts, max_drawdown: float) -> dict[str, float]:
    ends = facts.equity_series.groupby(facts.days()).last()
    daily = ends.reindex(range(ends.index[0], ends.index[-1] + 1), method="ffill")
    growth = daily / daily.shift(fill_value=facts.init_cash)
    returns = growth - 1
    if len(daily) < 2 or (daily <= 0).any():
        return dict.fromkeys(("sharpe", "sortino", "calmar"), NAN)
    with np.errstate(over="ignore"):
        annual = float(np.expm1(365 * np.log(growth).mean()))
    mean = float(returns.mean())
    deviations = {
        "sharpe": float(returns.std(ddof=1)),
        "sortino": math.sqrt((returns.clip(upper=0) ** 2).mean()),
    }
    noise = 1e-12 * abs(mean)
    return {
        name: math.sqrt(365) * ratio(mean, 0.0 if value <= noise else value)
        for name, value in deviations.items()
    } | {"calmar": ratio(annual, max_drawdown)}


def trade_figures(facts: Facts) -> dict[str, float]:
    held = pd.Series([trade.exit_ms - trade.entry_ms for trade in facts.filled])
    net = pd.Series([trade.net for trade in facts.trades])
    quote = pd.Series([trade.quote for trade in facts.trades])
    returns = 100 * net / quote
    won = net > 1e-12 * quote
    spread = net.std(ddof=1)  # NaN for a single trade
    return {
        "win_rate_pct": 100 * won.mean(),
        "best_trade_pct": returns.max(),
        "worst_trade_pct": returns.min(),
        "avg_trade_pct": returns.mean(),
        "expectancy_pct": returns.mean(),
        "max_trade_duration_ms": float(held.max()),
        "avg_trade_duration_ms": float(held.mean()),
        "sqn": NAN if len(net) < 2 else ratio(math.sqrt(len(net)) * net.mean(), spread),
        "profit_factor": ratio(net[net > 0].sum(), abs(net[net < 0].sum())),
    }


def exposure_figures(facts: Facts) -> dict[str, float]:
    invested = np.zeros(len(facts.equity))
    covered = np.zeros(len(facts.equity), dtype=bool)
    for filled in facts.filled:
        covered[filled.entry_bar : filled.exit_bar + 1] = True
        invested[filled.entry_bar : filled.exit_bar] = filled.trade.quote  # at closes
    equity = np.asarray(facts.equity)
    exposure = NAN if (equity <= 0).any() else float((invested / equity).mean())
    return {"position_coverage_pct": 100 * float(covered.mean()), "gross_exposure": exposure}


NEEDS_TRADES = (
    *("max_drawdown_pct", "avg_drawdown_pct", "max_drawdown_duration_ms"),
    *("avg_drawdown_duration_ms", "return_over_max_drawdown", "profit_factor", "win_rate_pct"),
    *("expectancy_pct", "sqn", "sharpe", "sortino", "calmar", "best_trade_pct", "worst_trade_pct"),
    *("avg_trade_pct", "max_trade_duration_ms", "avg_trade_duration_ms"),
)


def figures(facts: Facts) -> dict[str, float]:
    """Return every figure under the key it is stored by."""
    final, closes = facts.equity[-1], facts.prices.close
    known = {
        "total_profit": final - facts.init_cash,
        "total_return_pct": 100 * (final / facts.init_cash - 1),
        "benchmark_return_pct": 100 * (closes[-1] / closes[0] - 1),
        "num_trades": float(len(facts.trades)),
    }
    known |= exposure_figures(facts)
    if not facts.trades:
        return known | dict.fromkeys(NEEDS_TRADES, NAN)
    known |= drawdown_figures(facts)
    known |= daily_figures(facts, known["max_drawdown_pct"] / 100)
    known["return_over_max_drawdown"] = ratio(known["total_return_pct"], known["max_drawdown_pct"])
    return known | trade_figures(facts)


TABLE = {  # label -> (stored key, decimals), in the order of the table
    "Init. Cash": ("init_cash", 2),
    "Total Profit": ("total_profit", 2),
    "Total Return [%]": ("total_return_pct", 4),
    "Benchmark Return [%]": ("benchmark_return_pct", 4),
    "Position Coverage [%]": ("position_coverage_pct", 4),
    "Max. Drawdown [%]": ("max_drawdown_pct", 4),
    "Avg. Drawdown [%]": ("avg_drawdown_pct", 4),
    "Max. Drawdown Duration": ("max_drawdown_duration_ms", None),
    "Avg. Drawdown Duration": ("avg_drawdown_duration_ms", None),
    "Num. Trades": ("num_trades", 0),
    "Win Rate [%]": ("win_rate_pct", 4),
    "Best Trade [%]": ("best_trade_pct", 4),
    "Worst Trade [%]": ("worst_trade_pct", 4),
    "Avg. Trade [%]": ("avg_trade_pct", 4),
    "Max. Trade Duration": ("max_trade_duration_ms", None),
    "Avg. Trade Duration": ("avg_trade_duration_ms", None),
    "Expectancy [%]": ("expectancy_pct", 4),
    "SQN": ("sqn", 5),
    "Profit Factor": ("profit_factor", 5),
    "Gross Exposure": ("gross_exposure", 5),
    "Sharpe": ("sharpe", 5),
    "Sortino": ("sortino", 5),
    "Calmar": ("calmar", 5),
}


DIRECTIONS = {LONG: "long", SHORT: "short"}


def second_of(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def unequal_trades(
    listed: Sequence[Mapping[str, Any]], facts: Facts
) -> list[tuple[int, str, Any, Any]]:
    """Return what differs between the trades of a report and those there were."""
    assert len(listed) == len(facts.trades)
    wrong = []
    for number, (row, filled) in enumerate(zip(listed, facts.filled, strict=True), start=1):
        trade = filled.trade
        exact = {
            "id": number,
            "direction": DIRECTIONS[trade.direction],
            "exit_reason": trade.reason,
            "entry_time": second_of(filled.entry_ms),
            "exit_time": second_of(filled.exit_ms),
        }
        amounts = {
            "entry_price": trade.entry_fill,
            "exit_price": trade.exit_fill,
            "quantity": trade.quantity,
            "entry_quote": trade.quote,
            "exit_quote": trade.quantity * trade.exit_fill,
            "entry_fee": trade.entry_fee,
            "exit_fee": trade.exit_fee,
            "gross_pnl": trade.gross,
            "net_pnl": trade.net,
            "return_pct": 100 * trade.net / trade.quote,
        }
        for charge in row.keys() & {"margin", "carry"}:
            amounts[charge] = getattr(trade, charge)
        assert row.keys() == exact.keys() | amounts.keys()
        wrong += [(number, k, row[k], v) for k, v in exact.items() if row[k] != v]
        wrong += [
            (number, k, row[k], v)
            for k, v in amounts.items()
            if not close_to(row[k], v, trade.quote)
        ]
    return wrong


def unequal(
    ours: Mapping[str, Any], reference: Mapping[str, float], skip: frozenset[str]
) -> dict[str, tuple[Any, float]]:
    """Return the figures that differ.

    A stored None is undefined, or infinite where "infinite" lists its key.
    """
    infinite = ours.get("infinite", [])

    def equal(key: str, mine: float | None) -> bool:
        theirs = reference[key]
        if mine is None or not math.isfinite(theirs):
            return mine is None and (theirs == math.inf if key in infinite else math.isnan(theirs))
        return close_to(mine, theirs)

    figures = {key: value for key, value in ours.items() if key != "infinite"}
    assert figures.keys() <= reference.keys()
    assert set(infinite) <= figures.keys()
    return {
        key: (mine, reference[key])
        for key, mine in figures.items()
        if key not in skip and not equal(key, mine)
    }
